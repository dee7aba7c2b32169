"""The report in a browser: the slider shows the dataset's numbers at every width, and on paper."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

import psiprune as pp
import tiny
from browser import NAMES, VARIABLE, Browser, browsing, find_browser
from printable import check_printable
from psiprune.reporting.page import write_report
from psiprune.reporting.traced import percent, significant
from refusals import check_facts
from tiny_report import report_of, tiny_datasets

PROGRAM = find_browser()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PROGRAM is None,
        reason=f"no browser: none of {', '.join(NAMES)} is on the path; {VARIABLE} may name one",
    ),
]
RIGHT, LEFT, HOME, END, TAB = 39, 37, 36, 35, 9
MEASURES = ("kl", "infidelity", "energy_roe", "abs_magnetization_roe", "correlation_mse")


@pytest.fixture(scope="module")
def datasets(finished: Path, sparse: xr.Dataset, ablation: xr.Dataset) -> dict[str, xr.Dataset]:
    return tiny_datasets(finished, sparse, ablation)


@pytest.fixture(scope="module")
def file(datasets: dict[str, xr.Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("page") / "report.html", report_of(datasets))


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    assert PROGRAM is not None
    with browsing(PROGRAM) as browser:
        yield browser


@pytest.fixture
def browser(running: Browser, file: Path) -> Iterator[Browser]:
    """The page just opened; afterwards nothing was asked for and nothing went wrong."""
    running.resize(1280, 900)
    running.open(file)
    yield running
    assert running.complaints == []
    assert running.requests == [file.resolve().as_uri()]


def slide(browser: Browser, level: int) -> None:
    """Move the slider as a mouse would."""
    browser.run(
        f"(() => {{ const s = document.getElementById('level'); s.value = '{level}';"
        "s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def shown(browser: Browser) -> dict[str, tuple[float | None, str]]:
    """What the explorer shows now: name -> full value (None if unknown) and text."""
    found = browser.run(
        "JSON.stringify([...document.querySelectorAll('#explorer data')].map("
        "d => [d.dataset.what, d.getAttribute('value'), d.textContent]))"
    )
    return {
        name: (None if value is None else float(value), text)
        for name, value, text in json.loads(found)
    }


def expected(datasets: dict[str, xr.Dataset], field: float, level: int) -> dict[str, float]:
    """What it should show."""
    own = datasets["study"].sel(field=field, level=level)
    first = own.isel(seed=0)
    values: dict[str, Any] = {"weights_kept": first["weights_kept"]}
    for name in MEASURES:
        for end in ("", "_error", "_floor"):
            values[name + end] = first[name + end]
        for end, q in (("_low", 0.16), ("_median", 0.5), ("_high", 0.84)):
            values[name + end] = own[name].quantile(q, "seed")
    for name in ("magnetization", "abs_magnetization"):
        values |= {name: first[name], f"{name}_error": first[f"{name}_error"]}
    values["abs_magnetization_reference"] = own["abs_magnetization_reference"]
    for name, over in (("magnetization_distribution", "ones"), ("correlation", "distance")):
        for end in ("", "_error", "_reference"):
            for k in range(first.sizes[over]):
                values[f"{name}{end}[{k}]"] = first[name + end][k]
    models = datasets["models"].sel(field=field, level=level)
    values["largest_weight"] = np.abs(models["weights"].where(models["mask"] != 0)).max()
    return {name: float(value) for name, value in values.items()}


def check(browser: Browser, datasets: dict[str, xr.Dataset], field: float, level: int) -> None:
    right, found = expected(datasets, field, level), shown(browser)
    assert set(found) == set(right)
    for name, value in right.items():
        got, text = found[name]
        assert got == value or (got is None and math.isnan(value)), name
        assert text == (f"{value:.0f}" if name == "weights_kept" else significant(value)), name


def test_every_level_of_every_field(browser: Browser, datasets: dict[str, xr.Dataset]) -> None:
    study = datasets["study"]
    for k, field in enumerate(study["field"].values.tolist()):
        browser.run(f"document.querySelectorAll('input[name=field]')[{k}].click()")
        for level in study["level"].values.tolist():
            slide(browser, level)
            check(browser, datasets, field, level)
            pruned = float(study["fraction_pruned"].sel(field=field, level=level)[0])
            state = browser.run("document.getElementById('state').textContent")
            assert state.startswith(f"h/J = {field:g} (")
            assert f"level {level} of 3: " in state
            assert f"({percent(pruned)} pruned)" in state
            lines = browser.run("document.querySelectorAll('#graph line').length")
            assert lines == int(study["weights_kept"].sel(field=field, level=level)[0])
            bars = browser.run("document.querySelectorAll('#histogram rect').length")
            assert bars == study.sizes["ones"]
            words = browser.run(
                "[...document.querySelectorAll('#stage svg[role=img]')].map(s => s.ariaLabel)"
            )
            assert len(words) == 3
            assert all(len(text) > 40 for text in words)
            check_facts(words[0], f"{lines} weights", "3 hidden units", "4 sites")


def test_one_seed_has_no_median(
    running: Browser, datasets: dict[str, xr.Dataset], tmp_path: Path
) -> None:
    few = {
        name: each.isel({d: [0] for d in ("seed", "field") if d in each.dims})
        for name, each in datasets.items()
    }
    running.open(write_report(tmp_path / "one.html", report_of(few)))
    found, right = shown(running), expected(datasets, 1.0, 0)
    spread = {f"{name}{end}" for name in MEASURES for end in ("_low", "_median", "_high")}
    assert set(found) == set(right) - spread
    assert all(found[name][0] == right[name] for name in found)
    assert running.complaints == []


def test_by_keyboard_and_buttons(browser: Browser, datasets: dict[str, xr.Dataset]) -> None:
    wrong = datasets | {"study": datasets["study"].assign(kl_error=lambda x: x["kl_error"] + 1e-15)}
    with pytest.raises(AssertionError):  # a wrong number would be noticed
        check(browser, wrong, 1.0, 0)
    browser.run("document.getElementById('level').focus()")
    for key, code, level in (
        *(("ArrowRight", RIGHT, 1), ("ArrowRight", RIGHT, 2), ("ArrowLeft", LEFT, 1)),
        *(("End", END, 3), ("ArrowRight", RIGHT, 3), ("Home", HOME, 0)),
    ):
        browser.press(key, code)
        check(browser, datasets, 1.0, level)
        spoken = browser.run("document.getElementById('level').getAttribute('aria-valuetext')")
        assert spoken.startswith(f"level {level} of 3, ")
    browser.run("document.querySelector('input[name=field]').focus()")
    browser.press("ArrowRight", RIGHT)
    for button, level in (("more", 1), ("more", 2), ("fewer", 1), ("fewer", 0), ("fewer", 0)):
        browser.run(f"document.getElementById('{button}').click()")
        check(browser, datasets, 2.0, level)


def test_the_keyboard_gets_everywhere(browser: Browser) -> None:
    browser.press("Tab", TAB)
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().left >= 0")
    seen = set()
    for _ in range(400):
        browser.press("Tab", TAB)
        name = browser.run("document.activeElement.id || document.activeElement.name || ''")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        if name == "level":
            assert browser.run(outline) != "none"
        seen.add(name)
        if {"level", "fewer", "more", "field"} <= seen:
            break
    assert {"level", "fewer", "more", "field"} <= seen


def test_both_languages_round_alike(browser: Browser) -> None:
    generator = random.Random(0)
    values = [generator.gauss(0, 1) * 10.0 ** generator.randint(-12, 9) for _ in range(500)]
    values += [0.125, 1.125, -1.125, 2.675, 0.9995, 999499.9, 999500.0, 1e-3, 9.995e-4, 5e-324, 0]
    assert browser.run(f"{json.dumps(values)}.map(shown)") == [significant(v) for v in values]
    assert browser.run("[null, NaN, Infinity].map(shown)") == ["–"] * 3


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_sticks_out(browser: Browser, width: int) -> None:
    browser.resize(width, 800)
    wide = "document.documentElement.scrollWidth"
    for level in range(4):
        slide(browser, level)
        assert browser.run(wide) == width
    if width == 360:  # a phone
        elements = "[...document.querySelectorAll('{}')].map(e => parseFloat({}))".format
        tags = "p, li, th, td, summary, label, dd, figcaption"
        sizes = browser.run(elements(tags, "getComputedStyle(e).fontSize"))
        assert len(sizes) > 100
        assert min(sizes) >= 12
        assert min(browser.run(elements("button", "e.getBoundingClientRect().width"))) >= 44
    image = imread(io.BytesIO(browser.picture(width, 3000)))
    assert image.shape[:2] == (3000, width)
    colours = {tuple(pixel) for pixel in image[::5, ::5].reshape(-1, image.shape[2])}
    assert len(colours) > 20
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run(wide) == width
    browser.run("document.querySelector('h1').textContent = 'x'.repeat(500) + '\\u00a0y'")
    browser.run("document.querySelector('h1').style.overflowWrap = 'normal'")
    assert browser.run(wide) > width  # what does stick out is noticed


def test_on_paper(browser: Browser) -> None:
    slide(browser, 2)
    browser.send("Emulation.setEmulatedMedia", media="print")
    hidden = "[...document.querySelectorAll('.controls, nav, .skip')].map(e => e.checkVisibility())"
    assert not any(browser.run(hidden))
    assert browser.run("document.getElementById('state').checkVisibility()")
    assert "level 2 of 3" in browser.run("document.getElementById('state').textContent")
    browser.send("Emulation.setEmulatedMedia", media="")
    assert all(browser.run(hidden))
    printed = browser.printed()
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") > 3


def test_in_the_dark_and_at_rest(browser: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    scrolling = "getComputedStyle(document.documentElement).scrollBehavior"
    assert browser.run(ground) == "rgb(255, 255, 255)"
    features = [
        {"name": "prefers-color-scheme", "value": "dark"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.send("Emulation.setEmulatedMedia", features=features)
    assert browser.run(ground) == "rgb(21, 24, 27)"
    assert browser.run(scrolling) == "auto"
    picture = "getComputedStyle(document.querySelector('figure img')).backgroundColor"
    assert browser.run(picture) == "rgb(255, 255, 255)"
    browser.send("Emulation.setEmulatedMedia", features=[])


def test_without_scripts(running: Browser, file: Path) -> None:
    running.send("Emulation.setScriptExecutionDisabled", value=True)
    running.open(file)
    running.send("Emulation.setScriptExecutionDisabled", value=False)
    assert not running.run("document.getElementById('explorer').checkVisibility()")
    assert "needs JavaScript" in running.run("document.querySelector('noscript').innerText")
    assert running.run("document.querySelectorAll('#all-levels tbody tr').length") == 8
    assert running.run("document.querySelector('#all-levels summary').checkVisibility()")


def test_the_page_of_a_reconstruction(running: Browser, stages: Path, tmp_path: Path) -> None:
    shots = pp.read_shots(stages / "shots.nc")
    made = pp.reconstruct(shots, tmp_path / "run", settings=tiny.reconstruct_settings())
    for figure in (*made.figures().values(), made.plot()[0].figure):
        check_printable(figure)
    check_page(running, tmp_path / "run/report.html")


def test_the_page_of_a_reconstruction_with_phases(running: Browser, tmp_path: Path) -> None:
    state = pp.quench(pp.TFIM(sites=3, field=1.0), 0.6, progress=False)
    shots = pp.sample(state, 3000, seed=1, bases="nearest-pairs", progress=False)
    made = pp.reconstruct(shots, tmp_path / "run", hidden=2, seeds=2, prune={"fraction": 0.3})
    for figure in (*made.figures().values(), made.plot()[0].figure):
        check_printable(figure)
    check_page(running, tmp_path / "run/report.html")


def check_page(running: Browser, report: Path) -> None:
    """All of a page with four figures fits, asks for nothing, and complains of nothing."""
    for width in (320, 360, 1280):
        running.resize(width, 800)
        running.open(report)
        assert running.complaints == []
        assert running.requests == [report.resolve().as_uri()]
        running.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert running.run("document.documentElement.scrollWidth") == width
        assert running.run("document.querySelectorAll('figure img').length") == 4


def test_complaints_are_heard(running: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!DOCTYPE html><script>console.error('x'); nonsense()</script><img src=no.png>")
    running.open(bad)
    assert len(running.complaints) >= 3
    assert any(address.endswith("no.png") for address in running.requests)
