"""Estimate readout errors from shots of prepared basis states."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.bit_order import bit_order_of
from psiprune.data.confusion import Confusion, check_group, frequencies, named
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import ShotsLike, as_shots, check_sites

Bits = NDArray[np.uint8]


def calibrate_readout(
    prepared: Mapping[str, ShotsLike],
    groups: Sequence[Sequence[int]] | None = None,
    *,
    source: str = "calibration shots",
) -> ReadoutError:
    """Estimate the errors from shots of prepared basis states.

    p(y | v) of a group is the relative frequency of y among all shots whose prepared bits there
    are v, which has no bias. The number of these shots is kept for the statistical error, which
    is above 0 also where no shot was misread; see `ReadoutError.resampled`. Readout errors that
    the shots carry already are not used.

    Args:
        prepared: shots (`Shots`, bits [shot, site], or counts) of each prepared bit string,
            site 0 as the first character: {"0000": shots, "1111": shots}.
        groups: sites that are read together, such as [(0, 1), (2, 3)]; all other sites are read
            independently. A group of k sites needs shots of all its 2^k states.
        source: the origin of the shots.

    Raises:
        InputError: a bit string does not fit the shots or is reversed, a state of a group was not
            prepared, or the estimated matrix is invalid; see `ReadoutError`.
    """
    if not isinstance(prepared, Mapping):
        raise InputError(
            "calibration: prepared must be a dictionary of shots by bit string, such as "
            f'{{"00": zeros, "11": ones}}, found {type(prepared).__name__}'
        )
    if not prepared:
        raise InputError("calibration: needs shots of prepared bit strings, found none")
    runs: list[tuple[Bits, Bits]] = []
    orders: set[str] = set()
    for text, shots in prepared.items():
        measured = as_shots(shots)
        check_sites(measured, measured.sites, "a calibration")
        if not isinstance(text, str) or set(text) - {"0", "1"} or len(text) != measured.sites:
            raise InputError(
                f"calibration: each prepared state must be a string of {measured.sites} bits "
                f"like the shots measured after it, found {text!r}"
            )
        orders.add(bit_order_of(measured.provenance))
        runs.append((np.array([int(bit) for bit in text], np.uint8), measured.bits))
    widths = {len(bits) for bits, _ in runs}
    if len(widths) > 1:
        raise InputError(f"calibration: all states must have one length, found {sorted(widths)}")
    sites = widths.pop()
    if _most_misread(runs, 1) > 0.5 > _most_misread(runs, -1):
        turned = next(text for text in prepared if text != text[::-1])
        raise InputError(
            f"calibration: the prepared states fit in reversed order: {turned} was measured as "
            f"{turned[::-1]}; give site 0 as the first character of each state, or read the shots "
            "in the other order (--order)"
        )
    try:
        joined = [tuple(map(operator.index, group)) for group in groups or ()]
    except TypeError:
        raise InputError(
            f"groups: must be a list of groups of sites, such as [(0, 1)], found {groups!r}"
        ) from None
    for site in (site for group in joined for site in group):
        if not 0 <= site < sites:
            raise InputError(f"groups: sites must be 0 to {sites - 1}, found {site}")
    rest = set(range(sites)) - {site for group in joined for site in group}
    found = []
    for group in [*joined, *((site,) for site in sorted(rest))]:
        check_group(group)
        weights = 1 << np.arange(len(group))
        counts = np.zeros((1 << len(group),) * 2, np.int64)
        for state, bits in runs:
            row = int(state[list(group)] @ weights)
            counts[row] += np.bincount(bits[:, group] @ weights, minlength=len(counts))
        shots_of = counts.sum(axis=1)
        if not shots_of.all():
            missing = int(np.flatnonzero(shots_of == 0)[0])
            text = "".join(str((missing >> i) & 1) for i in range(len(group)))
            way_out = "measure all qubits in 0 and all in 1"
            if len(group) > 1:
                way_out = f"a group needs shots of all its {len(counts)} states"
            raise InputError(
                f"calibration: no shots with {named(group)} prepared in {text!r}; {way_out}"
            )
        found.append(Confusion(group, frequencies(counts), shots_of))
    return ReadoutError(tuple(found), source, orders.pop() if len(orders) == 1 else "")


def _most_misread(runs: Sequence[tuple[Bits, Bits]], step: int) -> float:
    """Return the largest share of wrong bits of a site after one state, read backwards if -1."""
    return max(float((bits != state[::step]).mean(axis=0).max()) for state, bits in runs)
