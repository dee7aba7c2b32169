"""Write the report's sections from templates; the functions that the templates call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from inspect import isfunction
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from jinja2 import PackageLoader, StrictUndefined, pass_context
from jinja2.nativetypes import NativeEnvironment
from jinja2.runtime import Context
from markupsafe import Markup

from psiprune.paper import tables
from psiprune.paper.claims.data import MEASURES
from psiprune.paper.tables import HARMLESS, falls_apart, tree_weights
from psiprune.reporting import labels, traced
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
    Show,
    percent,
    position,
    ratio,
    significant,
    size,
    whole,
)

_LABELS = (labels.critical, labels.phase_label, labels.step_share)
#: Share of the weights that "the largest" are.
_TOP = 0.1
_RANKED = {
    "infidelity": "infidelity",
    "energy_bias": "the error of the energy",
    "abs_magnetization_bias": "that of ⟨|m|⟩",
    "correlation_mse": "C_MSE",
}
Read = Callable[..., Number]


class Text(NamedTuple):
    """A section in words: its title, the alternative text of its picture, and its sentences."""

    title: str
    alt: str
    sentences: list[Sentence]


class _Environment(NativeEnvironment):
    """Templates that yield numbers and data as they are, not as text; the page escapes them."""

    concat = staticmethod(tuple)  # type: ignore[assignment]


@pass_context
def _opaque(_: Context, value: Any) -> Any:
    """Wrap what an expression yields, so that nothing in it is taken for a tag of the template."""
    return value if isinstance(value, tuple | Markup) else Sentence((str(value),))


def write(name: str, **variables: Any) -> Text:
    """Fill in the template of a section: each <p> becomes a sentence that keeps its numbers."""
    template = _environment().get_template(f"{name}.html")
    context = template.new_context(variables)
    sentences = list(_paragraphs(template.root_render_func(context)))
    exported = context.get_exported()
    return Text(exported.get("title", ""), exported.get("alt", ""), sentences)


def _paragraphs(output: Iterable[Any]) -> Iterator[Sentence]:
    # NUL stands for each value while the text of the template is cleaned as one string.
    values: list[str | Number] = []
    text = re.sub(r"[ \n]+", " ", "".join(_text(output, values)))
    text = re.sub(r" (?=[.,;:)])", "", text)
    rest = iter(values)
    for paragraph in re.findall("<p>(.*?)</p>", text):
        pieces = re.split("(\0)", paragraph.strip())
        parts = [next(rest) if piece == "\0" else piece for piece in pieces]
        yield Sentence(tuple(part for part in parts if part))


def _text(output: Iterable[Any], values: list[str | Number]) -> Iterator[str]:
    """The text of a template, with NUL for each of the values."""
    for part in output:
        if isinstance(part, Number | Sentence):
            found = part.parts if isinstance(part, Sentence) else (part,)
            values += found
            yield "\0" * len(found)
        elif isinstance(part, tuple):  # of {% set name %}...{% endset %}
            yield from _text(part, values)
        else:
            yield part


def after(loop: Any) -> Markup:
    """What follows an item of an enumeration: a comma, "and", or nothing after the last."""
    return Markup("" if loop.last else " and " if loop.revindex0 == 1 else ", ")


def fields(of: Named | None) -> list[tuple[float, str]]:
    """Each field of a dataset with the name of its phase; none without a dataset."""
    values = [] if of is None else of.data["field"].values.tolist()
    return [(field, labels.phase_label(of.data, field)) for field in values if of is not None]


def shown_for(of: Named | None) -> str:
    """The end of an alternative text: the phases that a figure shows."""
    phases = " and ".join(phase for _, phase in fields(of))
    return f" Shown for {phases}. The text after the picture gives its numbers." if phases else ""


def one(of: Named, variable: str, show: Show = significant, **where: Any) -> Number:
    """The entry of a variable at this position."""
    return traced.one(of, variable, where, show)


def median(of: Named, variable: str, show: Show = significant, **where: Any) -> Number:
    """The median of a variable over seeds at this position."""
    return traced.median(of, variable, where, show)


def along(read: Read, of: Named, variable: str, dimension: str, **where: Any) -> dict[Any, Number]:
    """What `one` or `median` reads at each entry of a dimension, where that is known."""
    entries = of.data[dimension].values.tolist()
    return _known({entry: read(of, variable, **{**where, dimension: entry}) for entry in entries})


def _known(numbers: Mapping[Any, Number]) -> dict[Any, Number]:
    return {name: number for name, number in numbers.items() if number.known}


def smallest(numbers: Mapping[str, Number]) -> str:
    """The name of the smallest number."""
    return min(numbers, key=lambda name: numbers[name].value)


def largest(numbers: Mapping[str, Number]) -> str:
    """The name of the largest number."""
    return max(numbers, key=lambda name: numbers[name].value)


def count(value: SupportsFloat, how: str) -> Number:
    """A number of seeds, units or weights, or a level."""
    return Number(float(value), whole(float(value)), how)


def whole_percent(value: float, how: str) -> Number:
    """A share as a percentage without decimals, where it has none."""
    return Number(value, f"{100 * value:g}\N{NO-BREAK SPACE}%", how)


def over_seeds(of: Named) -> Sentence:
    """Over what a median is taken: "one seed", "median of 10 seeds"."""
    return _median_of(size(of, "seed"))


def _median_of(seeds: Number) -> Sentence:
    return Sentence(("one seed",) if seeds.value == 1 else ("median of ", seeds, " seeds"))


def level_near(of: Named, share: float, field: float | None = None) -> int:
    """The level with about this share of the weights pruned."""
    pruned = of.data["fraction_pruned"]
    if field is not None:
        pruned = pruned.sel(field=field).median("seed")
    return int(pruned["level"][int(np.abs(pruned.values - share).argmin())])


def largest_weights(of: Named) -> tuple[Number, Number]:
    """The number of largest weights, and their share of the sum of all magnitudes."""
    dense = of.data.isel(level=0)
    first = int(dense["level"])
    ranked = np.sort(np.abs(dense["weights"].where(dense["mask"] != 0, 0.0).values).ravel())[::-1]
    top = max(1, round(_TOP * int(dense["weights_kept"])))
    share = float(ranked[:top].sum() / ranked.sum()) if ranked.any() else 0.0
    how = f"sum of the {top} largest |weights|[level={first}] over the sum of all"
    return (
        count(top, f"{of.name}: {_TOP:g} x weights_kept[level={first}], rounded"),
        Number(share, percent(share), f"{of.name}: {how}"),
    )


def harmless(of: Named, field: float, variable: str = "kl") -> Number:
    """The largest share pruned up to which a measure stays within twice that of the dense RBMs.

    The last level of each seed before the first that exceeds this, then the median.
    """
    here = of.data.sel(field=field)
    values = here[variable].transpose("seed", "level").values
    pruned = here["fraction_pruned"].transpose("seed", "level").values
    # NaN does not prove that a level is unharmed.
    within = np.logical_and.accumulate(values <= HARMLESS * values[:, :1], axis=1)
    shares = [p[ok].max() if ok.any() else 0.0 for p, ok in zip(pruned, within, strict=True)]
    share = float(np.median(shares))
    rule = f"last level up to which {variable}[field={field:g}] <= {HARMLESS:g} x its level 0"
    how = f"{of.name}: median over seed of fraction_pruned at the {rule}"
    return Number(share, percent(share), how)


def growths(of: Named, field: float, level: int) -> dict[str, Number]:
    """By which factor each measure has grown over the dense RBMs, where that is known."""
    titles = {name: title for name, title in MEASURES.items() if name != "infidelity"}
    now, dense = ([median(of, name, field=field, level=at) for name in titles] for at in (level, 0))
    return _known(dict(zip(titles.values(), map(ratio, now, dense), strict=True)))


def peak(of: Named, variable: str, **where: Any) -> Number:
    """The |m| of the highest bar of P(m), of the mean over seeds."""
    probability = of.data[variable].sel(where)
    seeds = "seed" in probability.dims
    if seeds:
        probability = probability.mean("seed")
    ones = float(probability["ones"][int(probability.values.argmax())])
    value = abs(1.0 - 2.0 * ones / int(of.data.attrs["sites"]))
    how = f"{of.name}: |1 - 2 ones / sites| at the largest {variable}{position(where)}"
    return Number(value, significant(value), f"{how}, mean over seed" if seeds else how)


def most_frequent(of: Named, field: float) -> Number | None:
    """The largest number of most frequent configurations with a Z2 ratio."""
    if field not in of.data["field"].values:
        return None
    known = of.data["ratio"].sel(field=field).dropna("most")["most"].values
    how = f"{of.name}: largest entry along most with a ratio"
    return count(known.max(), how) if len(known) else None


def decay_changes(of: Named, field: float) -> list[tuple[int, Sentence, Number, Number]]:
    """How pruning changes the decay of C(d) at each size where it is known.

    Returns:
        The size; the seeds of the median (those of other sizes are padded with NaN); the first
        median difference of AIC above 0, else that of the last level that is known; and the
        fraction pruned there.
    """
    changes = []
    for sites in of.data["size"].values.tolist():
        where = {"size": sites, "field": field}
        here = of.data["delta_aic"].sel(where)
        middle = here.median("seed").dropna("level")
        if not middle.size:
            continue
        exponential = middle["level"].values[middle.values > 0]
        level = int(exponential[0] if len(exponential) else middle["level"][-1])
        how = f"{of.name}: number of seeds with a delta_aic{position(where)}"
        over = _median_of(count(here.notnull().any("level").sum(), how))
        delta = median(of, "delta_aic", size=sites, field=field, level=level)
        pruned = one(of, "fraction_pruned", percent, size=sites, level=level)
        changes.append((sites, over, delta, pruned))
    return changes


def rank_correlations(of: Named, field: float) -> dict[str, dict[str, Number]]:
    """Rank correlations with KL by part and measure, those that are known."""
    parts = {}
    for part in of.data["part"].values.tolist():
        numbers = along(median, of, "rank_correlation", "measure", field=field, part=part)
        if numbers:
            parts[part] = {_RANKED[name]: number for name, number in numbers.items()}
    return parts


def first_with_too_few(of: Named) -> Number:
    """The first step that leaves fewer weights than a connected graph needs; NaN if none does."""
    first = of.data.isel(field=0, seed=0)
    levels = first["level"].values[first["weights_kept"].values < tree_weights(of.data)]
    how = f"{of.name}: first level with weights_kept < sites + hidden - 1"
    return count(levels[0] if len(levels) else np.nan, how)


def first_apart(of: Named, field: float) -> list[Number]:
    """The first level at which a graph is disconnected: minimum, median and maximum over seeds.

    Seeds whose graph never falls apart do not count; NaN if none does.
    """
    levels = falls_apart(of.data, field)
    fallen = levels[np.isfinite(levels)]
    how = f"over seed of the first level with components[field={field:g}] > 1"
    return [
        count(getattr(np, name)(fallen) if len(fallen) else np.nan, f"{of.name}: {name} {how}")
        for name in ("min", "median", "max")
    ]


def each_apart(of: Named, field: float) -> list[Number]:
    """The first level at which the graph of each seed is disconnected; NaN if it never is."""
    how = f"{of.name}: first level with components[field={field:g}, seed={{}}] > 1"
    levels = zip(of.data["seed"].values, falls_apart(of.data, field), strict=True)
    return [count(level, how.format(seed)) for seed, level in levels]


def broken_kl(of: Named, field: float) -> dict[str, list[Number]]:
    """KL at the first and the last share broken, by start, where both are known."""
    ends = [float(of.data["share"][k]) for k in (0, -1)]
    changes = {
        start: [median(of, "broken_kl", field=field, start=start, share=share) for share in ends]
        for start in of.data["start"].values.tolist()
    }
    return {start: kls for start, kls in changes.items() if all(kl.known for kl in kls)}


def time(timing: Mapping[str, Any], row: int, name: str, show: Show = significant) -> Number:
    """An entry of the times."""
    value = float(timing["rows"][row][name])
    return Number(value, show(value), f"timing.json: rows[{row}].{name}")


@cache
def _environment() -> _Environment:
    environment = _Environment(
        loader=PackageLoader("psiprune.paper"),
        undefined=StrictUndefined,
        finalize=_opaque,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = (traced.attribute, traced.plural, *_LABELS, tables.half_of, tables.tree_weights)
    environment.globals.update({function.__name__: function for function in shared})
    # And every function of this module.
    environment.globals.update({name: f for name, f in globals().items() if isfunction(f)})
    return environment
