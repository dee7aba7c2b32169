"""The text and the JSON that `psiprune reconstruct` prints."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from itertools import chain
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

from psiprune.core.text import escape, line_width
from psiprune.reconstruction.checks import Check, deviations
from psiprune.reconstruction.command import Request
from psiprune.reconstruction.dataset import (
    FURTHER,
    SUFFIXES,
    Untested,
    as_recorded,
    levels_of,
    methods_used,
    observable_names,
    state_names,
    state_observables,
    untested_observables,
)
from psiprune.reconstruction.summary import (
    Summary,
    digits_apart,
    larger_loss,
    likelihood_of,
    plus_minus,
    search_shots,
    summarize,
)
from psiprune.reporting.metric_tables import OF_THE_RBM_ALONE
from psiprune.reporting.tables import WIDTH, align
from psiprune.reporting.tables import wrap as sentence

#: Rows of the search around the smallest RBM, and distances of C(d), that are printed.
_TRIALS, _DISTANCES = 6, 5
#: The fewest characters of a line of what a check found.
_NARROWEST = 28


def reconstruct_text(dataset: xr.Dataset, request: Request) -> str:
    """Format the answer, then the checks, the search and the observables as tables.

    The commands that come next are left to `steps_text`, which ends the output.
    """
    summary = summarize(dataset, request)
    tolerance = dataset.attrs["tolerance"]
    recorded = as_recorded(dataset)
    heads = [
        f"Checks (nats per shot; pass: loss within {tolerance:g}, at most {2 * tolerance:g}; FAIL: "
        f"surely above {tolerance:g})",
        _search_head(dataset),
        f"Observables{recorded} (test shots; the loss that the deviation implies at least, nats "
        "per shot)",
    ]
    tables = [checks_table(summary.checks), _search(dataset), _observables(dataset)]
    if recorded:
        heads.append(
            "Observables of the true bits (shots: errors inverted; rates, training: further errors "
            "of the RBM)"
        )
        tables.append(_true_bits(dataset))
    if untested := untested_observables(dataset):
        heads.append(f"Observables that shots do not determine ({OF_THE_RBM_ALONE})")
        tables.append(_untested(untested))
    parts = [f"{sentence(head)}\n{table}" for head, table in zip(heads, tables, strict=True)]
    return "\n\n".join([answer_text(summary._replace(steps=())), *parts])


def steps_text(summary: Summary) -> str:
    """Format the commands that may come next, each below its reason; "" if there are none."""
    width = line_width(WIDTH) - len("next: ")
    reasons = ("\n".join(wrap(escape(f"{step.reason}:"), width)) for step in summary.steps)
    pairs = zip(reasons, summary.steps, strict=True)
    return "\nor: ".join(f"{reason}\n  {step.command}" for reason, step in pairs)


def answer_text(summary: Summary) -> str:
    """Format the answer: the verdict, then a name and a text in each line."""
    width = line_width(WIDTH)
    rows, lines = summary.rows, wrap(escape(summary.reason.text), width)
    indent = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        broken = (_wrap(line, width - indent) for line in escape(text, keep="\n").split("\n"))
        texts = list(chain.from_iterable(broken))
        lines += [f"{'' if k else name:{indent}}{line}".rstrip() for k, line in enumerate(texts)]
    return "\n".join(lines)


def _wrap(text: str, width: int) -> list[str]:
    """Break text into lines; a command is broken between its words, so that it can be pasted."""
    if len(text) <= width or not text.startswith("psiprune "):
        return wrap(text, width, break_long_words=False, break_on_hyphens=False)
    lines, line = [], ""
    for word in map(shlex.quote, shlex.split(text)):
        if line and len(line) + len(word) + 3 > width:
            lines.append(f"{line} \\")
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _number(value: float, form: str = ".2g") -> str:
    return format(value, form) if math.isfinite(value) else ""


def checks_table(checks: Sequence[Check]) -> str:
    """Format checks as an aligned table; in narrow terminals what was found stands below it."""
    rows = [["check", "answer", "loss", "at most"]]
    for each in checks:
        answer = "FAIL" if each.answer == "fail" else each.answer
        rows.append([each.name, answer, _number(each.loss), _number(each.at_most, ".3g")])
    table, lines = align(rows), list[str]()
    left = table.split("\n")
    indent = max(map(len, left)) + 2
    if len(left) > len(rows) or line_width(WIDTH) - indent < _NARROWEST:
        found = "\n".join(sentence(f"{each.name}: {each.found}") for each in checks)
        return f"{table}\n\n{found}"
    for line, found in zip(left, ["found", *(each.found for each in checks)], strict=True):
        texts = wrap(escape(found), line_width(WIDTH) - indent) or [""]
        lines += [f"{'' if k else line:{indent}}{text}".rstrip() for k, text in enumerate(texts)]
    return "\n".join(lines)


def _search_head(dataset: xr.Dataset) -> str:
    measure = dataset.attrs["measure"]
    by_likelihood = measure == "log_likelihood"
    loss = "loss by pruning, nats per shot" if by_likelihood else f"loss: change of {measure}"
    return f"Search ({search_shots(dataset)}; {loss})"


def _search(dataset: xr.Dataset) -> str:
    """Tabulate the unpruned RBM and the trials nearest to the smallest, by number of weights."""
    levels = sorted(levels_of(dataset), key=lambda level: -level[1])
    chosen = [level[1] for level in levels].index(dataset.attrs["weights"])
    near = sorted(range(len(levels)), key=lambda k: abs(k - chosen))[:_TRIALS]
    shown = [levels[k] for k in sorted({0, *near})]
    more = len(levels) - len(shown)
    return levels_table(shown) + (f"\n({more} more in report.html)" if more else "")


def levels_table(levels: Iterable[tuple[Any, ...]]) -> str:
    """Format RBMs of a search, each (name, weights, loss, error, allowed, accepted, ...)."""
    rows = [["weights", "loss", "error", "allowed", "accepted"]]
    for _, weights, loss, error, allowed, accepted, *_ in levels:
        digits = digits_apart(loss, allowed, 2)
        numbers = [f"{loss:+.{digits}g}", f"{error:.1g}", f"{allowed:.{digits}g}"]
        rows.append([str(weights), *numbers, "yes" if accepted else "no"])
    return align(rows)


def _observables(dataset: xr.Dataset) -> str:
    """Tabulate every observable, C(d) at the shortest distances and the largest."""
    last = dataset.sizes["distance"] - 1
    hidden = {f"correlation at d = {d}" for d in range(_DISTANCES, last)}
    rank = {name: k for k, name in enumerate(observable_names(dataset))}
    found = [each for each in deviations(dataset) if each.name not in hidden]
    found.sort(key=lambda each: (rank[each.name.split(" at ")[0]], len(each.name), each.name))
    rows = [["observable", "shots", "unpruned RBMs", "smallest RBM", "implied loss"]]
    rows += [
        [
            each.name,
            plus_minus(each.shots_value, each.shots_error),
            f"{each.dense:.4f}",
            plus_minus(each.value, each.value_error),
            f"{each.loss:.2g}",
        ]
        for each in found
    ]
    return align(rows)


def _untested(observables: Sequence[Untested]) -> str:
    """Tabulate what only the RBMs say."""
    rows = [["observable", "unpruned RBMs", "smallest RBM"]]
    rows += [[x.name, f"{x.dense:.4f}", plus_minus(x.value, x.error)] for x in observables]
    return align(rows)


def _true_bits(dataset: xr.Dataset) -> str:
    """Tabulate the observables of the true bits, C(d) at the shortest distances and the largest."""
    last = dataset.sizes["distance"] - 1
    rows = [["observable", "shots", "smallest RBM", "rates", "training", "sigmas"]]
    for each in state_observables(dataset):
        if not _DISTANCES <= each.distance < last:
            both = (
                plus_minus(each.shots_value, each.shots_error),
                plus_minus(each.value, each.error),
            )
            further = _number(each.rates_error, ".1g"), _number(each.training_error, ".1g")
            rows.append([each.name, *both, *further, f"{each.sigmas:+.1f}"])
    return align(rows)


def reconstruct_numbers(dataset: xr.Dataset, request: Request) -> dict[str, Any]:
    """Return the same for JSON, with every candidate and every RBM of the search."""
    summary = summarize(dataset, request)
    stated = larger_loss(summary.checks) or likelihood_of(summary.checks)
    return {
        **{
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in dataset.attrs.items()
        },
        "methods": methods_used(dataset),
        "training_warnings": [],
        "verdict": summary.verdict,
        "reason": summary.reason.text,
        "loss": {"check": stated.name, "value": stated.loss, "at_most": stated.at_most},
        "assumptions": [each.text for each in summary.assumptions],
        "next": [each._asdict() for each in summary.steps],
        "checks": [each._asdict() for each in summary.checks],
        "test": {name: float(dataset[f"test_{name}"]) for name in ("loss", "error")},
        "observables": {
            name: {
                suffix.strip("_") or "value": dataset[f"{name}{suffix}"].values.tolist()
                for suffix in (*SUFFIXES, *FURTHER)
                if f"{name}{suffix}" in dataset
            }
            for name in (
                *(*observable_names(dataset), "log_likelihood", "log_likelihood_gain"),
                *(f"state_{name}" for name in state_names(dataset)),
            )
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
