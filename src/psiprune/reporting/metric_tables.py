"""Text and JSON tables of metrics: against a state, against shots, of a search, of clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.metrics.against_shots import Comparison, ShotsReport
from psiprune.metrics.against_state import Report
from psiprune.metrics.measure import Measure
from psiprune.pruning.search import Smallest
from psiprune.reporting.tables import align, number, warning_lines


def report_text(report: Report) -> str:
    """One line a measure: value, standard error, floor, effective sample size, method."""
    rows = [["measure", "value", "error", "floor", "ESS", "method"]]
    for name, measure in report:
        # An error of 0 alone does not say so: samples without spread have it too.
        exact = measure.effective_sample_size is None
        error = "exact" if exact else number(measure.error, ".1e")
        value, floor = number(measure.value, ".6g"), number(measure.floor, ".4g")
        size = number(measure.effective_sample_size, ".0f")
        rows.append([name, value, error, floor, size, measure.method])
    warnings = warning_lines((name, measure.warning) for name, measure in report)
    return "\n".join([align(rows), *warnings])


def report_numbers(report: Report) -> dict[str, Any]:
    """The same for JSON: name -> value, error, floor, method, warning, effective_sample_size."""
    return {name: vars(measure) for name, measure in report}


_HEAD = ["measure", "value", "error", "shots", "error", "sigmas", "floor", "ESS", "method"]


def shots_report_text(report: ShotsReport) -> str:
    """One line a measure: of the RBM, of the shots, their difference in standard errors.

    C(d) is shown at d = 1, 2, 4, 8, ..., at the end, and where it differs most.
    """
    rows = [_HEAD]
    for name, each in report:
        size, method = number(each.effective_sample_size, ".0f"), each.method
        if isinstance(each, Measure):
            own = [number(each.value, ".6g"), number(each.error, ".1e")]
            rows.append([name, *own, "-", "-", "-", number(each.floor, ".4g"), size, method])
        else:
            cells = _cells(each)
            several = np.ndim(each.value) > 0
            for d in _shown(each.sigmas) if several else [0]:
                label = f"{name} d={d}" if several else name
                rows.append([label, *cells[d], "-", size, method])
    warnings = warning_lines((name, each.warning) for name, each in report)
    return "\n".join([align(rows), *warnings, f"note: {note(report)}"])


def shots_report_numbers(report: ShotsReport) -> dict[str, Any]:
    """The same for JSON, with C(d) at every d: name -> value, error, ..., and the note."""
    numbers: dict[str, Any] = {"shots": report.shots}
    for name, each in report:
        values = vars(each) if isinstance(each, Measure) else vars(each) | {"sigmas": each.sigmas}
        numbers[name] = {key: _listed(value) for key, value in values.items()}
    return numbers | {"training_excess": report.training_excess, "note": note(report)}


def note(report: ShotsReport) -> str:
    """What the report cannot know."""
    excess = "much too high, as it has more parameters than these are shots"
    if math.isfinite(report.training_excess):
        excess = f"about {report.training_excess:.2g} nat too high (parameters / shots)"
    return (
        "give shots that the RBM was not trained on; it does not remember which those were. If it "
        f"was trained on these {report.shots}, the log-likelihood is {excess}"
    )


def _cells(found: Comparison) -> list[list[str]]:
    """Value, error, value and error of the shots, sigmas; a row for each element."""
    columns = (
        (found.value, ".6g"),
        (found.error, ".1e"),
        (found.shots_value, ".6g"),
        (found.shots_error, ".1e"),
        (found.sigmas, "+.1f"),
    )
    cells = [[number(float(x), form) for x in np.atleast_1d(each)] for each, form in columns]
    return [list(row) for row in zip(*cells, strict=True)]


def _shown(sigmas: NDArray[np.float64]) -> list[int]:
    last = len(sigmas) - 1
    powers = [1 << k for k in range(last.bit_length())]
    return sorted({*powers, last, int(np.argmax(np.abs(sigmas)))})


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def smallest_text(found: Smallest, name: str, best: Measure, shots: int | None = None) -> str:
    """One sentence: weights, density, the measure with its error, and where it went wrong.

    Below it stands what speaks against that, of the measure or as its error exceeds the limit;
    `shots` is how many were measured against, None for a reference state.
    """
    rbm = found.rbm
    total = found.trials[0].rbm.number_of_weights
    exact = best.effective_sample_size is None and best.error == 0
    error = "exact" if exact else f"error {best.error:.2g}"
    if found.fewer is None:
        end = "the path ended there"
    else:
        value = next(t.value for t in found.trials if t.rbm.number_of_weights == found.fewer)
        end = f"with {found.fewer} it is {value:.3g}"
    lines = [
        f"{rbm.number_of_weights} of {total} weights (density {rbm.density:.1%}) keep {name} at "
        f"{best.value:.3g} ({error}), within the limit of {found.limit:.3g}; {end}."
    ]
    if warning := _warning(found, best, shots):
        lines.append(f"warning: {name}: {warning}")
    return "\n".join(lines)


def smallest_numbers(
    found: Smallest, name: str, best: Measure, shots: int | None = None
) -> dict[str, Any]:
    """The same for JSON, with all trials."""
    return {
        "weights": found.rbm.number_of_weights,
        "density": found.rbm.density,
        "measure": name,
        **vars(best),
        "warning": _warning(found, best, shots),
        "limit": found.limit,
        "fewer": found.fewer,
        "trials": [
            {"name": trial.name, "weights": trial.rbm.number_of_weights, "value": trial.value}
            for trial in found.trials
        ],
    }


def _warning(found: Smallest, best: Measure, shots: int | None) -> str:
    """That of the measure, and whether its error leaves the limit out of sight."""
    doubts = [best.warning] if best.warning else []
    if best.error > found.limit:
        by = "these draws" if shots is None else f"these {shots:,} shots"
        doubt = f"its error of {best.error:.2g} exceeds the limit of {found.limit:.3g}, so {by} "
        doubt += "cannot tell whether it is kept"
        if shots is not None and found.limit > 0:
            # Errors fall with 1/sqrt(shots); two digits, as the error itself is an estimate.
            needed = shots * (best.error / found.limit) ** 2
            unit = 10 ** max(0, math.floor(math.log10(needed)) - 1)
            doubt += f"; about {math.ceil(needed / unit) * unit:,} shots bring it down to the limit"
        doubts.append(doubt)
    return "; ".join(doubts)


def clusters_text(clusters: xr.Dataset) -> str:
    """A line for each hidden unit with its strongest window, then how many of them count."""
    own = clusters_numbers(clusters)
    rows = [["unit", "sites", "share of |W|", "p", "cluster"]]
    rows += [
        [
            str(one["unit"]),
            f"{one['first_site']} to {one['first_site'] + own['width'] - 1}",
            f"{one['share']:.2f}",
            f"{one['p_value']:.2g}",
            "yes" if one["found"] else "no",
        ]
        for one in own["units"]
    ]
    counted = (
        f"{own['found']} of {len(own['units'])} units with a cluster of {own['width']} sites "
        f"(p <= {own['threshold']:g})"
    )
    return f"{align(rows)}\n{counted}"


def clusters_numbers(clusters: xr.Dataset) -> dict[str, Any]:
    """The same for JSON; units and sites from 0."""
    units = [
        {
            "unit": unit,
            "first_site": int(clusters["first_site"][unit]),
            "strength": float(clusters["strength"][unit]),
            "share": float(clusters["share"][unit]),
            "p_value": float(clusters["p_value"][unit]),
            "found": bool(clusters["found"][unit]),
        }
        for unit in range(clusters.sizes["hidden"])
    ]
    return {
        "width": int(clusters.attrs["width"]),
        "threshold": float(clusters.attrs["threshold"]),
        "found": sum(one["found"] for one in units),
        "units": units,
    }
