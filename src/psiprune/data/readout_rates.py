"""Confusion matrices of sites that are read independently, from rates and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.validation import check_count
from psiprune.data.confusion import MOST_SHOTS, Confusion, broken_rule
from psiprune.data.formats.base import short

#: The two rates of a site, in their order everywhere.
RATE_NAMES = ("p(1|0)", "p(0|1)")
#: The square of a smaller error may underflow.
_SQUARED = 1e-150


def groups_of_rates(
    flip_zero: ArrayLike, flip_one: ArrayLike, errors: Any, sites: int | None
) -> tuple[Confusion, ...]:
    """Return the confusion matrix of each site; see `ReadoutError.from_rates`.

    Raises:
        InputError: as there.
    """
    given = [flip_zero, flip_one]
    if errors is not None:
        try:
            of_zero, of_one = errors
        except (TypeError, ValueError):
            raise InputError(
                "readout: errors must be two, that of p(1|0) and that of p(0|1), found "
                f"{' '.join(repr(errors).split())[:60]}"
            ) from None
        given += [of_zero, of_one]
    try:
        arrays = [np.asarray(each, np.float64) for each in given]
    except (TypeError, ValueError):
        found = " and ".join(" ".join(short(each).split()) for each in given)
        raise InputError(
            "readout: both rates must be numbers or lists with one number per site, like their "
            f"errors, found {found}"
        ) from None
    lengths = {len(each) for each in arrays if each.ndim == 1}
    if any(each.ndim > 1 for each in arrays) or len(lengths) > 1:
        shapes = " and ".join(str(each.shape) for each in arrays)
        raise InputError(
            "readout: both rates must be numbers or lists with one number per site, like their "
            f"errors, found shapes {shapes}"
        )
    if sites is not None:
        sites = check_count("sites", sites, 1)
    elif not lengths:
        raise InputError("readout: rates that are single numbers need `sites`")
    number = lengths.pop() if lengths else int(sites or 0)
    if sites not in (None, number):
        raise InputError(f"readout: rates of {number} sites, but sites = {sites}")
    zero, one, *given_errors = (np.broadcast_to(each, number) for each in arrays)
    for name, rates in zip(RATE_NAMES, (zero, one), strict=True):
        wrong = np.flatnonzero(~((rates >= 0) & (rates < 0.5)))
        if len(wrong):
            raise InputError(
                f"readout: {name} at site {wrong[0]} {broken_rule(float(rates[wrong[0]]))}"
            )
    groups = []
    for i, pair in enumerate(np.stack([zero, one], axis=1)):
        prepared = None
        if given_errors:
            prepared = prepared_by_errors(pair, [e[i] for e in given_errors], f"readout: site {i}")
        groups.append(Confusion((i,), matrix_of_rates(*pair), prepared))
    return tuple(groups)


def matrix_of_rates(zero: float, one: float) -> NDArray[np.float64]:
    """Return the confusion matrix [v, y] of a site with p(1 | 0) and p(0 | 1)."""
    return np.array([[1 - zero, zero], [one, 1 - one]])


def prepared_by_errors(
    rates: Sequence[float] | NDArray[np.float64], errors: Sequence[float], place: str
) -> NDArray[np.int64]:
    """Return the calibration shots that give p(1 | 0) and p(0 | 1) these standard errors, [2].

    p (1 - p) / error^2, to the nearest integer, at most 10^12.

    Raises:
        InputError: an error is not above 0, or above sqrt(p (1 - p)); the message begins with
            `place`.
    """
    shots = []
    for name, rate, error in zip(RATE_NAMES, rates, errors, strict=True):
        most = float(np.sqrt(rate * (1 - rate)))
        if rate == 0:
            raise InputError(
                f"{place}: {name} = 0 cannot have a standard error, found {error:.6g}; give "
                "(k + 1/2) / (n + 1) for k wrong ones of n shots"
            )
        if not 0 < error <= most:
            raise InputError(
                f"{place}: the standard error of {name} = {rate:.6g} must be above 0 and at most "
                f"sqrt(p (1 - p)) = {most:.3g}, found {error:.6g}; omit both errors if they are "
                "not known"
            )
        if error < _SQUARED:
            number = min(most / float(error), MOST_SHOTS**0.5) ** 2
        else:
            number = float(rate * (1 - rate) / error**2)
        shots.append(min(round(number), MOST_SHOTS))
    return np.array(shots, np.int64)
