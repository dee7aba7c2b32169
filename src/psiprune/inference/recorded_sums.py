"""Exact log sum_v p~(v) C(y | v) of each record y, where it is cheap at any number of sites.

"hidden":      log sum_h exp(c.h) prod_g f_g(y_g, h), with the factor of a group of sites read
               together, f_g(y_g, h) = sum_{v_g} C_g(y_g | v_g) exp(v_g.(b + W^T h)_g). All f_g are
               tabulated once, and a record picks one row of each table.
"contraction": log C_g(y_g | v_g) are further factors of p~(v), and all units are summed out one
               after the other (`variable_elimination`). The order is the same for all records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import RECORDED_BYTES
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.variable_elimination import Contraction, contract_cases, plan_contraction
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import bits_of_states, index_of

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Bytes of the tables of a block of records, which should fit into a core's cache.
_CACHE = 1 << 20
#: log C where C = 0: finite, so that no difference of two is undefined, and lost in any sum.
_EXCLUDED = -1e30
# Measured on one core of a recent x86-64 server, nanoseconds.
_TABLE_NS = 30.0  # for each hidden state, true and recorded state of a group
_PRODUCT_NS, _STATE_NS = 0.1, 8.0  # for each record and hidden state: of each row, and once
_ELIMINATION_NS, _UNIT_NS = 25.0, 40e3  # for each term added, and each unit and block of records


class RecordedSum(NamedTuple):
    """A method to compute log sum_v p~(v) C(y | v).

    Attributes:
        seconds: estimated time on one core.
        method: its name, for reports.
        compute: the function, records [record, site] -> [record].
    """

    seconds: float
    method: str
    compute: Callable[[Bits], Float64]


def cheapest_sum(rbm: RBM, readout: ReadoutError, records: int) -> RecordedSum | None:
    """Return the quicker of both methods, or None where both need too much memory.

    Seconds on one core, with G = sum_g 2^k_g rows of the tables of groups of k_g sites:
        "hidden":      1e-9 * 2^N_h * (30 sum_g 4^k_g + (8 + 0.1 G) * records);
        "contraction": 25e-9 * operations * records + 40e-6 * units * blocks of records, not tried
                       where the first takes less than 0.1 s.

    Args:
        rbm: the RBM, best without units that do not matter (`RBM.compact`).
        readout: the readout errors.
        records: number of records.
    """
    found = []
    rows = [len(group.matrix) for group in readout.groups]
    seconds = hidden_seconds(rbm.hidden, rows, records)
    if seconds < np.inf:
        compute = partial(sum_over_hidden, rbm, readout)
        found.append(RecordedSum(seconds, f"sum over 2^{rbm.hidden} hidden states", compute))
    if not found or found[0].seconds > 0.1:
        try:
            plan = plan_contraction(rbm, [group.sites for group in readout.groups])
        except InputError:  # not sparse enough
            plan = None
        if plan is not None and plan.memory <= RECORDED_BYTES:
            blocks = -(-records // _block(plan.memory))
            seconds = _ELIMINATION_NS * plan.operations * records
            seconds = 1e-9 * (seconds + _UNIT_NS * len(plan.order) * blocks)
            compute = partial(sum_by_contraction, plan, readout)
            found.append(RecordedSum(seconds, f"contraction of width {plan.width}", compute))
    return min(found, default=None, key=lambda each: each.seconds)


def hidden_seconds(hidden: int, rows: Sequence[int], records: float) -> float:
    """Return the seconds of "hidden" with tables of so many rows; inf where they are too large."""
    states = 2.0 ** min(hidden, 1000)  # no float holds 2^1024
    if 8 * states * sum(rows) > RECORDED_BYTES:
        return np.inf
    tables = _TABLE_NS * sum(row**2 for row in rows)
    return 1e-9 * states * (tables + (_STATE_NS + _PRODUCT_NS * sum(rows)) * records)


@single_blas_thread()
def sum_over_hidden(rbm: RBM, readout: ReadoutError, records: Bits) -> Float64:
    """Return log sum_v p~(v) C(y | v) of records [record, site] by a sum over hidden states."""
    hidden = bits_of_states(rbm.hidden)
    log_odds = (hidden @ rbm.weights + rbm.visible_bias).T  # [site, hidden state]
    tables, picked, first = [], [], 0
    for group in readout.groups:
        of_states = bits_of_states(len(group.sites)) @ log_odds[list(group.sites)]
        with np.errstate(divide="ignore"):
            log_c = np.log(group.matrix)
        tables += [np.logaddexp.reduce(column[:, None] + of_states) for column in log_c.T]
        picked.append(first + index_of(records[:, group.sites]))
        first += len(group.matrix)
    table, rows = np.stack(tables), np.stack(picked, axis=1)
    log_prior = hidden @ rbm.hidden_bias
    step = _block(8 * (len(hidden) + len(table)))

    def block(start: int) -> Float64:
        part = rows[start : start + step]
        chosen = np.zeros((len(part), len(table)))
        np.put_along_axis(chosen, part, 1.0, axis=1)
        terms = chosen @ table + log_prior
        top = terms.max(axis=1)
        terms -= top[:, None]
        return np.asarray(top + np.log(np.exp(terms, out=terms).sum(axis=1)))

    return np.concatenate(map_threads(block, range(0, len(rows), step)))


def sum_by_contraction(plan: Contraction, readout: ReadoutError, records: Bits) -> Float64:
    """Return log sum_v p~(v) C(y | v) of records [record, site] by variable elimination.

    The plan must have the groups of the readout errors as `joint` units.
    """
    with np.errstate(divide="ignore"):
        log_c = [np.maximum(np.log(group.matrix), _EXCLUDED) for group in readout.groups]
    step = _block(plan.memory)

    def block(start: int) -> Float64:
        part = records[start : start + step]
        factors = [
            (group.sites, table[:, index_of(part[:, group.sites])])
            for group, table in zip(readout.groups, log_c, strict=True)
        ]
        return contract_cases(plan, factors, len(part))

    return np.concatenate(map_threads(block, range(0, len(records), step)))


def _block(size: int) -> int:
    """Return how many records of so many bytes are computed at a time."""
    return max(1, _CACHE // size)
