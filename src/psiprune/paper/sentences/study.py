"""On the main study and its RBMs: Figs. 1, 2, 3 and 6, Table I."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.paper.sentences.common import (
    fields,
    harmless,
    largest,
    last_level,
    level_near,
    over_seeds,
    smallest,
)
from psiprune.reporting.labels import critical, phase_label
from psiprune.reporting.page import Table
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
    Where,
    attribute,
    listed,
    median,
    one,
    percent,
    plural,
    position,
    ratio,
    say,
    significant,
    size,
    whole,
)

#: Share of the weights that "the largest" are.
_TOP = 0.1
_RANKED = {
    "infidelity": "infidelity",
    "energy_bias": "the error of the energy",
    "abs_magnetization_bias": "that of ⟨|m|⟩",
    "correlation_mse": "C_MSE",
}


def on_graph(graph: xr.Dataset) -> list[Sentence]:
    """Fig. 1: what is left of an RBM, and how few weights hold most of it."""
    of = Named("graph", graph)
    first, last = int(graph["level"][0]), last_level(graph)
    nearest = int(np.abs(graph["fraction_pruned"].values - 0.5).argmin())
    shown = {"level": int(graph["level"][nearest])}
    dense = graph.sel(level=first)
    weights = dense["weights"].where(dense["mask"] != 0, 0.0).values
    ranked = np.sort(np.abs(weights).ravel())[::-1]
    count = max(1, round(_TOP * int(dense["weights_kept"])))
    top = Number(count, whole(count), f"graph: {_TOP:g} x weights_kept[level={first}], rounded")
    share = float(ranked[:count].sum() / ranked.sum()) if ranked.any() else 0.0
    held = Number(
        share,
        percent(share),
        f"graph: sum of the {count} largest |weights|[level={first}] over the sum of all",
    )
    return [
        say(
            "An RBM of {sites} qubits and {hidden} begins with {begin}. With {pruned} pruned, as "
            "in the lower row, it keeps {kept}, {parts}; after {steps} it keeps {end}, {last}.",
            sites=attribute(of, "sites"),
            hidden=plural(attribute(of, "hidden"), "hidden unit"),
            begin=plural(one(of, "weights_kept", {"level": first}, whole), "weight"),
            pruned=one(of, "fraction_pruned", shown, percent),
            kept=one(of, "weights_kept", shown, whole),
            parts=_in_parts(of, shown),
            steps=plural(_steps(of), "pruning step"),
            end=one(of, "weights_kept", {"level": last}, whole),
            last=_in_parts(of, {"level": last}),
        ),
        say(
            "Before pruning {top} {share} of the sum of all magnitudes.",
            top=say("the largest weight holds")
            if count == 1
            else say("the {n} largest weights hold", n=top),
            share=held,
        ),
    ]


def on_study(study: xr.Dataset) -> list[Sentence]:
    """Fig. 2: how far pruning is harmless, and which measure suffers most."""
    of = Named("study", study)
    last = last_level(study)
    found = []
    for field, phase in fields(of):
        found.append(
            say(
                "At {phase} the KL divergence ({over}) is {dense} nat before pruning, stays within "
                "twice its value of the dense RBM up to {share} of the weights pruned, and ends at "
                "{end} nat with {pruned} pruned.",
                phase=phase,
                over=over_seeds(of),
                dense=median(of, "kl", {"field": field, "level": 0}),
                share=harmless(of, field),
                end=median(of, "kl", {"field": field, "level": last}),
                pruned=median(of, "fraction_pruned", {"field": field, "level": last}, percent),
            )
        )
    field = critical(study)
    phase = phase_label(study, field)
    half = level_near(study, field, 0.5)
    grown = {
        name: ratio(
            median(of, variable, {"field": field, "level": half}),
            median(of, variable, {"field": field, "level": 0}),
        )
        for name, variable in (
            ("KL", "kl"),
            ("eROE", "energy_roe"),
            ("mROE", "abs_magnetization_roe"),
            ("C_MSE", "correlation_mse"),
        )
    }
    times = [say(f"{name} {{n}}", n=number) for name, number in grown.items() if number.known]
    if times:
        found.append(
            say(
                "With {share} pruned at {phase}, the measures are these multiples of their values "
                "before: {times}.",
                share=median(of, "fraction_pruned", {"field": field, "level": half}, percent),
                phase=phase,
                times=listed(times),
            )
        )
    return found


def on_order(study: xr.Dataset, symmetry: xr.Dataset | None) -> list[Sentence]:
    """Fig. 3: the order parameter, its distribution, and the mirror images in the training set."""
    of = Named("study", study)
    field = critical(study)
    phase = phase_label(study, field)
    half, last = level_near(study, field, 0.5), last_level(study)
    found = [
        say(
            "At {phase} the exact state has ⟨|m|⟩ = {exact}, the training set {data} with "
            "⟨m⟩ = {mean}. The RBMs ({over}) have ⟨|m|⟩ = {dense} before pruning, {half} with "
            "{share} pruned, and {end} at the end.",
            phase=phase,
            exact=one(of, "abs_magnetization_reference", {"field": field}),
            data=one(of, "abs_magnetization_data", {"field": field}),
            mean=one(of, "magnetization_data", {"field": field}),
            over=over_seeds(of),
            dense=median(of, "abs_magnetization", {"field": field, "level": 0}),
            half=median(of, "abs_magnetization", {"field": field, "level": half}),
            share=median(of, "fraction_pruned", {"field": field, "level": half}, percent),
            end=median(of, "abs_magnetization", {"field": field, "level": last}),
        )
    ]
    if "magnetization_distribution" in study:
        found.append(
            say(
                "The most probable |m| is {exact} in the exact state; {mean} it is {dense} before "
                "pruning and {end} at the end.",
                mean="in the RBMs" if study.sizes["seed"] == 1 else "in the mean over all seeds",
                exact=_peak(of, "magnetization_distribution_reference", {"field": field}),
                dense=_peak(of, "magnetization_distribution", {"field": field, "level": 0}),
                end=_peak(of, "magnetization_distribution", {"field": field, "level": last}),
            )
        )
    if symmetry is not None:
        found += _on_symmetry(Named("symmetry", symmetry), field, phase)
    return found


def _on_symmetry(of: Named, field: float, phase: str) -> list[Sentence]:
    if field not in of.data["field"].values:
        return []
    ratios = of.data["ratio"].sel(field=field)
    known = of.data["most"].values[np.isfinite(ratios.values)]
    if not len(known):
        return []
    most = int(known.max())
    where = {"field": field, "most": most}
    return [
        say(
            "Of the {most} most frequent configurations of the training set at {phase}, {partners} "
            "{have} the one with all spins flipped in the set as well; n(v)/n(−v) is {ratio} on "
            "average, with a standard deviation of {spread}. Symmetric shots, of which the most "
            "frequent are chosen as well, would have {expected} and {noise}.",
            most=Number(most, whole(most), "symmetry: largest entry along most with a ratio"),
            phase=phase,
            partners=one(of, "with_partner", where, whole),
            have="has" if float(of.data["with_partner"].sel(where)) == 1 else "have",
            ratio=one(of, "ratio", where),
            spread=one(of, "ratio_spread", where),
            expected=one(of, "expected_ratio", where),
            noise=one(of, "expected_spread", where),
        )
    ]


def on_ranks(ranks: xr.Dataset) -> list[Sentence]:
    """Fig. 6: how well each measure follows KL."""
    of = Named("ranks", ranks)
    found = []
    for field, phase in fields(of):
        told = []
        for part in ranks["part"].values.tolist():
            numbers = {
                name: median(of, "rank_correlation", {"field": field, "part": part, "measure": key})
                for key, name in _RANKED.items()
                if key in ranks["measure"].values
            }
            numbers = {name: number for name, number in numbers.items() if number.known}
            if not numbers:
                continue
            low, high = smallest(numbers), largest(numbers)
            told.append(
                say(
                    f"during {part} from {{low}} ({low}) to {{high}} ({high})",
                    low=numbers[low],
                    high=numbers[high],
                )
                if low != high
                else say(f"during {part} {{low}} ({low})", low=numbers[low])
            )
        if told:
            found.append(
                say(
                    "At {phase} the rank correlation with KL ({over}) goes {told}.",
                    phase=phase,
                    over=over_seeds(of),
                    told=listed(told),
                )
            )
    return found


def on_table(study: xr.Dataset) -> list[Sentence]:
    """Table I: when a graph must fall apart, and when it does."""
    of = Named("study", study)
    first = study.isel(field=0, seed=0)
    units = int(study.attrs["sites"]) + int(study.attrs["hidden"])
    needed = Number(units - 1, whole(units - 1), "study: attributes sites + hidden - 1")
    too_few = first["level"].values[first["weights_kept"].values < units - 1]
    found = [
        say(
            "A connected graph of {sites} sites and {hidden} needs at least {needed}; {when}.",
            sites=attribute(of, "sites"),
            hidden=plural(attribute(of, "hidden"), "hidden unit"),
            needed=plural(needed, "weight"),
            when=say(
                "from step {step} on fewer are left",
                step=Number(
                    float(too_few[0]),
                    whole(float(too_few[0])),
                    "study: first level with weights_kept < sites + hidden - 1",
                ),
            )
            if len(too_few)
            else "every step leaves as many",
        )
    ]
    for field, phase in fields(of):
        low, high = (first_apart(of, field, how) for how in ("min", "max"))
        if not low.known:
            found.append(say("At {phase} no graph falls apart.", phase=phase))
            continue
        count = int(np.isfinite(_apart(study, field)).sum())
        source = f"study: number of seeds with components[field={field:g}] > 1 at a level"
        found.append(
            say(
                "At {phase} {graphs}, {when}.",
                phase=phase,
                graphs=say("the graph falls apart")
                if study.sizes["seed"] == 1
                else say(
                    "the graphs of {count} of {seeds} seeds fall apart",
                    count=Number(count, whole(count), source),
                    seeds=size(of, "seed"),
                ),
                when=say("first at step {low}", low=low)
                if low.value == high.value
                else say(
                    "first at step {low} to {high}, step {middle} in the median",
                    low=low,
                    high=high,
                    middle=first_apart(of, field),
                ),
            )
        )
        if study.sizes["seed"] > 1:
            found.append(
                say("Seed by seed the first step in parts is {each}.", each=_each(of, field))
            )
    return found


def _each(of: Named, field: float) -> Sentence:
    """The first step at which the graph of each seed is in parts."""
    told: list[str | Number | Sentence] = []
    for seed, level in zip(of.data["seed"].values, _apart(of.data, field), strict=True):
        where = f"[field={field:g}, seed={seed}]"
        step = Number(level, whole(level), f"{of.name}: first level with components{where} > 1")
        told.append(step if step.known else "never")
    return listed(told)


def table_one(study: xr.Dataset) -> Table:
    """Table I with whole numbers of weights, and in how many seeds the graph is in one piece."""
    of = Named("study", study)
    first = float(study["field"][0])
    rows: list[list[str | Number]] = []
    for level in study["level"].values.tolist():
        where = {"field": first, "level": level}
        kept = median(of, "weights_kept", where, whole)
        left = 1.0 - float(study["fraction_pruned"].sel(where).median("seed"))
        source = f"study: 1 - median over seed of fraction_pruned{position(where)}"
        share = Number(left, percent(left), source)
        pieces = []
        for field, _ in fields(of):
            count = int((study["components"].sel(field=field, level=level) == 1).sum())
            source = f"study: seeds with components[field={field:g}, level={level}] = 1"
            pieces.append(Number(count, whole(count), source))
        rows.append([str(level), kept, share, *pieces])
    seeds = study.sizes["seed"]
    one_piece = [f"in one piece, {phase_label(study, float(f))}" for f in study["field"].values]
    return Table(
        f"Weights left after each pruning step, and graphs in one piece, of {seeds} a phase",
        ["step", "weights", "share", *one_piece],
        rows,
    )


def _in_parts(of: Named, where: Where) -> Sentence:
    """Whether the graph is in one piece."""
    parts = one(of, "components", where, whole)
    return say("in {k} piece" if parts.value == 1 else "in {k} pieces", k=parts)


def _steps(of: Named) -> Number:
    steps = of.data.sizes["level"] - 1
    return Number(steps, whole(steps), f"{of.name}: number of entries along level, less 1")


def first_apart(of: Named, field: float, how: str = "median") -> Number:
    """The first level at which a graph has more than one part: median, min or max over seeds.

    Seeds whose graph never falls apart do not count; NaN if all are such.
    """
    levels = _apart(of.data, field)
    fallen = levels[np.isfinite(levels)]
    value = float(getattr(np, how)(fallen)) if len(fallen) else float("nan")
    source = f"{how} over seed of the first level with components[field={field:g}] > 1"
    return Number(value, whole(value), f"{of.name}: {source}")


def _apart(study: xr.Dataset, field: float) -> NDArray[np.float64]:
    """For each seed the first level with more than one part, NaN if there is none."""
    apart = (study["components"].sel(field=field) > 1).transpose("seed", "level").values
    levels = study["level"].values.astype(np.float64)
    return np.array([levels[row][0] if row.any() else np.nan for row in apart])


def _peak(of: Named, variable: str, where: Where) -> Number:
    """The |m| of the highest bar of P(m), in the mean over seeds."""
    probability = of.data[variable].sel(where)
    if "seed" in probability.dims:
        probability = probability.mean("seed")
    sites = int(of.data.attrs["sites"])
    m = 1.0 - 2.0 * probability["ones"].values / sites
    value = float(np.abs(m[int(probability.values.argmax())]))
    source = f"study: |1 - 2 ones / sites| at the largest {variable}{position(where)}"
    if "seed" in of.data[variable].dims:
        source += ", mean over seed"
    return Number(value, significant(value), source)
