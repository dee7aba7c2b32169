"""Run the code blocks of the README and of docs/, and compare or update the outputs they show.

    python tests/pages.py --update [--slow] [PAGE ...]     rewrite outputs that changed

`--slow` runs the blocks marked `small` as printed (minutes each); without it their outputs stay.

A comment before a block says how tests run it:

    <!-- test: small: 100000 -> 300; --sites 18 -> --sites 4 -->   replaced; as printed if slow
    <!-- test: parse: --seeds 10 -> --seeds 2 -->                  parsed only; replaced if slow
    <!-- test: needs: netket -->                                   run where that is installed
    <!-- test: skip: the set-up itself -->                         never run; see test_docs.py
    <!-- test: file: mine.toml -->                                 saved under that name
    <!-- test: setup
    lines of Python that make what the reader already has
    -->

A fence without a language right after a block shows its output; for commands, the end of it. Blocks
run in an empty folder: a reader who has installed psiprune has no checkout, so only a setup, which
makes what the reader already has, may use files of the repository (below `ROOT`).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import io
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

import tiny
from psiprune.cli.app import app

ROOT = Path(__file__).parents[1]
_TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in _TOP), *sorted((ROOT / "docs").rglob("*.md"))]

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
        language: python, bash, console, setup or file.
        code: its lines, without the indentation of the fence.
        fate: printed, small, parse, needs, skip, setup or file.
        detail: the text after the fate in the marker.
        shown: the output on the page, None if there is none.
        span: where that output stands on the page; the code itself if it has prompts.
    """

    place: str
    language: str
    code: str
    fate: str = "printed"
    detail: str = ""
    shown: str | None = None
    span: tuple[int, int] = (0, 0)

    def replaced(self) -> Block:
        """Return the block with its replacements made, each of which must apply."""
        code = self.code
        for change in self.detail.split("; "):
            old, new = (part.strip() for part in change.split(" -> "))
            assert old in code, f"{self.place}: there is no {old!r} to replace"
            code = code.replace(old, new)
        return replace(self, code=code, fate="printed", shown=None)

    def quick(self) -> Block:
        """Return what the default tests run; the commands of `parse` are only parsed."""
        return self.replaced() if self.fate == "small" else self

    def slow(self) -> Block:
        """Return what the slow tests run: as printed, except what would take hours."""
        return self.replaced() if self.fate == "parse" else self


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in order; of `text`, `math` and `toml` only files are blocks."""
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
            found[-1] = replace(found[-1], shown=code, span=piece.span("code"))
        elif fate == "file":
            found.append(Block(place, "file", code, fate, detail.strip()))
        elif language not in ("text", "math", "toml"):
            assert language in ("python", "bash", "console"), f"{place}: {language} is not run"
            assert fate in ("printed", "small", "parse", "needs", "skip"), f"{place}: {fate}?"
            span = piece.span("code")
            found.append(Block(place, language, code, fate, detail.strip(), span=span))
            end = piece.end()
        fate, detail = "printed", ""
    return found


class Output(NamedTuple):
    """An output on a page and what the code printed now."""

    shown: str
    printed: str
    place: str


def run(block: Block, names: dict[str, Any]) -> None:
    """Run a block in the current folder, and compare what it prints with what the page shows."""
    for output in outputs(block, names):
        assert_same(*output)


def outputs(block: Block, names: dict[str, Any]) -> Iterator[Output]:
    """Run a block in the current folder; yield every output that the page shows of it."""
    if block.fate == "file":
        Path(block.detail).write_text(block.code)
        return
    if block.fate == "parse":
        for line in _lines(block.code.replace("$ psiprune", "psiprune")):
            parse_line(line)
        return
    if block.language in ("python", "setup"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            if block.language == "setup":
                names["ROOT"] = ROOT
            _run_python(block, names)
            names.pop("ROOT", None)
        printed = out.getvalue()
    elif block.language == "bash":
        parts = [_run_line(line, block.place) for line in _lines(block.code)]
        printed = _end(parts, block.shown or "")
    else:
        printed = ""
        for command, shown in _prompts(block.code):
            found = _run_line(command, block.place, fails=shown.startswith("psiprune: "))
            if shown:
                yield Output(shown, found, f"{block.place}: {command}")
    if block.shown is not None:
        yield Output(block.shown, printed, block.place)


def _end(parts: list[str], shown: str) -> str:
    """Return as many lines of all outputs as are shown, or those of the last commands.

    If the number of lines has changed, the first line shown identifies the first command.
    """
    lines = "".join(parts).splitlines()
    end = "\n".join(lines[len(lines) - len(shown.splitlines()) :])
    if not shown or _is_same(Output(shown, end, "")):
        return end
    first = shown.splitlines()[0]
    ends = ["".join(parts[k:]) for k in range(len(parts)) if parts[k]]
    return max(ends, key=lambda text: SequenceMatcher(None, first, text.splitlines()[0]).ratio())


def is_available(block: Block) -> bool:
    """Return whether a test may run the block, and the packages that it needs are installed."""
    if block.fate == "needs":
        return all(map(importlib.util.find_spec, block.detail.split()))
    return block.fate != "skip"


def assert_same(shown: str, found: str, place: str) -> None:
    """Compare words and whole numbers exactly, other numbers to 2 % or to the last digit shown.

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
        match = _match(want, have)
        assert match, message
        for token, group in zip(_NUMBER.findall(want), match.groups(), strict=True):
            assert token == "..." or _close(token, group), f"{token} and {group}: {message}"


def _match(want: str, have: str) -> re.Match[str] | None:
    """Match a line with the same words, whatever its numbers, and anything in place of `...`."""
    tokens = _NUMBER.split(want)
    numbers = [r"(.*?)" if token == "..." else f"({_NUMBER.pattern[1:-1]})" for token in tokens]
    pattern = [number if i % 2 else re.escape(tokens[i]) for i, number in enumerate(numbers)]
    return re.fullmatch("".join(pattern), have)


def _is_same(output: Output) -> bool:
    try:
        assert_same(*output)
    except AssertionError:
        return False
    return True


def merged(shown: str, printed: str) -> str:
    """Return the printed text with the `...` of the shown one where its lines still match."""
    expected, actual = shown.strip("\n").splitlines(), printed.strip("\n").splitlines()
    rest = expected[-1:] == ["..."]
    if rest:
        expected = expected[:-1]
        actual = actual[: len(expected)]
    elided = {i: line for i, line in enumerate(expected) if "..." in line}
    lines = []
    for i, line in enumerate(actual):
        match = _match(elided[i], line) if i in elided else None
        if match:  # the words and `...` of the page, the numbers of the output
            pieces = _NUMBER.split(elided[i])
            pieces[1::2] = [
                token if token == "..." else group
                for token, group in zip(pieces[1::2], match.groups(), strict=True)
            ]
            line = "".join(pieces)
        lines.append(line.rstrip())
    return "\n".join([*lines, "..."] if rest else lines) + "\n"


def update(page: Path, slow: bool) -> bool:
    """Run the blocks of a page in a new folder; rewrite outputs that differ. Return whether any."""
    text, names = page.read_text(), {"__name__": page.stem}
    edits: list[tuple[int, int, str]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in blocks_of(page):
            if not is_available(block):
                continue
            changed = [
                (output.shown, merged(output.shown, output.printed))
                for output in outputs(block.slow() if slow else block.quick(), names)
                if not _is_same(output)
            ]
            if not changed:
                continue
            start, end = block.span
            old = text[start:end]
            margin = old[: len(old) - len(old.lstrip(" "))]
            new = dedent(old)
            for shown, printed in changed:
                assert shown.strip("\n") in new, f"{block.place}: cannot find the output"
                new = new.replace(shown.strip("\n"), printed.strip("\n"), 1)
            edits.append((start, end, indent(new, margin)))
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    if edits:
        page.write_text(text)
    return bool(edits)


def main() -> None:
    """Update the outputs on the pages given, or on all pages."""
    parser = argparse.ArgumentParser(description="Update the outputs shown on documentation pages.")
    parser.add_argument("--update", action="store_true", required=True)
    parser.add_argument("--slow", action="store_true", help="run blocks marked small as printed")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE")
    options = parser.parse_args()
    for page in [path.resolve() for path in options.pages] or PAGES:
        try:
            state = "updated" if update(page, options.slow) else "unchanged"
        except Exception as error:
            state = f"failed: {type(error).__name__}: {error}"
        print(f"{page.relative_to(ROOT)}: {state}", flush=True)


def _close(shown: str, found: str) -> bool:
    if re.fullmatch(r"[-+]?\d+", shown):
        return shown == found
    mantissa, _, exponent = shown.lower().partition("e")
    digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return abs(float(shown) - float(found)) <= max(0.02 * abs(float(shown)), 1.01 * 10.0**-digits)


def _run_python(block: Block, names: dict[str, Any]) -> None:
    """Run each statement; check the value of an expression that ends in `# number`."""
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
    """Yield the command lines of a shell block, with continued lines joined."""
    for line in code.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def _prompts(code: str) -> Iterator[tuple[str, str]]:
    """Yield (command, output shown) of a block with prompts."""
    for part in re.split(r"^\$ ", code.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown.strip()


def parse_line(line: str) -> None:
    """Check the options of a `psiprune` line without running it."""
    words = shlex.split(line, comments=True)
    if words[0] == "psiprune":
        app.parse_args(words[1:], exit_on_error=False, print_error=False)


def _run_line(line: str, place: str, fails: bool = False) -> str:
    """Run `psiprune` in this process, anything else in a shell; return stdout, or the error."""
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


if __name__ == "__main__":
    main()
