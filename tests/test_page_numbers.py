"""Each measured number of docs/ names its source, and is what kept data give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cyclopts import CycloptsError

import page_numbers
from page_numbers import CHECKED, check_command, find_sources, read_page, without_source
from test_docs import page_id

COMMANDS = sorted({command for page in CHECKED for _, command in read_page(page).by})


@pytest.mark.parametrize("path", CHECKED, ids=page_id)
def test_numbers_have_sources(path: Path) -> None:
    page = read_page(path)
    assert find_sources(page) == []
    assert without_source(page) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_numbers_exist(command: str) -> None:
    check_command(command)


PAGE = """# A page

Below 0.02 nats, {by} with numpy 2.4.6.

## Section

![0.9](a_0.8.png) At h = 0.5 A has 1.23 and 1,200 weights, B {b} times as much.
<!-- from:
a = 1.234
a, 1198.4, 2 * a -->

| A | B |
| --- | --- |
| 0.050 | 12 % |

<!-- from: [[0.0499, 12.4]] -->
{given}

```python
print(0.5)
```

```
0.75
```

Printed are 0.5 and 0.75, and {extra}.
"""


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    monkeypatch.setattr(page_numbers, "ROOT", tmp_path)
    monkeypatch.setattr("pages.ROOT", tmp_path)

    def found(
        by: str = "<!-- by: make test -->", b: str = "2.5", given: str = "", extra: str = ""
    ) -> list[str]:
        path = tmp_path / "page.md"
        path.write_text(PAGE.format(by=by, b=b, given=given, extra=extra))
        page = read_page(path)
        return [*find_sources(page), *without_source(page)]

    return found


def test_marked_numbers_pass(problems: Callable[..., list[str]]) -> None:
    assert problems() == []
    assert problems(given="<!-- given: 7 -->", extra="7 s") == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"by": ""}, ["page.md:3: 0.02"]),
        ({"b": "2.6"}, ["page.md:8: not in the text: value 3, 2.468", "page.md:7: 2.6"]),
        ({"b": "2"}, []),
        ({"b": "3"}, ["page.md:8: not in the text: value 3, 2.468", "page.md:7: 3"]),
        ({"extra": "5 minutes"}, ["page.md:27: 5"]),
        ({"extra": "0.76"}, ["page.md:27: 0.76"]),
        ({"given": "<!-- given: 0.3 -->"}, ["page.md: given: 0.3 is not in its section"]),
        ({"given": "<!-- from: 1 / 0 -->"}, ["page.md:17: ZeroDivisionError: division by zero"]),
    ],
)
def test_problems_are_found(
    problems: Callable[..., list[str]], change: dict[str, str], found: list[str]
) -> None:
    assert problems(**change) == found


def test_numbers_are_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_numbers, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text("A 0.012, 12.0 % and 1,234 B.\n<!-- from: 0.0345678, 1.26, 2345.6 -->\n")
    assert find_sources(read_page(path), update=True) == []
    assert path.read_text().startswith("A 0.035, 1.3 % and 2,346 B.")
    assert find_sources(read_page(path)) == []


@pytest.mark.parametrize(
    "command",
    [
        "psiprune study --sseeds 3",
        "python benchmarks/nothing.py",
        "python benchmarks/simd.py --nothing",
        "make nothing",
        "runs/nothing",
        "rm -rf /",
    ],
)
def test_a_wrong_command_is_found(command: str) -> None:
    with pytest.raises((AssertionError, CycloptsError)):
        check_command(command)
