"""What a search for the smallest RBM found, in a sentence and as numbers."""

from __future__ import annotations

from typing import Any

from psiprune.errors import Measure
from psiprune.smallest import Smallest


def smallest_text(found: Smallest, name: str, best: Measure) -> str:
    """One sentence: weights, density, the measure with its error, and where it went wrong."""
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
    if best.warning:
        lines.append(f"warning: {name}: {best.warning}")
    return "\n".join(lines)


def smallest_numbers(found: Smallest, name: str, best: Measure) -> dict[str, Any]:
    """The same for JSON, with all trials."""
    return {
        "weights": found.rbm.number_of_weights,
        "density": found.rbm.density,
        "measure": name,
        **vars(best),
        "limit": found.limit,
        "fewer": found.fewer,
        "trials": [
            {"name": trial.name, "weights": trial.rbm.number_of_weights, "value": trial.value}
            for trial in found.trials
        ],
    }
