"""The code blocks of the README and of docs/, and what a page promises of each.

A comment before a block says what is not run as printed:

    <!-- test: small: 100000 -> 300; --sites 18 -> --sites 4 -->   replaced; as printed if slow
    <!-- test: parse: --seeds 10 -> --seeds 2 -->                  parsed only; replaced if slow
    <!-- test: needs: netket -->                                   run where that is installed
    <!-- test: skip: the set-up itself -->                         never run; see test_docs.py
    <!-- test: setup
    lines of Python that make what the reader has already
    -->

A fence without a language right behind a block shows what it prints; of commands, the end of it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import tiny
from psiprune.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_PIECE = re.compile(
    r"^ *<!-- test: (?P<marker>.*?) ?-->\n"
    r"|^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"(\.\.\.|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Block:
    """A piece of a page that is run.

    Attributes:
        place: page and line, for messages.
        language: python, bash, console or setup.
        code: its lines, without the indentation of the fence.
        fate: printed, small, parse, needs, skip or setup.
        detail: what stands behind the fate in the marker.
        shown: the output on the page, None if there is none.
    """

    place: str
    language: str
    code: str
    fate: str = "printed"
    detail: str = ""
    shown: str | None = None

    def replaced(self) -> Block:
        """The block with its replacements made, each of which must have something to replace."""
        code = self.code
        for change in self.detail.split("; "):
            old, new = (part.strip() for part in change.split(" -> "))
            assert old in code, f"{self.place}: there is no {old!r} to replace"
            code = code.replace(old, new)
        return replace(self, code=code, fate="printed", shown=None)

    def quick(self) -> Block:
        """What the default tests run; the commands of `parse` are only parsed."""
        return self.replaced() if self.fate == "small" else self

    def slow(self) -> Block:
        """What the slow tests run: as printed, but for what would take hours."""
        return self.replaced() if self.fate == "parse" else self


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order; what no shell runs is marked as `text`, `math`, `toml`."""
    text, found = page.read_text(), list[Block]()
    fate, detail, end = "printed", "", -1
    for piece in _PIECE.finditer(text):
        place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, piece.start()) + 1}"
        if piece["marker"] is not None:
            fate, _, detail = piece["marker"].partition(":")
            if piece["marker"].startswith("setup\n"):
                code = dedent(piece["marker"].removeprefix("setup\n"))
                found.append(Block(place, "setup", code, "setup"))
                fate, detail = "printed", ""
            continue
        language, code = piece["language"], dedent(piece["code"])
        if language == "":
            assert text[end : piece.start()].strip() == "", f"{place}: output of no block"
            found[-1] = replace(found[-1], shown=code)
        elif language not in ("text", "math", "toml"):
            assert language in ("python", "bash", "console"), f"{place}: {language} is not run"
            assert fate in ("printed", "small", "parse", "needs", "skip"), f"{place}: {fate}?"
            found.append(Block(place, language, code, fate, detail.strip()))
            end = piece.end()
        fate, detail = "printed", ""
    return found


def run(block: Block, names: dict[str, Any]) -> None:
    """Run a block in the current folder, and compare what it prints with what the page shows."""
    if block.fate == "parse":
        for line in _lines(block.code.replace("$ psiprune", "psiprune")):
            _parse_line(line)
        return
    if block.language in ("python", "setup"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            _run_python(block, names)
        printed = out.getvalue()
    elif block.language == "bash":
        lines = "".join(_run_line(line, block.place) for line in _lines(block.code)).splitlines()
        printed = "\n".join(lines[-len((block.shown or "").splitlines()) :])
    else:
        printed = ""
        for command, shown in _prompts(block.code):
            found = _run_line(command, block.place, fails=shown.startswith("psiprune: "))
            if shown:
                assert_same(shown, found, f"{block.place}: {command}")
    if block.shown is not None:
        assert_same(block.shown, printed, block.place)


def assert_same(shown: str, found: str, place: str) -> None:
    """The same words and whole numbers; other numbers to 2 % or to the last digit shown.

    Another CPU rounds float32 differently. `...` stands for anything within a line, and
    as the last line for all that follows. Columns may shift with the length of a number, so runs of
    blanks count as one.
    """
    expected, actual = (
        [" ".join(line.split()) for line in text.strip().splitlines()] for text in (shown, found)
    )
    message = f"{place} shows\n{shown}\nbut prints\n{found}"
    if expected[-1:] == ["..."]:
        expected = expected[:-1]
        actual = actual[: len(expected)]
    assert len(expected) == len(actual), message
    for want, have in zip(expected, actual, strict=True):
        tokens = _NUMBER.split(want)
        numbers = [r"(.*?)" if token == "..." else f"({_NUMBER.pattern[1:-1]})" for token in tokens]
        pattern = [number if i % 2 else re.escape(tokens[i]) for i, number in enumerate(numbers)]
        match = re.fullmatch("".join(pattern), have)
        assert match, message
        for token, group in zip(tokens[1::2], match.groups(), strict=True):
            assert token == "..." or _close(token, group), f"{token} and {group}: {message}"


def _close(shown: str, found: str) -> bool:
    if re.fullmatch(r"[-+]?\d+", shown):
        return shown == found
    mantissa, _, exponent = shown.lower().partition("e")
    digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return abs(float(shown) - float(found)) <= max(0.02 * abs(float(shown)), 1.01 * 10.0**-digits)


def _run_python(block: Block, names: dict[str, Any]) -> None:
    """Run each statement; the value of one that ends in `# number` must be that number."""
    lines = block.code.splitlines()
    for node in ast.parse(block.code, block.place).body:
        if isinstance(node, ast.Expr):
            value = eval(compile(ast.Expression(node.value), block.place, "eval"), names)
            comment = lines[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :].strip(" #")
            if _NUMBER.fullmatch(comment):
                assert _close(comment, str(value)), f"{block.place}: {value} instead of {comment}"
        else:
            exec(compile(ast.Module([node], []), block.place, "exec"), names)


def _lines(code: str) -> Iterator[str]:
    """The command lines of a shell block, those that go on behind a backslash as one."""
    for line in code.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def _prompts(code: str) -> Iterator[tuple[str, str]]:
    """(command, what it shows) of a block with prompts."""
    for part in re.split(r"^\$ ", code.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown.strip()


def _parse_line(line: str) -> None:
    """Check the options of a `psiprune` line, without running it; a wrong one raises."""
    words = shlex.split(line, comments=True)
    if words[0] == "psiprune":
        app.parse_args(words[1:], exit_on_error=False, print_error=False)


def _run_line(line: str, place: str, fails: bool = False) -> str:
    """Run `psiprune` in this process, anything else by the shell; standard output, or the error."""
    words = shlex.split(line, comments=True)
    if words[0] != "psiprune":
        done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{place}: {line}\n{done.stderr}"
        return done.stdout
    if "-o" in words:  # a page may show several ways to the same file
        out = Path(words[words.index("-o") + 1])
        if out.is_file():
            out.unlink()
    outcome = tiny.call(*words[1:])
    if fails:
        return tiny.refusal(outcome, 2).join(("psiprune: ", ""))
    assert outcome.status == 0, f"{place}: {line}\n{outcome.err}"
    return outcome.out
