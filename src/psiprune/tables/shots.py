"""Reports on shots -> plain text and plain numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.errors import Measure
from psiprune.heldout import Comparison, ShotsReport
from psiprune.tables.common import align, number, warning_lines

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
