"""Findings of `psiprune reconstruct`, phrased once for the terminal, JSON and the page."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import partial
from string import Formatter
from textwrap import fill
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from psiprune.reconstruction.checks import Check, loss_of, make_checks, verdict_of
from psiprune.reconstruction.dataset import SUFFIXES, methods_used, observable_names
from psiprune.reporting.page import Table
from psiprune.reporting.tables import align, number
from psiprune.reporting.traced import Named, Number, Sentence, attribute, one, plural, say
from psiprune.training.methods import as_method

FILE = "reconstruct.nc"
_NOWHERE: Mapping[str, Hashable] = MappingProxyType({})


class Summary(NamedTuple):
    """Answers to the three questions of a run, and the checks behind the last of them.

    Attributes:
        size: how many weights are left.
        cost: the loss on the test shots.
        trust: whether all checks passed.
        checks: all of them.
    """

    size: Sentence
    cost: Sentence
    trust: Sentence
    checks: Sequence[Check]


def phrase(
    dataset: xr.Dataset,
    template: str,
    where: Mapping[str, Hashable] = _NOWHERE,
    **parts: Number | Sentence | str,
) -> Sentence:
    """Fill each {name} of a template with the part, attribute or variable of that name."""
    of = Named(FILE, dataset)
    for _, name, _, _ in Formatter().parse(template):
        if name and name not in parts:
            parts[name] = attribute(of, name) if name in dataset.attrs else one(of, name, where)
    return say(template, **parts)


def summarize(dataset: xr.Dataset) -> Summary:
    """Phrase the findings of a run, from its dataset."""
    of, checks = Named(FILE, dataset), make_checks(dataset)
    verdict = verdict_of(checks)
    loss, error = loss_of(dataset)
    units = plural(attribute(of, "hidden"), "hidden unit")
    named = [
        each.name
        for each in checks
        if each.answer == ("fail" if verdict == "not trusted" else "undecided")
    ]
    return Summary(
        phrase(dataset, "{weights} of {dense_weights} weights, on {units}.", units=units),
        say(f"loss {loss:.2g} ± {error:.1g} nats per shot"),
        say(f"{verdict}" + (f": {', '.join(named)}" if named else "")),
        checks,
    )


def observables_table(dataset: xr.Dataset, distances: Collection[int]) -> Table:
    """Tabulate all observables of shots, dense RBMs and smallest RBM; C(d) at these distances."""
    rows: list[list[str | Number]] = []
    for name in observable_names(dataset):
        if dataset[name].ndim:
            rows += [[f"{name} d={d}", *_cells(dataset, name, {"distance": d})] for d in distances]
        else:
            rows.append([name, *_cells(dataset, name, {})])
    head = ["observable", "shots", "error", "dense", "spread", "smallest", "error", "sigmas"]
    caption = "Test shots; mean and spread of the dense RBMs; smallest RBM and its deviation"
    return Table(caption, head, rows)


def _cells(dataset: xr.Dataset, name: str, where: Mapping[str, int]) -> list[Number]:
    """Return the numbers of one observable."""
    dense = dataset[f"{name}_dense"].isel(where)
    mean, spread = float(dense.mean()), float(dense.std(ddof=1))

    def cell(suffix: str, form: str) -> Number:
        return one(Named(FILE, dataset), name + suffix, where, partial(number, form=form))

    return [
        cell("_shots", ".5g"),
        cell("_shots_error", ".1e"),
        Number(mean, number(mean, ".5g"), f"{FILE}: mean over seed of {name}_dense"),
        Number(spread, number(spread, ".1e"), f"{FILE}: spread over seed of {name}_dense"),
        cell("", ".5g"),
        cell("_error", ".1e"),
        cell("_sigmas", "+.1f"),
    ]


def reconstruct_text(dataset: xr.Dataset) -> str:
    """Format the summary and the observables, C(d) at d = 1, 2, 4, ... and the largest."""
    summary, last = summarize(dataset), dataset.sizes["distance"] - 1
    table = observables_table(dataset, sorted({*(1 << k for k in range(last.bit_length())), last}))
    cells = [[x if isinstance(x, str) else x.shown for x in row] for row in table.rows]
    marks = [
        fill(f"{each.answer}: {each.name}: {each.found}", 100, subsequent_indent=" " * 6)
        for each in summary.checks
    ]
    answers = [fill(each.text, 100) for each in (summary.size, summary.cost, summary.trust)]
    table_text = align([list(table.head), *cells])
    return "\n".join([*answers[:2], "", table_text, "", *marks, answers[2]])


def methods_text(dataset: xr.Dataset) -> str:
    """Return a line for each training method of the chosen model, with every field."""
    return "\n".join(
        f"{name}: {as_method(method)}" for name, method in methods_used(dataset).items()
    )


def reconstruct_numbers(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the same for JSON, with every candidate and every RBM of the search."""
    results = make_checks(dataset)
    return {
        **{
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in dataset.attrs.items()
        },
        "methods": methods_used(dataset),
        "training_warnings": [],
        "verdict": verdict_of(results),
        "checks": [each._asdict() for each in results],
        "test": {name: float(dataset[f"test_{name}"]) for name in ("loss", "error", "allowed")},
        "observables": {
            name: {
                suffix.strip("_") or "value": dataset[f"{name}{suffix}"].values.tolist()
                for suffix in SUFFIXES
            }
            for name in (*observable_names(dataset), "log_likelihood", "log_likelihood_gain")
            if f"{name}_sigmas" in dataset
        },
        "candidates": _records(dataset, "candidate"),
        "trials": _records(dataset, "trial"),
    }


def _records(dataset: xr.Dataset, dimension: str) -> list[dict[str, Any]]:
    names = [str(name) for name in dataset if str(name).startswith(f"{dimension}_")]
    columns = [dataset[name].values.tolist() for name in names]
    keys = [name.removeprefix(f"{dimension}_") for name in names]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
