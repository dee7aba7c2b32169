"""The report of a sweep in a browser: it fits a phone, loads nothing, and nothing goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from browser import NAMES, VARIABLE, browsing, find_browser
from psiprune.sweeps.report import report_on

PROGRAM = find_browser()


@pytest.mark.slow
@pytest.mark.skipif(
    PROGRAM is None,
    reason=f"no browser: none of {', '.join(NAMES)} is on the path; {VARIABLE} may name one",
)
@pytest.mark.parametrize("name", ["swept", "swept_runs"])
def test_the_page_of_a_sweep(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(request.getfixturevalue(name), tmp_path / "run")
    report = report_on(folder).page
    assert PROGRAM is not None
    with browsing(PROGRAM) as browser:
        for width in (360, 1280):
            browser.resize(width, 900)
            browser.open(report)
            assert browser.complaints == []
            assert browser.requests == [report.resolve().as_uri()]
            browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert browser.run("document.documentElement.scrollWidth") == width
            assert len(browser.run("document.body.innerText")) > 200
