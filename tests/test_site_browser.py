"""The documentation as a site: every link, every page in a browser at two widths, the search."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from matplotlib.image import imread

from browser import NAMES, VARIABLE, Browser, browsing, find_browser

ROOT = Path(__file__).parents[1]
#: Names the program mkdocs; by default that of `make docs`, else one on the path.
MKDOCS = "PSIPRUNE_MKDOCS"
PROGRAM = find_browser()
pytestmark = pytest.mark.slow
needs_browser = pytest.mark.skipif(
    PROGRAM is None,
    reason=f"no browser: none of {', '.join(NAMES)} is on the path; {VARIABLE} may name one",
)


def mkdocs() -> str | None:
    """The program that builds the site, if there is one."""
    here = ROOT / ".venv-docs" / "bin" / "mkdocs"
    named = os.environ.get(MKDOCS) or (str(here) if here.exists() else "mkdocs")
    return shutil.which(named)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = mkdocs()
    if program is None:
        pytest.skip(f"no mkdocs: `make docs` installs it, or {MKDOCS} names one")
    folder = tmp_path_factory.mktemp("site")
    command = [program, "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    environment.pop("PYTHONPATH", None)  # the packages of the tests are of another environment
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


class Links(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        for key in ("href", "src"):
            if value := values.get(key):
                self.links.append((tag, value))


def pages_of(site: Path) -> list[Path]:
    return sorted(page for page in site.rglob("*.html") if page.name != "404.html")


def dead_links(site: Path) -> list[str]:
    """Links that lead to no file or anchor, and files that are loaded from other hosts."""
    parsed = {page: Links(page.read_text()) for page in pages_of(site)}
    dead = []
    for page, found in parsed.items():
        for tag, link in found.links:
            parts = urlsplit(link)
            where = f"{page.relative_to(site)}: {link}"
            if parts.scheme or parts.netloc:
                if tag not in ("a", "link") and parts.scheme != "data":
                    dead.append(f"{where} is loaded from another host")
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            file = file / "index.html" if file.is_dir() else file
            if not file.exists():
                dead.append(f"{where} leads nowhere")
            elif file in parsed and unquote(parts.fragment) not in {"", *parsed[file].anchors}:
                dead.append(f"{where} has no such anchor")
    return dead


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    assert dead_links(site) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    links = '<a href="b.html#x">b</a><a href="c.html">c</a><script src="https://x.org/a.js">'
    (tmp_path / "a.html").write_text(links)
    (tmp_path / "b.html").write_text('<p id="y">')
    assert dead_links(tmp_path) == [
        "a.html: b.html#x has no such anchor",
        "a.html: c.html leads nowhere",
        "a.html: https://x.org/a.js is loaded from another host",
    ]


def test_docstrings_are_rendered(site: Path) -> None:
    text = "".join(page.read_text() for page in (site / "api").glob("*.html"))
    assert "<blockquote>" not in text
    assert re.findall(r"<[A-Z][^>]*>", text) == []
    assert "&lt;Z_i" in text
    assert "&gt;&gt;&gt;" in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with browsing(PROGRAM) as running:
        yield running


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_and_nothing_goes_wrong(site: Path, browser: Browser, width: int) -> None:
    browser.resize(width, 900)
    wide = []
    for page in pages_of(site):
        browser.open(page)
        assert browser.complaints == [], page
        assert [each for each in browser.requests if not each.startswith("file:")] == [], page
        needed = browser.run("document.documentElement.scrollWidth")
        if needed > width:
            wide.append(f"{page.relative_to(site)}: {needed}")
        picture = imread(io.BytesIO(browser.picture(width, 900)))
        assert np.std(picture[..., :3]) > 0.02, page  # not a blank page
    assert wide == []


@needs_browser
def test_the_search_works_from_a_disk(site: Path, browser: Browser) -> None:
    browser.resize(1280, 900)
    browser.open(site / "index.html")
    browser.run(
        "(() => { const box = document.querySelector('.md-search__input'); box.focus();"
        "box.value = 'readout'; box.dispatchEvent(new Event('input', {bubbles: true}));"
        "box.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true})); })()"
    )
    end = time.monotonic() + 20
    found = ""
    while "eadout" not in found and time.monotonic() < end:
        time.sleep(0.2)
        found = browser.run("document.querySelector('.md-search-result__list').textContent")
    assert "eadout" in found
    assert browser.complaints == []


@needs_browser
def test_it_is_dark_in_the_dark(site: Path, browser: Browser) -> None:
    light = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.send("Emulation.setEmulatedMedia", features=features)
        browser.open(site / "install.html")
        browser.run("localStorage.clear()")  # what an earlier scheme has left
        browser.open(site / "install.html")
        for what in ("backgroundColor", "color"):
            found = browser.run(f"getComputedStyle(document.body).{what}")
            light[scheme, what] = np.mean([int(part) for part in re.findall(r"\d+", found)[:3]])
    browser.send("Emulation.setEmulatedMedia", features=[])
    assert light["light", "backgroundColor"] > 200 > 100 > light["light", "color"]
    assert light["dark", "backgroundColor"] < 60 < 120 < light["dark", "color"]
