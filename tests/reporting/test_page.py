"""The report holds what the datasets hold, loads nothing, and can be read by anybody."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from html_page import Page
from psiprune.paper.claims.base import VERDICTS as VERDICTS_OF_CLAIMS
from psiprune.paper.explorer import MEASURES, explorer
from psiprune.paper.judging import Judgement
from psiprune.paper.report import paper_report
from psiprune.reporting.page import (
    VERDICTS,
    Explorer,
    Headline,
    Provenance,
    Report,
    Row,
    Section,
    Summary,
    Table,
    picture,
    render,
    write_report,
)
from psiprune.reporting.traced import Number, Sentence
from tiny_report import FIGURE, FIGURES, TIMING, report_of, tiny_datasets


@pytest.fixture(scope="module")
def datasets(finished: Path, sparse: xr.Dataset, ablation: xr.Dataset) -> dict[str, xr.Dataset]:
    return tiny_datasets(finished, sparse, ablation)


@pytest.fixture(scope="module")
def report(datasets: dict[str, xr.Dataset]) -> Report:
    return report_of(datasets)


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(render(report))


BARE = Report("t", [], Summary(), [], None, Provenance({}), "c")
UNJUDGED = Judgement([], [], {})


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    assert all(address.startswith("#") for address in page.attributes("href"))
    assert all(
        address.startswith("data:image/svg+xml;base64,") for address in page.attributes("src")
    )
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {e[0] for e in page.elements}
    assert not any(name.startswith("on") for _, own, _ in page.elements for name in own)
    style = page.all("style")[0][1]
    assert "url(" not in style
    assert "@import" not in style
    scripts = [(own, text) for own, text in page.all("script") if "type" not in own]
    assert len(scripts) == 1
    policy = next(own["content"] for own, _ in page.all("meta") if "http-equiv" in own)
    digest = base64.b64encode(hashlib.sha256(scripts[0][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


def test_ids_are_unique_and_what_refers_to_them_finds_them(page: Page) -> None:
    ids = page.attributes("id")
    assert len(set(ids)) == len(ids)
    pointing = [address[1:] for address in page.attributes("href")]
    for name in ("aria-labelledby", "aria-controls", "for"):
        pointing += page.attributes(name)
    assert len(pointing) > 20
    assert set(pointing) <= set(ids)


def test_headings_follow_one_another(page: Page) -> None:
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    titles = [text for _, text in page.all("h2")]
    assert titles[:2] == ["Summary", "Level by level"]
    figures = [f"Fig. {number}" for number in range(1, 7)]
    assert [title.partition(":")[0] for title in titles[2:10]] == [
        "Verdicts by training",
        *figures,
        "Table I",
    ]
    assert titles[-2:] == ["Provenance", "Run it again"]
    assert len(set(titles)) == len(titles) == 19


def test_everything_has_words(page: Page, report: Report) -> None:
    images = page.all("img")
    assert len(images) == len(FIGURES)
    assert all(len(own["alt"]) > 40 for own, _ in images)
    assert len({own["alt"] for own, _ in images}) == len(images)
    assert "h/J = 1 (QCP) and h/J = 2 (PM)" in images[1][0]["alt"]
    tables = [text for tag, _, text in page.elements if tag == "table"]
    assert len(page.all("caption")) == len(tables)
    assert all(own.get("scope") in ("row", "col") for own, _ in page.all("th"))
    assert page.elements[0][1] == {"lang": "en"}
    assert page.all("a")[0] == ({"class": "skip", "href": "#main"}, "Skip to the content")
    assert any(own.get("aria-live") == "polite" for own, _ in page.all("p"))
    assert len(page.all("noscript")) == 1
    assert any("All methods" in text for _, text in page.all("caption"))
    regions = [own for own, _ in page.all("div") if own.get("role") == "region"]
    assert regions
    assert all(own["tabindex"] == "0" for own in regions)
    for section in report.sections:
        assert section.picture is None or section.picture.alt in page.attributes("alt")


def test_colours_have_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") < 4.5
    style = Path(__file__).parents[2] / "src/psiprune/reporting/templates/style.css"
    css = style.read_text()
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in css.split("@media")[:2]]
    themes[1] = themes[0] | themes[1]
    assert themes[1]["page"] != themes[0]["page"]
    for theme in themes:
        for ground in ("page", "panel"):
            for ink in ("text", "muted", "link"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        for mark in ("positive", "negative", "model", "exact", "open"):  # lines and edges
            assert contrast(theme[mark], theme["page"]) >= 3.0, mark


def contrast(one: str, other: str) -> float:
    """Of two colours, as the Web Content Accessibility Guidelines 2 define it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_explorer_holds_the_dataset(page: Page, datasets: dict[str, xr.Dataset]) -> None:
    study, models = datasets["study"], datasets["models"]
    found = page.explorer
    assert [field["label"] for field in found["fields"]] == ["h/J = 1 (QCP)", "h/J = 2 (PM)"]
    assert (found["sites"], found["hidden"], found["seed"]) == (4, 3, 0)
    assert found["seeds"] == study.sizes["seed"]
    assert [measure["name"] for measure in found["measures"]] == list(MEASURES)
    for field, here in zip(study["field"].values, found["fields"], strict=True):
        own = study.sel(field=field)
        first = own.isel(seed=0)
        for name in ("weights_kept", "fraction_pruned", "components"):
            assert here[name] == first[name].values.tolist()
        for name in MEASURES:
            assert here[name]["value"] == first[name].values.tolist()
            assert here[name]["error"] == first[f"{name}_error"].values.tolist()
            assert here[name]["floor"] == first[f"{name}_floor"].values.tolist()
            for key, q in (("low", 0.16), ("median", 0.5), ("high", 0.84)):
                assert here[name][key] == own[name].quantile(q, "seed").values.tolist()
        for name in ("correlation", "magnetization_distribution", "abs_magnetization"):
            assert here[name]["value"] == first[name].values.tolist()
            assert here[name]["error"] == first[f"{name}_error"].values.tolist()
            assert here[name]["reference"] == own[f"{name}_reference"].values.tolist()
        weights, mask = (models[name].sel(field=field).values for name in ("weights", "mask"))
        shown = np.array(here["weights"], dtype=float)  # None becomes NaN
        assert (np.isnan(shown) == (mask == 0)).all()
        assert (shown[mask != 0] == weights[mask != 0]).all()


def test_what_is_not_known_is_null(datasets: dict[str, xr.Dataset]) -> None:
    study = datasets["study"].copy(deep=True)
    study["kl"][0, 0, 1] = np.nan
    study["kl_error"][0, 0, 2] = np.inf
    study = study.drop_vars(["magnetization_distribution", "correlation_reference"])
    page = Page(render(BARE._replace(explorer=explorer(study))))
    here = page.explorer["fields"][0]
    assert here["kl"]["value"][1] is None
    assert here["kl"]["error"][2] is None
    assert "magnetization_distribution" not in here
    assert here["correlation"]["reference"] is None
    assert "weights" not in here


def test_levels_as_tables(page: Page, datasets: dict[str, xr.Dataset]) -> None:
    study = datasets["study"]
    for number, field in enumerate(study["field"].values.tolist(), 1):
        id_ = f"levels-{number}"
        place = next(k for k, e in enumerate(page.elements) if e[1].get("id") == id_)
        after = page.elements[place + 1 :]
        shown = [float(own["value"]) for tag, own, _ in after if tag == "data"]
        names = ["fraction_pruned", "weights_kept", "components", *MEASURES]
        rows = [
            float(study[name].sel(field=field, level=level).median())
            for level in study["level"].values
            for name in names
        ]
        assert shown[: len(rows)] == rows


COUNT = re.compile(r"^([\w.-]+): (attribute|number of entries along) (\w+)$")
SIMPLE = re.compile(r"^([\w.-]+): (median over seed of |)(\w+)(?:\[(.*)\])?$")


def value_of(source: str, datasets: dict[str, xr.Dataset]) -> float | None:
    """The number that a source speaks of, read from the datasets; None if it takes more."""
    ratio = re.fullmatch(r"\((.*)\) / \((.*)\)", source)
    if ratio:
        a, b = (value_of(part, datasets) for part in ratio.groups())
        return None if a is None or b is None else a / b
    count = COUNT.match(source)
    if count:
        dataset = datasets[count[1]]
        return float((dataset.attrs if count[2] == "attribute" else dataset.sizes)[count[3]])
    found = SIMPLE.match(source)
    if not found or found[1] not in datasets or found[3] not in datasets[found[1]]:
        return None
    values = datasets[found[1]][found[3]]
    for part in (found[4] or "").split(", "):
        if part:
            name, _, at = part.partition("=")
            kind = values[name].dtype.kind
            values = values.sel({name: at if kind == "U" else float(at)})
    return float(values.median("seed") if found[2] else values)


def test_every_number_can_be_traced(page: Page, datasets: dict[str, xr.Dataset]) -> None:
    kl = "study: median over seed of kl[field=1, level=2]"
    right = float(datasets["study"]["kl"].sel(field=1.0, level=2).median())
    assert value_of(kl, datasets) == right
    assert value_of(f"({kl}) / ({kl})", datasets) == 1
    assert value_of("study: first level with something", datasets) is None
    numbers = [(own, text) for own, text in page.all("data") if "data-source" in own]
    assert len(numbers) == len(page.all("data"))
    read = 0
    for own, text in numbers:
        source = own["data-source"]
        assert text
        again = value_of(source, datasets)
        if again is not None:
            read += 1
            assert float(own["value"]) == again or math.isnan(again), (source, own["value"])
        else:  # counts, rules and times: they name what they are made of
            names = set(re.findall(r"[a-z][\w.-]*", source))
            assert names & {"timing.json", "claims", *datasets}, source
            known = {
                str(name) for each in datasets.values() for name in (*each.variables, *each.attrs)
            }
            assert names & {"claims", "verdict", *known, *TIMING}, source
    assert read > 100


def test_sources_are_listed(page: Page, report: Report) -> None:
    items = {text for _, text in page.all("li")}
    for section in report.sections:
        for sentence in section.sentences:
            for number in sentence.numbers:
                assert f"{number.shown} {number.source}" in items
    with_numbers = [s for s in report.sections if any(said.numbers for said in s.sentences)]
    details = [own for own, _ in page.all("details") if own.get("class") == "sources"]
    assert len(details) == len(with_numbers) + 1  # and the headlines


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;<b>{{ 7*7 }}"


def test_hostile_text_stays_text() -> None:
    number = Number(1.0, HOSTILE, HOSTILE)
    sentence = Sentence((HOSTILE, number))
    row = Row("key", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 3, {HOSTILE: number})
    table = Table(HOSTILE, [HOSTILE, HOSTILE], [[HOSTILE, number]])
    level = {"label": HOSTILE, "level": [0]}
    data = {"seed": 0, "seeds": 2, "fields": [level, level], "title": HOSTILE}
    report = BARE._replace(
        title=HOSTILE,
        introduction=[HOSTILE],
        summary=Summary([sentence], [Headline(number, sentence)], [row]),
        sections=[Section("x", HOSTILE, picture(FIGURE, HOSTILE), [sentence], table)],
        explorer=Explorer(data, [table]),
        provenance=Provenance({HOSTILE: HOSTILE}, HOSTILE),
        command=HOSTILE,
    )
    page = Page(render(report))
    assert len(page.all("script")) == 2
    assert len(page.all("img")) == 1
    assert not page.all("b", "strong") or all("alert" in text for _, text in page.all("strong"))
    assert not page.attributes("onerror")
    assert page.all("title")[0][1] == page.all("h1")[0][1] == HOSTILE
    assert page.all("code")[-1][1] == HOSTILE
    assert page.all("img")[0][0]["alt"] == HOSTILE
    assert page.all("data")[0][0]["data-source"] == HOSTILE
    assert page.explorer["title"] == HOSTILE


def test_a_report_of_nothing() -> None:
    page = Page(render(paper_report({}, UNJUDGED, {}, None, Provenance({}), {}, "psiprune paper")))
    assert [text for _, text in page.all("h2")] == ["Summary", "Provenance", "Run it again"]
    assert not page.all("h3", "table", "img", "data", "noscript")
    assert page.all("code")[-1][1] == "psiprune paper"


@pytest.mark.parametrize(
    "missing",
    [
        *("study", "models", "graph", "sparse", "ablation", "frontier"),
        *("symmetry", "decay", "ranks"),  # what is read off others
    ],
)
def test_without_a_dataset(missing: str, datasets: dict[str, xr.Dataset]) -> None:
    rest = {name: each for name, each in datasets.items() if name != missing}
    drawn: dict[str, Any] = FIGURES if missing < "m" else {}
    report = paper_report(rest, UNJUDGED, drawn, TIMING, Provenance({}), {}, "c")
    page = Page(render(report))
    ids = page.attributes("id")
    assert ("levels" in ids) == ("table1" in ids) == (missing != "study")
    assert len(page.all("img")) == len(drawn)
    if missing != "study":
        assert ("weights" in page.explorer["fields"][0]) == (missing != "models")
    sources = [n.source for s in report.sections for said in s.sentences for n in said.numbers]
    assert sources or missing == "study"
    assert not any(source.startswith(f"{missing}:") for source in sources)


def test_one_field_of_one_seed(report: Report, datasets: dict[str, xr.Dataset]) -> None:
    few = report_of(
        {
            name: each.isel({d: [0] for d in ("seed", "field") if d in each.dims})
            for name, each in datasets.items()
        }
    )
    page = Page(render(few))
    assert not any(own.get("type") == "radio" for own, _ in page.all("input"))
    assert not any(text == "Median" for _, text in page.all("th"))
    text, many = (
        " ".join(said.text for section in each.sections for said in section.sentences)
        for each in (few, report)
    )
    text = " ".join([text, *(text for _, text in page.all("caption", "figcaption", "h3"))])
    assert "one seed" in text
    assert "falls apart" in text
    assert not re.search(r"\b1 (seeds|weights|sites|units|claims|steps)\b|median of 1\b", text)
    assert "median of 2 seeds" in many


def test_counts_of_verdicts() -> None:
    assert tuple(VERDICTS) == VERDICTS_OF_CLAIMS
    verdicts = ["does not hold", "holds", "holds", "something new"]
    rows = [Row(f"k{k}", "s", "c", "r", v, "m", k, {}) for k, v in enumerate(verdicts)]
    page = Page(render(BARE._replace(summary=Summary(claims=rows))))
    lines = [text for own, text in page.all("ul") if own.get("class") == "counts"]
    assert lines[0].split("\n")[1:-1] == ["✓ holds: 2", "✗ does not hold: 1", "· something new: 1"]
    cells = [text for own, text in page.all("td") if own.get("class") == "verdict"]
    assert cells == ["✗ does not hold", "✓ holds", "✓ holds", "· something new"]


def test_the_verdicts_in_words(report: Report) -> None:
    rows = report.summary.claims
    count = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    numbers = [int(n) for n in re.findall(r"\d+", report.summary.sentences[0].text)]
    assert [n for n in numbers if n] == [len(rows), *(n for n in count.values() if n)]
    assert sum(count.values()) == len(rows) > 20


def test_a_picture_stands_in_the_page() -> None:
    shown = picture(FIGURE, "words")
    svg = base64.b64decode(shown.uri.partition(",")[2]).decode()
    assert (shown.width, shown.alt) == (800, "words")
    assert "metadata" not in svg
    assert 'd="M 0.12 1"' in svg
    assert 'id="a"' in svg
    assert picture('<svg xmlns="http://www.w3.org/2000/svg"/>', "").width is None
    first, second = Figure(figsize=(4, 3)), Figure(figsize=(4, 3))
    for figure in (first, second):
        figure.subplots().plot([1, 2, 3])
    assert picture(first, "").uri == picture(second, "").uri
    assert picture(first, "").width == pytest.approx(384)


def test_the_same_run_gives_the_same_page(report: Report, tmp_path: Path) -> None:
    file = write_report(tmp_path / "report.html", report)
    assert file.read_text() == render(report)
    assert [*tmp_path.iterdir()] == [file]
