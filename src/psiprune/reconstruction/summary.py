"""Findings of `psiprune reconstruct`, phrased once for the terminal, JSON and the page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from psiprune.reconstruction.checks import Check, checks
from psiprune.reconstruction.dataset import SUFFIXES, observable_names
from psiprune.reporting.page import Table
from psiprune.reporting.tables import align, number
from psiprune.reporting.traced import Named, Number, Sentence, attribute, one, plural, say, size

_FILE = "reconstruct.nc"


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


def summarize(dataset: xr.Dataset) -> Summary:
    """Phrase the findings of a run, from its dataset."""
    of, results = Named(_FILE, dataset), checks(dataset)
    failed = [each.name for each in results if not each.passed]
    likelihood = dataset.attrs["measure"] == "log_likelihood"
    weights, fewer = attribute(of, "weights"), attribute(of, "fewer")
    verb = " suffices" if weights.value == 1 else " suffice"
    k = int((dataset["trial_weights"].values == fewer.value).argmax())
    exceeded = say(
        "with {fewer} the validation loss is {share} times the allowed loss",
        fewer=fewer,
        share=one(of, "trial_share", {"trial": k}),
    )
    return Summary(
        say(
            "{start}{weights} of {dense} weights{verb}, on {hidden}{but}; {end}.",
            start="The search ended at " if failed else "",
            weights=weights,
            dense=attribute(of, "dense_weights"),
            verb="" if failed else verb,
            hidden=plural(attribute(of, "hidden"), "hidden unit"),
            but=f", but {len(failed)} of {len(results)} checks failed" if failed else "",
            end="the allowed loss was never exceeded" if fewer.value < 0 else exceeded,
        ),
        say(
            "Test {measure} {loss} ± {error}{unit} relative to the mean of {seeds} dense RBMs "
            "(undamaged RBM: up to {allowed}).",
            measure="log-likelihood loss"
            if likelihood
            else f"change of {dataset.attrs['measure']}",
            loss=one(of, "test_loss", {}),
            error=one(of, "test_error", {}),
            unit=" nats per shot" if likelihood else "",
            seeds=size(of, "seed"),
            allowed=one(of, "test_allowed", {}),
        ),
        say(
            f"Not trusted. Failed: {'; '.join(failed)}."
            if failed
            else f"Trusted: all {len(results)} checks passed."
        ),
        results,
    )


def observables_table(dataset: xr.Dataset, distances: Collection[int]) -> Table:
    """All observables of shots, dense RBMs and smallest RBM; C(d) at these distances."""
    of = Named(_FILE, dataset)
    rows: list[list[str | Number]] = []

    def dense(name: str, d: int | None, statistic: str, form: str) -> Number:
        values = dataset[f"{name}_dense"].isel({} if d is None else {"distance": d})
        value = float(values.mean() if statistic == "mean" else values.std(ddof=1))
        source = f"{_FILE}: {statistic} over seed of {name}_dense"
        return Number(value, number(value, form), source)

    for name in observable_names(dataset):
        for d in distances if dataset[name].ndim else [None]:

            def cell(suffix: str, form: str, name: str = name, d: int | None = d) -> Number:
                where = {} if d is None else {"distance": d}
                return one(of, f"{name}{suffix}", where, lambda value: number(value, form))

            rows.append(
                [
                    name if d is None else f"{name} d={d}",
                    cell("_shots", ".5g"),
                    cell("_shots_error", ".1e"),
                    dense(name, d, "mean", ".5g"),
                    dense(name, d, "standard deviation", ".1e"),
                    cell("", ".5g"),
                    cell("_error", ".1e"),
                    cell("_sigmas", "+.1f"),
                ]
            )
    head = ["observable", "shots", "error", "dense", "spread", "smallest", "error", "sigmas"]
    caption = "Test shots; mean and spread of the dense RBMs; smallest RBM and its deviation"
    return Table(caption, head, rows)


def reconstruct_text(dataset: xr.Dataset) -> str:
    """The summary with a table of observables, C(d) at d = 1, 2, 4, ... and the largest."""
    found, last = summarize(dataset), dataset.sizes["distance"] - 1
    table = observables_table(dataset, sorted({*(1 << k for k in range(last.bit_length())), last}))
    cells = [[x if isinstance(x, str) else x.shown for x in row] for row in table.rows]
    lines = [
        fill(f"{'pass' if ok else 'FAIL'}: {name}: {words}", 100, subsequent_indent=" " * 6)
        for name, ok, words in found.checks
    ]
    size, cost, trust = (fill(each.text, 100) for each in (found.size, found.cost, found.trust))
    return "\n".join([size, cost, "", align([list(table.head), *cells]), "", *lines, trust])


def reconstruct_numbers(dataset: xr.Dataset) -> dict[str, Any]:
    """The same for JSON, with every candidate and every RBM of the search."""
    results = checks(dataset)
    return {
        **{
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in dataset.attrs.items()
        },
        "trusted": all(each.passed for each in results),
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
