"""The README and docs/: every block runs, every link leads somewhere, every page is reached."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import sys
import tomllib
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cyclopts import CycloptsError

import psiprune as pp
from pages import PAGES, ROOT, Block, assert_same, blocks_of, is_available, merged, run
from psiprune.cli.catalogue import COMMANDS
from psiprune.data.formats import FORMATS

DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.py"))
sys.path.append(str(DOCS))
hooks = importlib.import_module("hooks")

#: The first words of all blocks that no test runs; each marker gives its reason.
NEVER_RUN = {
    ("CONTRIBUTING.md", "make study"),
    ("README.md", "make study"),
    ("README.md", "python3 -m"),
    ("docs/benchmarks.md", "make bench"),
    ("docs/benchmarks.md", ".venv/bin/python benchmarks/floor.py"),
    ("docs/benchmarks.md", ".venv/bin/python benchmarks/simd.py"),
    ("docs/benchmarks.md", "env NUMBA_CPU_NAME=haswell"),
    ("docs/benchmarks.md", ".venv/bin/python benchmarks/natural.py"),
    ("docs/benchmarks.md", ".venv/bin/python benchmarks/parts.py"),
    ("docs/benchmarks.md", ".venv/bin/python benchmarks/threads.py"),
    ("docs/gallery.md", ".venv/bin/python benchmarks/gallery.py"),
    ("docs/gallery.md", ".venv/bin/python benchmarks/exact_steps.py"),
    ("docs/install.md", "python3 -m"),
    ("docs/install.md", "make test"),
    ("docs/install.md", "podman build"),
    ("docs/interfaces.md", "psiprune completion"),
    ("docs/interfaces.md", "import logging"),
    ("docs/interfaces.md", "$ PSIPRUNE_LOG=info"),
    ("docs/sweep.md", "pip install"),
    ("docs/testing.md", "make mutants"),
    ("docs/testing.md", "make coverage"),
}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_BLOCKS = [page for page in PAGES if blocks_of(page)]


def run_page(blocks: list[Block], name: str) -> None:
    """Run blocks in order, with shared variables, in the current folder."""
    names: dict[str, Any] = {"__name__": name}
    for block in blocks:
        if is_available(block):
            run(block, names)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=page_id)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with patch.dict(FORMATS):  # a page adds one
        run_page([block.quick() for block in blocks_of(page)], page.stem)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in WITH_BLOCKS if any(b.fate in ("small", "parse") for b in blocks_of(page))],
    ids=page_id,
)
def test_blocks_run_in_full(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with patch.dict(FORMATS):
        run_page([block.slow() for block in blocks_of(page)], page.stem)


def test_replacements_fit() -> None:
    for page in WITH_BLOCKS:
        for block in blocks_of(page):
            if block.fate in ("small", "parse"):
                assert block.replaced().code != block.code


def test_a_wrong_option_is_seen() -> None:
    with pytest.raises(CycloptsError):
        run(Block("here", "bash", "psiprune study --sseeds 3\n", "parse"), {})


def test_only_these_blocks_never_run() -> None:
    skipped = {
        (page_id(page), " ".join(block.code.split()[:2]))
        for page in PAGES
        for block in blocks_of(page)
        if block.fate == "skip"
    }
    assert skipped == NEVER_RUN


def test_readers_need_no_checkout() -> None:
    """No command that a test runs names a file of the repository; prose that does says so."""
    for page in PAGES:
        for block in blocks_of(page):
            if block.fate not in ("setup", "skip", "file"):
                paths = set(re.findall(r"[\w./-]*\w/[\w./-]+", block.code))
                paths = {path for path in paths if not path.startswith("runs/")}  # `make study`
                assert not [path for path in paths if (ROOT / path).exists()], block.place
        text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
        if re.search(r"\b(python (benchmarks|scripts|tests)/|pytest )|[`\n]scripts/\w+.sh", text):
            assert "in a checkout" in text.lower(), page_id(page)


def test_no_fence_is_overlooked() -> None:
    # Counted in another way than blocks_of does: fences open and close, setups are comments.
    for page in PAGES:
        text, blocks = page.read_text(), blocks_of(page)
        fences = len(re.findall(r"^ *```", text, re.MULTILINE)) / 2
        prose = len(re.findall(r"^ *```(text|math|toml)$", text, re.MULTILINE))
        prose -= text.count("<!-- test: file:")
        outputs = sum(block.shown is not None for block in blocks)
        setups = text.count("<!-- test: setup")
        assert len(blocks) == fences - prose - outputs + setups, page_id(page)
        assert text.count("<!-- test:") == sum(block.fate != "printed" for block in blocks)


@pytest.mark.parametrize(
    ("shown", "found", "same"),
    [
        ("a.nc: 3 shots, E = -1.234", "a.nc: 3 shots, E = -1.2341", True),
        ("variance ..., done", "variance 1.2e-14, done", True),
        ("1.0e-03   2", "1.01e-03 2", True),
        ("3 shots", "4 shots", False),
        ("E = -1.234", "E = -1.334", False),
        ("E = -1.234", "F = -1.234", False),
        ("0.00120", "0.0013", False),
        ("one\ntwo", "one", False),
    ],
)
def test_output_is_compared(shown: str, found: str, same: bool) -> None:
    if same:
        assert_same(shown, found, "here")
    else:
        with pytest.raises(AssertionError):
            assert_same(shown, found, "here")


def test_an_update_keeps_what_is_left_out() -> None:
    shown = "a.nc: E = -1.2, variance ..., done\nold line\n...\n"
    printed = "a.nc: E = -1.7, variance 1e-12, done\nnew line\nrest\n"
    assert merged(shown, printed) == "a.nc: E = -1.7, variance ..., done\nnew line\n...\n"
    assert merged("one\ntwo\n", "three\n") == "three\n"


def anchor(heading: str) -> str:
    """What GitHub and MkDocs make of a heading in a link."""
    words = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower())
    return words.strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        target, _, part = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        if part:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert part in map(anchor, headings), link


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_nothing_is_left_to_be_filled_in_or_taken_for_a_tag(page: Path) -> None:
    """<Z_i> outside code is a tag of HTML to a browser, which shows nothing of it."""
    text = page.read_text()
    assert not re.findall(r"@@|\bTODO\b|\bFIXME\b", text)
    text = re.sub(r"```.*?```|<!--.*?-->|`[^`\n]*`|!\[.*?\]\(", "", text, flags=re.DOTALL)
    assert re.findall(r"<[A-Za-z][^>\n]*>", text) == []


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    written = {str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS)}
    written |= {f"notebooks/{path.stem}.md" for path in NOTEBOOKS}
    assert listed == written | {name.lower() for name in hooks.TOP}


def test_pages_of_the_folder_above_lead_to_those_of_the_site() -> None:
    text = "[how](docs/testing.md#fuzz) [what](CHANGELOG.md) [site](https://docs.org)"
    expected = "[how](testing.md#fuzz) [what](changelog.md) [site](https://docs.org)"
    assert hooks.for_site(text) == expected
    events = {"on_config", "on_files", "on_page_markdown", "on_page_content"}
    assert {name for name in vars(hooks) if name.startswith("on_")} == events  # all that MkDocs has
    tops = {name.lower() for name in hooks.TOP}
    for name in hooks.TOP:
        links = re.findall(r"\]\(([^)#\s:]+)[)#]", hooks.for_site((ROOT / name).read_text()))
        assert [each for each in set(links) - tops if not (DOCS / each).exists()] == []


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text() for page in sorted((DOCS / "api").glob("*.md")))
    names = re.findall(r"^::: psiprune\.(\w+)$", text, re.MULTILINE)
    assert sorted(names) == sorted(pp.__all__)
    listed = re.findall(r"`(\w+)`", (DOCS / "api.md").read_text().partition("| Topic")[2])
    assert sorted(listed) == sorted(pp.__all__)


def test_whoever_cites_gets_this_version() -> None:
    """And Zenodo the fields that it requires of an upload (developers.zenodo.org)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = dict(
        re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    )
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert {"cff-version", "message", "title"} <= set(citation)
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    assert zenodo["license"] == project["license"]
    assert all(zenodo[key] for key in ("title", "upload_type", "description", "creators"))
    assert all(each["name"] for each in zenodo["creators"])


def test_docstrings_have_the_headings_that_the_site_knows() -> None:
    """Under another one, such as Example, a doctest becomes a quotation."""
    wrong = re.compile(r"^ +(Example|Usage|Return|Raise|Yield|Arg|Attribute|Warn):$", re.MULTILINE)
    found = [str(file) for file in (ROOT / "src").rglob("*.py") if wrong.search(file.read_text())]
    assert found == []


def test_the_pages_of_commands_take_them_from_the_app() -> None:
    """The options are never written by hand: the site asks the app, as this test does."""
    pages = {page.stem: page.read_text() for page in sorted((DOCS / "cli").glob("*.md"))}
    asked = re.findall("<!-- commands: (\\w+) -->", "".join(pages.values()))
    assert sorted(asked) == sorted({command.group for command in COMMANDS.values()})
    made = {group: hooks.commands(group) for group in ("Data", "Model", "Reports", "Shell")}
    for group, text in made.items():
        found = re.findall(r"^## psiprune ([a-z-]+)$", text, re.MULTILINE)
        assert found == [name for name, each in COMMANDS.items() if each.group == group]
    assert "- `--learning-rate FLOAT`: learning rate in the first step" in made["Model"]
    assert "```bash\npsiprune mask break cluster.txt" in made["Model"]
    assert hooks.on_page_markdown("<!-- commands: Shell -->") == made["Shell"]
    linked = "[on GitHub](../notebooks/a-b.ipynb)"
    assert hooks.on_page_markdown(linked) == "[on GitHub](../notebooks/a-b.md)"


def test_brackets_of_averages_are_not_taken_for_tags() -> None:
    html = "<p>mean <Z_i Z_j> and <M>, <b>not</b> this</p>"
    shown = "<p>mean &lt;Z_i Z_j&gt; and &lt;M&gt;, <b>not</b> this</p>"
    assert hooks.on_page_content(html) == shown
    assert hooks._verbatim("a <Z_i Z_j> of `b`") == "a &lt;Z\\_i Z\\_j> of `b`"


def eaten(docstring: str) -> list[str]:
    """What a browser takes for tags: `on_page_content` escapes only those with a capital letter."""
    text = re.sub(
        r"`[^`]*`|^ *(>>>|\.\.\.) .*$", "", inspect.cleandoc(docstring), flags=re.MULTILINE
    )
    return re.findall(r"</?[a-z][^<>]*>", text)


def docstrings(name: str) -> dict[str, str]:
    """Return the docstrings that the site shows of a name of the reference, and of its members."""
    thing = pkgutil.resolve_name(name)
    members = vars(thing) if inspect.isclass(thing) or inspect.ismodule(thing) else {}
    public = {f"{name}.{key}": each for key, each in members.items() if key[0] != "_"}
    found = {key: getattr(each, "__doc__", None) or "" for key, each in public.items()}
    return {name: inspect.getdoc(thing) or "", **found}


def test_no_docstring_of_the_reference_is_taken_for_a_tag() -> None:
    assert eaten("C = <z_s z_i> - `<m>`\n\n>>> repr(x)\n<s>\n") == ["<z_s z_i>", "<s>"]
    pages = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    names = re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE)
    found = {
        key: tags
        for name in names
        for key, each in docstrings(name).items()
        if (tags := eaten(each))
    }
    assert len(names) > 80
    assert found == {}


def test_formulas_become_mathml() -> None:
    pytest.importorskip("latex2mathml", reason="pip install '.[dev]' converts formulas")
    assert re.search(r"<math.*display=\"block\".*<msqrt>", hooks.math(r"\sqrt{p}"))
