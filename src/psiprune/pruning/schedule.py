"""Pruning schedules: how many weights each step keeps."""

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
    """round(total * (1 - fraction)^step), at least 1 (the paper's Table I: 162 -> 96 at step 5).

    With another first step it is round(total * (1 - first_fraction) * (1 - fraction)^(step - 1)),
    and with a density at least round(density * total).

    Raises:
        InputError: a number breaks its rule.
    """
    total, step = check_count("total", total, 1), check_count("step", step, 0)
    for name, share in (
        ("fraction", fraction),
        ("first_fraction", first_fraction),
        ("density", density),
    ):
        if share is not None:
            check_number(name, share, "a number above 0 and below 1", lambda x: 0 < x < 1)
    share = (1.0 - fraction) ** step
    if first_fraction is not None and step > 0:
        share = (1.0 - first_fraction) * (1.0 - fraction) ** (step - 1)
    least = 1 if density is None else max(1, round(density * total))
    return max(least, round(total * share))


def count_at(settings: PruneSettings, total: int, step: int) -> int:
    """`weights_kept` of a step by these settings."""
    return weights_kept(
        total,
        settings.fraction,
        step,
        first_fraction=settings.first_fraction,
        density=settings.density,
    )


def ending(settings: PruneSettings, total: int) -> PruneSettings:
    """The settings with no more steps than it takes from `total` weights to the last one."""
    steps = (step for step in range(settings.levels) if count_at(settings, total, step) == 1)
    return settings.model_copy(update={"levels": max(1, next(steps, settings.levels))})
