"""Pruning schedules: how many weights remain after each step."""

from __future__ import annotations

from psiprune.core.validation import check_count, check_number
from psiprune.pruning.settings import PruneSettings


def weights_kept(
    total: int,
    fraction: float,
    step: int,
    *,
    first_fraction: float | None = None,
    density: float | None = None,
) -> int:
    """Return round(total * (1 - fraction)^step), at least 1 (Table I: 162 -> 96 at step 5).

    With a different first step round(total * (1 - first_fraction) * (1 - fraction)^(step - 1)), and
    with a density at least round(density * total).

    Raises:
        InputError: a number is out of range.
    """
    total, step = check_count("total", total, 1), check_count("step", step, 0)
    shares = {"fraction": fraction, "first_fraction": first_fraction, "density": density}
    for name, value in shares.items():
        if value is not None:
            check_number(name, value, "a number above 0 and below 1", lambda x: 0 < x < 1)
    share = (1.0 - fraction) ** step
    if first_fraction is not None and step > 0:
        share = (1.0 - first_fraction) * (1.0 - fraction) ** (step - 1)
    least = 1 if density is None else max(1, round(density * total))
    return max(least, round(total * share))


def count_at(settings: PruneSettings, total: int, step: int) -> int:
    """Return `weights_kept` at a step of these settings."""
    first, density = settings.first_fraction, settings.density
    return weights_kept(total, settings.fraction, step, first_fraction=first, density=density)


def truncate(settings: PruneSettings, total: int) -> PruneSettings:
    """Return the settings with no more steps than lead from `total` weights to the last one."""
    steps = (step for step in range(settings.levels) if count_at(settings, total, step) == 1)
    return settings.model_copy(update={"levels": max(1, next(steps, settings.levels))})
