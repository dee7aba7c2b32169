"""A report of `evaluate` -> plain text and plain numbers."""

from __future__ import annotations

from typing import Any

from psiprune.errors import Report
from psiprune.tables.common import align, number, warning_lines


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
