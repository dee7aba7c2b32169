"""The report holds what the datasets hold, loads nothing, and can be read by anybody."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from psiprune.paper.claims.base import VERDICTS as VERDICTS_OF_CLAIMS
from psiprune.paper.explorer import MEASURES, explorer
from psiprune.paper.narrative import harmless, write
from psiprune.paper.report import NAMED, paper_report
from psiprune.paper.tables import frontier_table, table_one
from psiprune.reporting.labels import method_title
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
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
    listed,
    percent,
    plural,
    say,
    significant,
    whole,
)
from tiny_report import FIGURE, FIGURES, TIMING, report_of, tiny_datasets

VOID = {"meta", "img", "input", "br"}
STYLE = Path(__file__).parents[2] / "src" / "psiprune" / "reporting" / "templates" / "style.css"


class Page(HTMLParser):
    """What a page is made of: its elements with attributes and all text within, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, [tag for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), attrs
        text: list[str] = []
        self.elements.append((tag, {name: value or "" for name, value in attrs}, text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_endtag(self, tag: str) -> None:
        last, _ = self._open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def all(self, *tags: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of all elements with these tags."""
        return [(own, "".join(text)) for tag, own, text in self.elements if tag in tags]

    def attributes(self, name: str) -> list[str]:
        return [own[name] for _, own, _ in self.elements if name in own]

    @property
    def explorer(self) -> Any:
        """What the page's script reads."""
        found = [text for own, text in self.all("script") if own.get("id") == "explorer-data"]
        return json.loads(found[0], parse_constant=lambda name: pytest.fail(f"JSON has no {name}"))


@pytest.fixture(scope="module")
def datasets(finished: Path, sparse: xr.Dataset, ablation: xr.Dataset) -> dict[str, xr.Dataset]:
    return tiny_datasets(finished, sparse, ablation)


@pytest.fixture(scope="module")
def report(datasets: dict[str, xr.Dataset]) -> Report:
    return report_of(datasets)


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(render(report))


def bare(**changes: Any) -> Report:
    """A report of nothing."""
    empty: dict[str, Any] = {
        "title": "t",
        "introduction": [],
        "summary": Summary(),
        "sections": [],
        "explorer": None,
        "provenance": Provenance({}),
        "command": "c",
    }
    return Report(**{**empty, **changes})


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
    assert titles[2:-2] == [
        "Fig. 1: an RBM before and after pruning",
        "Fig. 2: five measures against the fraction pruned",
        "Fig. 3: the order parameter",
        "Fig. 4: decay of correlations",
        "Fig. 5: sparse from the start",
        "Fig. 6: the measures against KL",
        "Table I: weights and connectedness",
        "Other pruning schedules",
        "Clusters broken",
        "Clusters forbidden",
        "Larger systems",
        "Error against number of weights",
        "Time saved",
    ]
    assert titles[-2:] == ["Provenance", "Run it again"]


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
    regions = [own for own, _ in page.all("div") if own.get("role") == "region"]
    assert regions
    assert all(own["tabindex"] == "0" for own in regions)
    for section in report.sections:
        assert section.picture is None or section.picture.alt in page.attributes("alt")


def test_colours_have_contrast() -> None:
    css = STYLE.read_text()
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


def test_contrast_of_black_and_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") < 4.5


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
    page = Page(render(bare(explorer=explorer(study))))
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


def test_a_wrong_number_would_be_noticed(datasets: dict[str, xr.Dataset]) -> None:
    study = datasets["study"]
    wrong = {"study": study.assign(kl=2 * study["kl"])}
    source = "study: median over seed of kl[field=1, level=2]"
    right = float(study["kl"].sel(field=1.0, level=2).median())
    assert value_of(source, datasets) == right
    assert value_of(source, wrong) == 2 * right
    assert value_of(f"({source}) / ({source})", datasets) == 1
    assert value_of("study: first level with something", datasets) is None


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
    page = Page(
        render(
            Report(
                title=HOSTILE,
                introduction=[HOSTILE],
                summary=Summary([sentence], [Headline(number, sentence)], [row]),
                sections=[Section("x", HOSTILE, picture(FIGURE, HOSTILE), [sentence], table)],
                explorer=Explorer(data, [table]),
                provenance=Provenance({HOSTILE: HOSTILE}, HOSTILE),
                command=HOSTILE,
            )
        )
    )
    assert len(page.all("script")) == 2
    assert len(page.all("img")) == 1
    assert not page.all("b", "strong") or all("alert" in text for _, text in page.all("strong"))
    assert not page.attributes("onerror")
    assert page.all("title")[0][1] == page.all("h1")[0][1] == HOSTILE
    assert page.all("code")[-1][1] == HOSTILE
    assert page.all("img")[0][0]["alt"] == HOSTILE
    assert page.all("data")[0][0]["data-source"] == HOSTILE
    assert page.explorer["title"] == HOSTILE


def test_hostile_names_in_datasets_stay_text(datasets: dict[str, xr.Dataset]) -> None:
    names = [f"</p><p>{HOSTILE}", *datasets["sparse"]["variant"].values[1:]]
    hostile = datasets["sparse"].assign_coords(variant=names)
    said = sentences("fig5", sparse=hostile)
    assert [len(each.numbers) for each in said] == [
        len(each.numbers) - 1  # sp/ss over dense, of which there is no RBM now
        for each in sentences("fig5", sparse=datasets["sparse"])
    ]
    assert all(f"{names[0]} {each.numbers[1].shown}" in each.text for each in said)
    page = Page(render(bare(sections=[Section("x", "x", None, said)])))
    assert not page.all("img")
    assert not page.attributes("onerror")


def test_a_report_of_nothing() -> None:
    page = Page(render(paper_report({}, [], [], {}, None, Provenance({}), "psiprune paper")))
    assert [text for _, text in page.all("h2")] == ["Summary", "Provenance", "Run it again"]
    assert not page.all("h3", "table", "img", "data", "noscript")
    assert page.all("code")[-1][1] == "psiprune paper"


@pytest.mark.parametrize("missing", ["study", "models", "graph", "sparse", "ablation", "frontier"])
@pytest.mark.parametrize("figures", [True, False])
def test_without_a_dataset(missing: str, figures: bool, datasets: dict[str, xr.Dataset]) -> None:
    rest = {name: each for name, each in datasets.items() if name != missing}
    drawn: dict[str, Any] = FIGURES if figures else {}
    page = Page(render(paper_report(rest, [], [], drawn, None, Provenance({}), "c")))
    ids = page.attributes("id")
    assert ("levels" in ids) == ("table1" in ids) == (missing != "study")
    assert len(page.all("img")) == len(drawn)
    if missing != "study":
        assert ("weights" in page.explorer["fields"][0]) == (missing != "models")


@pytest.mark.parametrize("name", ["symmetry", "decay", "ranks"])
def test_without_what_is_read_off(name: str, datasets: dict[str, xr.Dataset]) -> None:
    rest = {key: each for key, each in datasets.items() if key != name}
    report = paper_report(rest, [], [], FIGURES, TIMING, Provenance({}), "c")
    sources = [n.source for s in report.sections for said in s.sentences for n in said.numbers]
    assert sources
    assert not any(source.startswith(f"{name}:") for source in sources)


def test_one_field_of_one_seed(datasets: dict[str, xr.Dataset]) -> None:
    few = {
        name: each.isel({d: [0] for d in ("seed", "field") if d in each.dims})
        for name, each in datasets.items()
    }
    page = Page(render(report_of(few)))
    assert not any(own.get("type") == "radio" for own, _ in page.all("input"))
    assert not any(text == "Median" for _, text in page.all("th"))
    said = [said.text for section in report_of(few).sections for said in section.sentences]
    text = " ".join([*said, *(text for _, text in page.all("caption", "figcaption", "h3"))])
    assert "one seed" in text
    assert "falls apart" in text
    assert not re.search(r"\b1 (seeds|weights|sites|units|claims|steps)\b", text)
    assert not re.search(r"median of 1\b", text)
    many = " ".join(said.text for s in report_of(datasets).sections for said in s.sentences)
    assert "median of 2 seeds" in many


def test_counts_of_verdicts() -> None:
    assert tuple(VERDICTS) == VERDICTS_OF_CLAIMS
    verdicts = ["does not hold", "holds", "holds", "something new"]
    rows = [Row(f"k{k}", "s", "c", "r", v, "m", k, {}) for k, v in enumerate(verdicts)]
    page = Page(render(bare(summary=Summary(claims=rows))))
    lines = [text for own, text in page.all("ul") if own.get("class") == "counts"]
    assert lines[0].split("\n")[1:-1] == [
        "✓ holds: 2",
        "✗ does not hold: 1",
        "· something new: 1",
    ]
    cells = [text for own, text in page.all("td") if own.get("class") == "verdict"]
    assert cells == ["✗ does not hold", "✓ holds", "✓ holds", "· something new"]


def test_the_verdicts_in_words(report: Report) -> None:
    rows = report.summary.claims
    count = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    numbers = [int(n) for n in re.findall(r"\d+", report.summary.sentences[0].text)]
    assert [n for n in numbers if n] == [len(rows), *(n for n in count.values() if n)]
    assert sum(count.values()) == len(rows) > 20


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (-12.34, "−12.3"),
        (0.125, "0.125"),
        (1.125, "1.13"),
        (-1.125, "−1.13"),
        (0.9996, "1.00"),
        (99.96, "100"),
        (1234.0, "1230"),
        (1235.0, "1240"),
        (123456.0, "123000"),
        (999499.0, "999000"),
        (999500.0, "1.00\u202f×\u202f10⁶"),
        (0.001, "0.00100"),
        (0.0009996, "0.00100"),
        (0.0009994, "9.99\u202f×\u202f10⁻⁴"),
        (-4.5678e-12, "−4.57\u202f×\u202f10⁻¹²"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_three_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


def test_words() -> None:
    a, b = Number(1, "1", "x: a"), Number(2, "2", "x: b")
    assert plural(a, "seed").text == "1 seed"
    assert plural(b, "seed").text == "2 seeds"
    assert plural(b, "axis", "axes").text == "2 axes"
    assert listed([]).text == ""
    assert listed([a]).text == "1"
    assert listed([a, b]).text == "1 and 2"
    assert listed([a, "x", b], "or").text == "1, x or 2"
    said = say("{a} of {b}: {c}.", a=a, b=plural(b, "seed"), c="all")
    assert said.text == "1 of 2 seeds: all."
    assert said.numbers == (a, b)
    assert percent(0.0625) == "6.3\xa0%"
    assert percent(math.nan) == whole(math.nan) == "–"
    assert whole(2.5) == "2.5"


def sentences(name: str, **datasets: xr.Dataset) -> list[Sentence]:
    """What a section says about these datasets, without any other."""
    named = {key: Named(key, dataset) for key, dataset in datasets.items()}
    return write(name, **{**dict.fromkeys(NAMED, None), **named}).sentences


def steps(kl: list[list[float]], components: list[list[int]] | None = None) -> xr.Dataset:
    """A study of one field with these KL divergences and parts, [seed][level]; 10 % a level."""
    values = np.array([kl])
    parts = np.ones(values.shape, int) if components is None else np.array([components])
    pruned = np.broadcast_to(np.arange(values.shape[2]) / 10, values.shape)
    over = ("field", "seed", "level")
    return xr.Dataset(
        {
            "kl": (over, values),
            "components": (over, parts),
            "fraction_pruned": (over, pruned),
            "weights_kept": (over, np.rint(10 - 10 * pruned).astype(int)),
        },
        {"field": [1.0], "seed": range(values.shape[1]), "level": range(values.shape[2])},
        {"sites": 5, "hidden": 2, "coupling": 1.0},
    )


def test_harmless_is_up_to_the_first_level_that_hurts() -> None:
    def share(*kl: list[float]) -> float:
        return harmless(Named("study", steps(list(kl))), 1.0).value

    assert share([1, 1, 2, 2.1, 1]) == 0.2  # later levels do not count
    assert share([1, 1, 1, 1]) == pytest.approx(0.3)
    assert share([1, 3, 1, 1]) == 0.0
    assert share([1, 1, math.nan, 1]) == 0.1
    assert share([1, 1, 2, 3], [1, 3, 3, 3], [1, 2, 2, 2]) == 0.2
    assert share([math.nan, 1, 1, 1]) == 0.0


def test_when_graphs_fall_apart() -> None:
    parts = [[1, 1, 2, 2, 2], [1, 1, 1, 2, 1], [1, 1, 1, 1, 1]]
    study = steps([[1.0] * 5] * 3, parts)
    texts = [said.text for said in sentences("table1", study=study)]
    assert texts == [
        "A connected graph of 5 sites and 2 hidden units needs at least 6 weights; every step "
        "leaves as many.",
        "At h/J = 1 (QCP) the graphs of 2 of 3 seeds fall apart, first at step 2 to 3, step 2.5 in "
        "the median.",
        "Seed by seed the graph is first disconnected at step 2, 3 and never.",
    ]
    table = table_one(study)
    cells = [[c if isinstance(c, str) else c.shown for c in row] for row in table.rows]
    assert cells[0] == ["0", "10", "100.0\xa0%", "3"]
    assert [row[-1] for row in cells] == ["3", "3", "2", "1", "2"]
    connected = steps([[1.0] * 5])
    assert sentences("table1", study=connected)[-1].text == "At h/J = 1 (QCP) no graph falls apart."
    few = [said.text for said in sentences("table1", study=steps([[1.0] * 7], [[1] * 5 + [2, 2]]))]
    assert few[0].endswith("from step 5 on fewer are left.")
    assert few[1] == "At h/J = 1 (QCP) the graph falls apart, first at step 5."


def test_decay_in_words() -> None:
    deltas = np.array([[[[-4.0, -1.0, 3.0]]], [[[2.0, 1.0, 3.0]]], [[[-2.0, -1.0, np.nan]]]])
    over = ("size", "field", "seed", "level")
    decay = xr.Dataset(
        {
            "delta_aic": (over, deltas),
            "delta_aic_reference": (("size", "field"), [[-5.0], [4.0], [np.nan]]),
            "fraction_pruned": (("size", "level"), np.tile([0.0, 0.1, 0.2], (3, 1))),
        },
        {"size": [18, 50, 100], "field": [1.0], "seed": [0], "level": [0, 1, 2]},
        {"coupling": 1.0},
    )
    exact, rbms = (said.text for said in sentences("fig4", decay=decay))
    assert exact.endswith(
        "the power law at N = 18 (ΔAIC = −5.00) and the exponential at N = 50 (ΔAIC = 4.00)."
    )
    assert rbms == (
        "For the RBMs the exponential first becomes the better one at N = 18 (one seed) with "
        "20.0\xa0% pruned (ΔAIC = 3.00), the exponential is the better one at N = 50 (one seed) "
        "before any pruning (ΔAIC = 2.00) and the power law stays the better one at N = 100 (one "
        "seed) up to 10.0\xa0% pruned, the last level with enough data."
    )
    unknown = {name: decay[name] * np.nan for name in ("delta_aic", "delta_aic_reference")}
    assert sentences("fig4", decay=decay.assign(unknown)) == []


def test_seeds_of_a_decay_are_counted_by_size() -> None:
    delta = np.full((2, 1, 4, 2), -3.0)
    delta[1, :, 2:] = np.nan  # the larger size has two seeds, and is padded
    decay = xr.Dataset(
        {
            "delta_aic": (("size", "field", "seed", "level"), delta),
            "delta_aic_reference": (("size", "field"), [[-5.0], [-5.0]]),
            "fraction_pruned": (("size", "level"), np.tile([0.0, 0.1], (2, 1))),
        },
        {"size": [18, 50], "field": [1.0], "seed": np.arange(4), "level": [0, 1]},
        {"coupling": 1.0},
    )
    rbms = sentences("fig4", decay=decay)[1]
    assert "N = 18 (median of 4 seeds)" in rbms.text
    assert "N = 50 (median of 2 seeds)" in rbms.text
    counts = [(n.value, n.source) for n in rbms.numbers if "number of seeds" in n.source]
    of = "decay: number of seeds with a delta_aic"
    assert counts == [(4, f"{of}[size=18, field=1]"), (2, f"{of}[size=50, field=1]")]


def test_all_ways_to_remove_weights_are_in_the_table(page: Page) -> None:
    kl = np.array([[1.0, 1.5, 2.0, 9.0], [1.1, 1.2, 5.0, np.nan], [4.0, 4.0, 4.0, 4.0]])
    over = ("field", "seed", "variant", "count")
    values = np.stack([[kl] * 2, [2 * kl] * 2])
    frontier = xr.Dataset(
        {"kl": (over, values), "abs_magnetization_roe": (over, values / 100)},
        {
            "field": [1.0, 2.0],
            "seed": [0, 1],
            "variant": ["surgeon", "magnitude-by-unit", "damage-alone"],
            "count": [8, 6, 4, 2],
        },
        {"sites": 4, "hidden": 2, "coupling": 1.0, "limit": 0.02},
    )
    table = frontier_table(frontier)
    assert table is not None
    cells = [[c if isinstance(c, str) else c.shown for c in row] for row in table.rows]
    assert cells == [
        ["surgeon", "2.00", "4", "6", "4.00", "4", "–"],
        ["magnitude, by hidden unit", "5.00", "6", "6", "10.0", "6", "–"],
        ["damage, no training", "4.00", "–", "–", "8.00", "–", "–"],
    ]
    assert len({len(row) for row in [table.head, *table.rows]}) == 1
    assert frontier_table(frontier.sel(variant=["damage-alone"])) is None
    assert method_title("surgeon-1") == "surgeon, 1 hidden unit"
    assert any("All methods" in text for _, text in page.all("caption"))


def test_schedules_with_the_same_first_step_are_distinguished() -> None:
    kept = np.array([100, 90, 81, 73, 66, 59]), np.array([100, 90, 86, 81, 77, 73])
    made = [
        xr.Dataset(
            {
                "kl": (("field", "seed", "level"), np.ones((1, 1, 6))),
                "weights_kept": (("field", "seed", "level"), each[None, None]),
                "fraction_pruned": (("field", "seed", "level"), 1 - each[None, None] / 100),
            },
            {"field": [1.0], "seed": [0], "level": np.arange(6)},
            {"coupling": 1.0},
        )
        for each in kept
    ]
    study, schedule = (Named(name, each) for name, each in zip("ab", made, strict=True))
    (sentence,) = write("schedules", study=study, schedules=[schedule]).sentences
    first = "nats with 10.0\xa0% in the first step, then"
    assert f"{first} 10\xa0% a step" in sentence.text
    assert f"{first} 5\xa0% a step" in sentence.text


def test_times_in_words() -> None:
    assert [said.text for said in write("timing", timing=TIMING).sentences] == [
        "One CD-10 update takes 24.5 µs and a Gibbs step of one chain 0.0200 µs with 12 weights.",
        "With 4 weights left (33.3\xa0% of them) the update is 2.50 times as fast.",
    ]
    one = {"cd_steps": 1, "rows": TIMING["rows"][:1]}
    assert len(write("timing", timing=one).sentences) == 1
    assert write("timing", timing={**one, "rows": []}).sentences == []


def test_a_picture_stands_in_the_page() -> None:
    shown = picture(FIGURE, "words")
    svg = base64.b64decode(shown.uri.partition(",")[2]).decode()
    assert shown.width == 800
    assert shown.alt == "words"
    assert "metadata" not in svg
    assert 'd="M 0.12 1"' in svg
    assert 'id="a"' in svg
    assert picture('<svg xmlns="http://www.w3.org/2000/svg"/>', "").width is None


def test_a_figure_gives_the_same_bytes_each_time() -> None:
    from matplotlib.figure import Figure

    def drawn() -> Figure:
        figure = Figure(figsize=(4, 3))
        figure.subplots().plot([1, 2, 3])
        return figure

    assert picture(drawn(), "").uri == picture(drawn(), "").uri
    assert picture(drawn(), "").width == pytest.approx(384)


def test_the_same_run_gives_the_same_page(report: Report, tmp_path: Path) -> None:
    file = write_report(tmp_path / "report.html", report)
    assert file.read_text() == render(report)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
