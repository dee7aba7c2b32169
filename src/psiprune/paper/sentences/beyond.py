"""On decay, schedules, large systems, the frontier and time: Fig. 4, the appendix and our own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from psiprune.paper.sentences.common import fields, level_near, over_seeds, smallest
from psiprune.reporting.labels import critical, phase_label, step_share
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
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
    whole,
)


def on_decay(decay: xr.Dataset) -> list[Sentence]:
    """Fig. 4: which law describes C(d), of the exact state and of the RBMs."""
    of = Named("decay", decay)
    field = critical(decay)
    phase = phase_label(decay, field)
    exact, changes = [], []
    for sites in decay["size"].values.tolist():
        where = {"size": sites, "field": field}
        delta = one(of, "delta_aic_reference", where)
        if delta.known:
            law = "the power law" if delta.value < 0 else "the exponential"
            exact.append(say(f"{law} at N = {sites} (ΔAIC = {{delta}})", delta=delta))
        told = _change(of, sites, field)
        if told is not None:
            changes.append(told)
    found = []
    if exact:
        found.append(
            say(
                "ΔAIC below 0 means that a power law describes C(d) better than an exponential. "
                "Of the exact state at {phase} the better one is {exact}.",
                phase=phase,
                exact=listed(exact),
            )
        )
    if changes:
        found.append(say("Of the RBMs {told}.", told=listed(changes)))
    return found


def _of_seeds(of: Named, sites: int, field: float) -> Sentence:
    """A size and over how many seeds its medians are; those of other sizes are padded with NaN."""
    here = of.data["delta_aic"].sel(size=sites, field=field)
    seeds = int(here.notnull().any("level").sum())
    where = position({"size": sites, "field": field})
    number = Number(seeds, whole(seeds), f"{of.name}: number of seeds with a delta_aic{where}")
    over = say("one seed") if seeds == 1 else say("median of {n} seeds", n=number)
    return say(f"N = {sites} ({{over}})", over=over)


def _change(of: Named, sites: int, field: float) -> Sentence | None:
    """From which share pruned on the exponential is the better one, by the median over seeds."""
    here = of.data.sel(size=sites, field=field)
    deltas = here["delta_aic"].median("seed").values
    known = np.flatnonzero(np.isfinite(deltas))
    if not len(known):
        return None
    after = known[deltas[known] > 0]
    dense = median(of, "delta_aic", {"size": sites, "field": field, "level": int(here["level"][0])})
    size = _of_seeds(of, sites, field)
    if not len(after):
        last = int(here["level"][known[-1]])
        pruned = _pruned(of, sites, last)
        return say(
            "the power law stays the better one at {size} up to {pruned} pruned, the last level "
            "that can be told",
            size=size,
            pruned=pruned,
        )
    if after[0] == 0:
        return say(
            "the exponential is the better one at {size} before any pruning (ΔAIC = {delta})",
            size=size,
            delta=dense,
        )
    return say(
        "it first is the exponential at {size} with {pruned} pruned (ΔAIC = {delta})",
        size=size,
        pruned=_pruned(of, sites, int(here["level"][after[0]])),
        delta=median(
            of,
            "delta_aic",
            {"size": sites, "field": field, "level": int(here["level"][after[0]])},
        ),
    )


def _pruned(of: Named, sites: int, level: int) -> Number:
    return one(of, "fraction_pruned", {"size": sites, "level": level}, percent)


def on_schedules(
    study: xr.Dataset, schedules: Mapping[str, xr.Dataset], share: float = 0.7
) -> list[Sentence]:
    """The appendix: the KL of each schedule with about as much pruned."""
    sets = {"study": study, **schedules}
    found = []
    for field, phase in fields(Named("study", study)):
        told = []
        for name, each in sets.items():
            if field not in each["field"].values:
                continue
            level = level_near(each, field, share)
            of, where = Named(name, each), {"field": field, "level": level}
            told.append(
                say(
                    "{kl} nat with {first} in the first step, then {then} a step ({pruned} pruned)",
                    kl=median(of, "kl", where),
                    first=_first_step(of, field),
                    then=_later_steps(of),
                    pruned=median(of, "fraction_pruned", where, percent),
                )
            )
        if told:
            found.append(
                say(
                    "At {phase} the KL divergence ({over}) is {told}.",
                    phase=phase,
                    over=over_seeds(Named("study", study)),
                    told=listed(told),
                )
            )
    return found


def _first_step(of: Named, field: float) -> Number:
    second = int(of.data["level"][1])
    return median(of, "fraction_pruned", {"field": field, "level": second}, percent)


def _later_steps(of: Named) -> Number:
    """What two schedules with the same first step differ in."""
    share = step_share(of.data)
    source = "mean share of weights_kept that a step removes, without the first and the last"
    return Number(share, f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%"), f"{of.name}: {source}")


def on_sizes(studies: Mapping[str, xr.Dataset]) -> list[Sentence]:
    """Our own: KL and fidelity of larger systems, before pruning and with about half pruned."""
    found = []
    for name, study in studies.items():
        of = Named(name, study)
        told = []
        for field, phase in fields(of):
            half = level_near(study, field, 0.5)
            told.append(
                say(
                    "at {phase} KL goes from {a} to {b} nat and 1 − fidelity from {c} to {d} with "
                    "{pruned} pruned",
                    phase=phase,
                    a=median(of, "kl", {"field": field, "level": 0}),
                    b=median(of, "kl", {"field": field, "level": half}),
                    c=median(of, "infidelity", {"field": field, "level": 0}),
                    d=median(of, "infidelity", {"field": field, "level": half}),
                    pruned=median(of, "fraction_pruned", {"field": field, "level": half}, percent),
                )
            )
        found.append(
            say(
                "With {sites} ({over}) {told}.",
                sites=plural(attribute(of, "sites"), "site"),
                over=over_seeds(of),
                told=listed(told),
            )
        )
    return found


def on_frontier(frontier: xr.Dataset) -> list[Sentence]:
    """Our own: the best method at about half of the weights."""
    of = Named("frontier", frontier)
    dense = int(frontier.attrs["sites"]) * int(frontier.attrs["hidden"])
    counts = frontier["count"].values
    count = int(counts[np.abs(counts - dense / 2).argmin()])
    found = []
    for field, phase in fields(of):
        kls = {
            variant: median(of, "kl", {"field": field, "variant": variant, "count": count})
            for variant in frontier["variant"].values.tolist()
        }
        kls = {variant: number for variant, number in kls.items() if number.known}
        if not kls:
            continue
        best = smallest(kls)
        paper = kls.get("magnitude-cd")
        found.append(
            say(
                "At {phase} the lowest KL divergence with {count} ({over}) is {kl} nat, by {best}"
                "{paper}.",
                best=best,
                phase=phase,
                count=plural(Number(count, whole(count), "frontier: entry of count"), "weight"),
                over=over_seeds(of),
                kl=kls[best],
                paper=say("; the paper's method has {n} nat", n=paper)
                if paper is not None and best != "magnitude-cd"
                else "",
            )
        )
    return found


def on_timing(timing: Mapping[str, Any]) -> list[Sentence]:
    """Our own: how much faster an RBM with fewer weights is."""
    rows: Sequence[Mapping[str, Any]] = timing["rows"]
    if not rows:
        return []
    first, last = 0, len(rows) - 1

    def entry(k: int, name: str) -> Number:
        value = float(rows[k][name])
        show = whole if name == "weights" else percent if name == "density" else significant
        return Number(value, show(value), f"timing.json: rows[{k}].{name}")

    steps = Number(float(timing["cd_steps"]), whole(timing["cd_steps"]), "timing.json: cd_steps")
    update = entry(first, "cd_update")
    found = [
        say(
            "One CD-{steps} update takes {update} µs and a Gibbs step of one chain {step} µs with "
            "{weights}.",
            steps=steps,
            update=update,
            step=entry(first, "gibbs_step"),
            weights=plural(entry(first, "weights"), "weight"),
        )
    ]
    faster = ratio(update, entry(last, "cd_update"))
    if last and faster.known and math.isfinite(faster.value):
        found.append(
            say(
                "With {weights} left ({density} of them) the update is {faster} times as fast.",
                weights=plural(entry(last, "weights"), "weight"),
                density=entry(last, "density"),
                faster=faster,
            )
        )
    return found
