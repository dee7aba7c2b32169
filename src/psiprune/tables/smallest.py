"""What a search for the smallest RBM found, in a sentence and as numbers."""

from __future__ import annotations

import math
from typing import Any

from psiprune.errors import Measure
from psiprune.smallest import Smallest


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
