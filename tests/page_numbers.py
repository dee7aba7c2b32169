"""Find the measured numbers of a page, and check what each of them comes from.

A comment, which readers of the page do not see, names the source:

    <!-- from: [kl(w) for w in (54, 96)] -->    computed here from data kept in docs/
    <!-- by: python benchmarks/simd.py -->      measured by a command, or several with `; ` between
    <!-- given: 0.05 2.576 -->                  not measured: a setting, a definition, a citation

`from` follows a paragraph, a list or a table. It is Python without blank lines; the `from` of a
page share their names, beginning with `kept(FILE)` and `seeds(FILE, VARIABLE, ...)` (of files below
docs/), `median`, `paired` and `np`. Each expression gives numbers of the text before it, in the
order of the text and to the digits that it shows. `by` and `given` hold in their section, from one
heading to the next. In `by`, `runs/NAME` stands for the command of a block that writes this folder.
Numbers that a tested block of the section prints need no comment.

    python tests/page_numbers.py [--update] [PAGE ...]

lists numbers without a source; `--update` rewrites those of `from` that have changed.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np

from pages import PAGES, ROOT, blocks_of, parse_line
from psiprune.core.statistics import paired
from psiprune.io.netcdf import read_dataset

#: Pages whose numbers are checked; claims.md is written by `psiprune paper`.
CHECKED = [
    page
    for page in PAGES
    if page.name == "README.md" or (page.is_relative_to(ROOT / "docs") and page.name != "claims.md")
]

_FENCE_OR_COMMENT = re.compile(r"^ *```.*?^ *```$|<!--(.*?)-->", re.MULTILINE | re.DOTALL)
_NO_PROSE = re.compile(r"`[^`\n]*`|!\[[^]]*\]|\]\([^)\s]*\)|arXiv \S+")
_NUMBER = re.compile(r"(?<![\w.^])(?:(?<=[\s|(])-)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\.?\d)")
_UNIT = re.compile(
    r" ?(%|times\b|-fold|x\b(?! \d)|[mu]?s\b|min\b|(minute|hour|second|nat)s?\b|[kMG]B\b)"
    r"| of (the )?\d{1,2}\b(?!,\d)"
)
_PARAMETER = re.compile(r"(\b(h|h/J|Delta|J2|N) = |\bPython |\bApache-)$")


@dataclass
class Number:
    """A number in the prose of a page.

    Attributes:
        text: as it stands there.
        span: where, in characters of the page.
        measured: it has a decimal point or a unit, so it needs a source.
        section: of the page, counted from 0, the text above the first `##`.
        source: what it comes from; empty if nothing does.
    """

    text: str
    span: tuple[int, int]
    measured: bool
    section: int
    source: str = ""

    def shows(self, value: float) -> bool:
        """Return whether the value rounds to the digits shown; the zeros of 1,900 show none."""
        plain = self.text.replace(",", "")
        decimals = len(plain.partition(".")[2])
        if not decimals and float(plain) and not float(value).is_integer():
            decimals = len(plain.lstrip("-").rstrip("0")) - len(plain.lstrip("-"))
        return abs(float(plain) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-9)

    def rewritten(self, value: float) -> str:
        """Return the value with as many digits as the number shows."""
        whole, point, decimals = self.text.partition(".")
        if not point:
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.0f}"
        digits = len((whole + decimals).replace(",", "").lstrip("-0"))
        if whole.lstrip("-") != "0" or not digits:
            return f"{value:.{len(decimals)}f}"
        decimals_shown = digits - 1 - int(np.floor(np.log10(abs(value) or 1.0)))
        return f"{value:.{max(decimals_shown, 0)}f}"


@dataclass
class Page:
    """The numbers and comments of a page.

    Attributes:
        path: of the page.
        numbers: in the order of the text.
        blocks: of each `from`: line, code, and the numbers before it.
        by: section and command.
        given: section and numbers as text.
    """

    path: Path
    numbers: list[Number] = field(default_factory=list)
    blocks: list[tuple[int, str, list[Number]]] = field(default_factory=list)
    by: list[tuple[int, str]] = field(default_factory=list)
    given: list[tuple[int, list[str]]] = field(default_factory=list)


def read_page(path: Path) -> Page:
    """Find numbers and comments, without looking for sources."""
    text, page = path.read_text(), Page(path)
    comments = []
    prose = text
    for piece in _FENCE_OR_COMMENT.finditer(text):
        kind, _, detail = (piece[1] or "").strip().partition(":")
        if kind in ("from", "by", "given"):
            comments.append((piece.start(), kind, detail))
        prose = _blanked(prose, *piece.span())
    headings = [match.start() for match in re.finditer(r"^##+ ", prose, re.MULTILINE)]
    for piece in _NO_PROSE.finditer(prose):
        prose = _blanked(prose, *piece.span())
    for match in _NUMBER.finditer(prose):
        if _PARAMETER.search(prose[max(0, match.start() - 12) : match.start()]):
            continue
        measured = "." in match[0] or bool(_UNIT.match(prose, match.end()))
        section = sum(start <= match.start() for start in headings)
        page.numbers.append(Number(match[0], match.span(), measured, section))
    ends = [start for start, *_ in comments]
    for start, kind, detail in comments:
        section = sum(heading <= start for heading in headings)
        if kind == "by":
            page.by += [(section, command.strip()) for command in detail.split(";")]
        elif kind == "given":
            page.given.append((section, detail.split()))
        else:
            stop = len(prose[:start].rstrip())
            gap = [match.end() for match in re.finditer(r"\n\s*\n", prose[:stop])]
            begin = max([0, *gap, *(end for end in ends if end < stop)])
            inside = [number for number in page.numbers if begin <= number.span[0] < start]
            page.blocks.append((text.count("\n", 0, start) + 1, detail, inside))
    return page


def find_sources(page: Page, update: bool = False) -> list[str]:
    """Give each number its source; return what is wrong with the comments of a page.

    With `update` the numbers of a `from` that has changed are rewritten where its values are as
    many as the measured numbers before it, or as all of them.
    """
    problems, edits = list[str](), dict[tuple[int, int], str]()
    names: dict[str, Any] = {"kept": kept, "seeds": seeds, "median": np.median}
    names |= {"paired": paired, "np": np}
    place = page.path.relative_to(ROOT)
    for line, code, numbers in page.blocks:
        try:
            values = list(_values(code, f"{place}:{line}", names))
        except Exception as error:
            problems.append(f"{place}:{line}: {type(error).__name__}: {error}")
            continue
        missing = _match(values, numbers)
        measured = [number for number in numbers if number.measured]
        same = next((some for some in (measured, numbers) if len(some) == len(values)), None)
        if missing and update and same:
            pairs = zip(same, values, strict=True)
            edits |= {n.span: n.rewritten(v) for n, v in pairs if not n.shows(v)}
        elif missing:
            problems.append(f"{place}:{line}: {missing}")
    if edits:
        text = page.path.read_text()
        for (start, end), new in sorted(edits.items(), reverse=True):
            text = text[:start] + new + text[end:]
        page.path.write_text(text)
    shown = _printed(page.path)
    for number in page.numbers:
        for section, command in page.by:
            if section == number.section:
                number.source = number.source or command
        if number.text in shown.get(number.section, ()):
            number.source = number.source or "printed"
    for section, texts in page.given:
        for text in texts:
            found = [n for n in page.numbers if n.text == text and n.section == section]
            if not found:
                problems.append(f"{place}: given: {text} is not in its section")
            for number in found:
                number.source = number.source or "given"
    return problems


def without_source(page: Page) -> list[str]:
    """Return the lines of measured numbers without a source."""
    text = page.path.read_text()
    return [
        f"{page.path.relative_to(ROOT)}:{text.count(chr(10), 0, number.span[0]) + 1}: {number.text}"
        for number in page.numbers
        if number.measured and not number.source
    ]


def check_command(command: str) -> None:
    """Check that a command of `by` exists and has the options given."""
    words = shlex.split(command)
    if command.startswith("runs/"):
        written = rf"(-o|--out) {re.escape(command)}\s"
        assert any(re.search(written, page.read_text()) for page in PAGES), (
            f"no block writes {command}"
        )
    elif words[0] == "psiprune":
        parse_line(command)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
    else:
        assert words[0] in ("python", "pytest"), f"{command}: not psiprune, python, pytest or make"
        file = next(ROOT / word.partition("::")[0] for word in words if "/" in word)
        assert file.exists(), f"{command}: there is no {file}"
        if words[0] == "python":
            code = file.read_text()
            code += (ROOT / "benchmarks/peers.py").read_text() if "peers.options" in code else ""
            for option in (word.partition("=")[0] for word in words if word.startswith("--")):
                name = option.removeprefix("--").replace("-", "_")
                known = f'"{option}"' in code or re.search(rf"\b{name}(: |=)", code)
                assert known, f"{command}: {file.name} has no {option}"


@cache
def kept(name: str) -> Any:
    """Return the content of a file below docs/."""
    path = ROOT / "docs" / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".parquet":
        import pandas as pd

        return pd.read_parquet(path)
    return read_dataset(path)


def seeds(name: str, variable: str, **where: Any) -> Any:
    """Return the values of a variable by seed, at the coordinates given."""
    return kept(name)[variable].sel(where).squeeze().values


def _blanked(text: str, start: int, end: int) -> str:
    """Replace what is no prose by blanks, which keeps places and lines."""
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def _values(code: str, place: str, names: dict[str, Any]) -> Iterator[float]:
    """Run the lines of a `from`; yield the values of its expressions."""
    for node in ast.parse(dedent(code).strip(), place).body:
        if isinstance(node, ast.Expr):
            value = eval(compile(ast.Expression(node.value), place, "eval"), names)
            yield from _flat(value)
        else:
            exec(compile(ast.Module([node], []), place, "exec"), names)


def _flat(value: Any) -> Iterator[float]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield from np.ravel(np.asarray(value, float)).tolist()


def _match(values: list[float], numbers: list[Number]) -> str:
    """Assign the values to numbers in order, to as many as possible; say which value has none.

    Of all assignments the one with most values is taken, then the one with most measured numbers.
    """
    best = np.zeros((len(values) + 1, len(numbers) + 1, 2), int)
    for k in reversed(range(len(values))):
        for n in reversed(range(len(numbers))):
            ways = [best[k + 1, n], best[k, n + 1]]
            if numbers[n].shows(values[k]):
                ways.append(best[k + 1, n + 1] + (1, numbers[n].measured))
            best[k, n] = max(ways, key=tuple)
    k = n = 0
    lost = list[str]()
    while k < len(values):
        taken = n < len(numbers) and numbers[n].shows(values[k])
        if taken and tuple(best[k, n]) == tuple(best[k + 1, n + 1] + (1, numbers[n].measured)):
            numbers[n].source = "from"
            k, n = k + 1, n + 1
        elif n < len(numbers) and tuple(best[k, n]) == tuple(best[k, n + 1]):
            n += 1
        else:
            lost.append(f"value {k + 1}, {values[k]:.5g}")
            k += 1
    return f"not in the text: {'; '.join(lost)}" if lost else ""


def _printed(path: Path) -> dict[int, set[str]]:
    """Return the numbers in blocks and in what tested ones print, by section."""
    text, printed = path.read_text(), dict[int, set[str]]()
    plain = _FENCE_OR_COMMENT.sub(lambda piece: _blanked(piece[0], 0, len(piece[0])), text)
    headings = [match.start() for match in re.finditer(r"^##+ ", plain, re.MULTILINE)]
    for block in blocks_of(path):
        section = sum(start <= block.span[0] for start in headings)
        shown = block.code if block.fate in ("skip", "parse") else block.code + (block.shown or "")
        printed.setdefault(section, set()).update(_NUMBER.findall(shown))
    return printed


def main() -> None:
    """List the numbers without a source, of the pages given or of all."""
    parser = argparse.ArgumentParser(description="List measured numbers of pages without a source.")
    parser.add_argument("--update", action="store_true", help="rewrite the numbers of `from`")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE")
    options = parser.parse_args()
    for path in [path.resolve() for path in options.pages] or CHECKED:
        page = read_page(path)
        for problem in (*find_sources(page, options.update), *without_source(page)):
            print(problem)


if __name__ == "__main__":
    main()
