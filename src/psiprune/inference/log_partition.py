"""log Z of an RBM by the method that fits, with its error: sum, contraction, annealing, bridge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_DRAW_UNITS, PARTITION_UNITS
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.inference.ais import anneal, base_of, log_mean
from psiprune.inference.variable_elimination import (
    Contraction,
    contract,
    contraction_draws,
    plan_contraction,
)
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
_LOG = logging.getLogger(__name__)
METHODS = ("sum", "contraction", "annealing")
#: An exact method is taken where its estimate stays below this, in seconds on one core: about a
#: minute on two. One number for all machines, so that they choose the same method.
EXACT_SECONDS = 120.0
#: Below this effective sample size an error bar means little.
FEWEST_EFFECTIVE = 30.0
# Measured on one core of a recent x86-64 server, nanoseconds.
_SUM_NS = 1.1  # for each state and each unit of the larger layer
_CONTRACTION_NS, _CONTRACTION_UNIT_NS = 25.0, 20e3  # for each term added, and each unit
_GAP = 4.0  # standard errors by which forward and backward runs may differ
_GUIDES, _GUIDE_STEPS = 4032, 100  # chains that give the base its means: 36 full tiles
_SETTLE = 1000  # Gibbs steps from a random start
_MOST_BITS = 1 << 30  # of draws; each takes a byte, and float64 numbers are made of it
_DRAWS_SECONDS = 2.0  # longest contraction, by its estimate, that is done for the sake of draws


@dataclass(frozen=True)
class LogPartition:
    """log Z with its error.

    Attributes:
        value: log Z = log sum_v p~(v), natural log.
        error: its standard error; 0 where exact up to float64 rounding.
        method: how it was found, in words.
        effective_sample_size: (sum w)^2 / sum w^2 of the weights w; None where exact.
        diagnostics: what else there is to know. `estimated_seconds` on one core; for a contraction
            `width` and `operations`; for annealing `reverse`, the value of the backward run, with
            `reverse_error`, `reverse_effective_sample_size` and, in words, `reverse_start`;
            `lower_bound` and `upper_bound` from the means of log w, which hold up to their noise;
            `warning`, in words, where the value is not to be trusted.
    """

    value: float
    error: float
    method: str
    effective_sample_size: float | None = None
    diagnostics: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def warning(self) -> str:
        """Why the value is not to be trusted; empty if nothing speaks against it."""
        return str(self.diagnostics.get("warning", ""))


@single_blas_thread()
def log_partition(
    rbm: RBM,
    *,
    method: str | None = None,
    data: Shots | ArrayLike | None = None,
    chains: int = 1000,
    temperatures: int = 2000,
    seed: int = 0,
) -> LogPartition:
    """log Z by the method that fits: the cheaper exact one below about a minute, else annealing.

    Estimates, in seconds on one core of a recent server:
        "sum":         1.1e-9 * 2^n * m, n and m the units of the smaller and the larger layer
                       without the hidden units of at most one weight, n <= 30;
        "contraction": 25e-9 * operations + 20e-6 * units, see `plan_contraction`.

    Args:
        rbm: the RBM.
        method: forces "sum", "contraction" or "annealing".
        data: see `annealed_log_partition`; not used by exact methods.
        chains: likewise.
        temperatures: likewise.
        seed: of annealing.

    Raises:
        InputError: the method is not known or impossible for this RBM, or an argument is out of
            range; one line says which.
    """
    if method is not None and method not in METHODS:
        raise InputError(f"method: must be one of {', '.join(METHODS)}, found {method!r}")
    check_count("chains", chains, 2)
    check_count("temperatures", temperatures, 2)
    check_seed(seed)
    bits = None if data is None else _bits(rbm, data)
    if method != "annealing":
        candidates = _exact_candidates(rbm, method)
        estimate, find = min(candidates, key=lambda candidate: candidate[0], default=(np.inf, None))
        if find is not None and (method is not None or estimate <= EXACT_SECONDS):
            found = find()
            _LOG.info("log Z by %s", found.method)
            return found
    found = annealed_log_partition(
        rbm, data=bits, chains=chains, temperatures=temperatures, seed=seed
    )
    _LOG.info("log Z by %s: %.6g +- %.2g", found.method, found.value, found.error)
    if found.warning:
        _LOG.warning("log Z: %s", found.warning)
    return found


@single_blas_thread()
def exact_log_partition(rbm: RBM, seconds: float = EXACT_SECONDS) -> LogPartition | None:
    """log Z by the cheaper exact method, or None where that would take longer on one core."""
    candidates = _exact_candidates(rbm, None)
    estimate, find = min(candidates, key=lambda candidate: candidate[0], default=(np.inf, None))
    return find() if find is not None and estimate <= seconds else None


def _exact_candidates(
    rbm: RBM, method: str | None
) -> list[tuple[float, Callable[[], LogPartition]]]:
    """(estimated seconds, how to find it) of each exact method, or of the one asked for."""
    found: list[tuple[float, Callable[[], LogPartition]]] = []
    small = rbm.with_mask(rbm.mask & (rbm.weights != 0)).compact()
    units = min(small.visible, small.hidden)
    seconds = _SUM_NS * 1e-9 * 2.0**units * max(small.visible, small.hidden)
    if method == "sum" or (method is None and units <= PARTITION_UNITS):
        found.append((seconds, lambda: _by_sum(rbm, small, seconds)))
    if method == "contraction" or (method is None and seconds > 0.1):
        try:
            plan = plan_contraction(rbm)
        except InputError:
            if method is not None:
                raise
        else:
            found.append((_contraction_seconds(plan), lambda: _by_contraction(plan)))
    return found


def _by_sum(rbm: RBM, small: RBM, seconds: float) -> LogPartition:
    units = min(small.visible, small.hidden)
    # The compact RBM's p~ differs by a constant factor, the same for every v.
    empty = np.zeros((1, rbm.visible), np.uint8)
    lost = rbm.log_prob_unnormalized(empty) - small.log_prob_unnormalized(empty)
    return LogPartition(
        small.log_partition() + float(lost[0]),
        0.0,
        f"sum over 2^{units} states",
        None,
        {"estimated_seconds": seconds},
    )


def _contraction_seconds(plan: Contraction) -> float:
    return 1e-9 * (_CONTRACTION_NS * plan.operations + _CONTRACTION_UNIT_NS * len(plan.order))


def _by_contraction(plan: Contraction) -> LogPartition:
    return LogPartition(
        contract(plan),
        0.0,
        f"contraction of width {plan.width}",
        None,
        {
            "estimated_seconds": _contraction_seconds(plan),
            "width": plan.width,
            "operations": plan.operations,
        },
    )


@single_blas_thread()
def annealed_log_partition(
    rbm: RBM,
    *,
    data: Shots | ArrayLike | None = None,
    chains: int = 1000,
    temperatures: int = 2000,
    seed: int = 0,
) -> LogPartition:
    """log Z by annealed importance sampling, and by the reverse run as a check; see `annealing`.

    The base has the means of `data`, or else of short chains of the RBM. The reverse run starts at
    exact draws where a layer has at most 20 units or a contraction gives them in seconds, else at
    chains of 1000 steps, from random configurations and, if there are data, half of them from data.

    Args:
        rbm: the RBM.
        data: measured bits [shot, site], if there are any.
        chains: independent chains in each direction.
        temperatures: changes of beta, equal steps from 0 to 1; a Gibbs step after each.
        seed: the same seed gives the same result on any number of threads.

    Returns:
        The forward value. Activations in float32 leave about 1e-6 |log Z| beside its error. There
        is a `warning` if both directions differ by more than 4 standard errors, or an effective
        sample size is below 30: then more temperatures are needed, or the chains that start the
        reverse run are stuck.

    Raises:
        InputError: data do not fit the RBM, or a number is out of range.
    """
    chains = check_count("chains", chains, 2)
    temperatures = check_count("temperatures", temperatures, 2)
    seed = check_seed(seed)
    bits = None if data is None else _bits(rbm, data)
    if bits is None:
        free = gibbs.random_start(_GUIDES, rbm.visible, seed)
        guide = gibbs.advance(gibbs.start_chains(rbm.machine, free, seed), _GUIDE_STEPS).bits
    else:
        guide = bits
    base = base_of(rbm, guide)
    betas = np.linspace(0.0, 1.0, temperatures + 1)
    there, _ = anneal(rbm, base, base.draws(chains, seed), betas, seed)
    forward, error, size = log_mean(there)
    words, start = _draws_of(rbm, bits, chains, seed)
    back, _ = anneal(rbm, base, start, betas[::-1], seed)
    reverse, reverse_error, reverse_size = log_mean(back)
    value, reverse = base.log_partition + forward, base.log_partition - reverse
    diagnostics: dict[str, float | str] = {
        "reverse": reverse,
        "reverse_error": reverse_error,
        "reverse_effective_sample_size": reverse_size,
        "reverse_start": words,
        "lower_bound": base.log_partition + float(there.mean()),
        "upper_bound": base.log_partition - float(back.mean()),
    }
    gap, allowed = reverse - value, _GAP * float(np.hypot(error, reverse_error))
    allowed += 1e-4 + 1e-6 * abs(value)  # activations are float32
    if abs(gap) > allowed:
        diagnostics["warning"] = (
            f"annealing there and back gives log Z = {value:.4g} and {reverse:.4g}, which differ "
            f"by more than their errors allow ({allowed:.2g}); use more temperatures"
        )
    elif min(size, reverse_size) < min(FEWEST_EFFECTIVE, 0.3 * chains):
        diagnostics["warning"] = (
            f"annealing has an effective sample size of {min(size, reverse_size):.2g} of {chains} "
            "chains; use more temperatures"
        )
    return LogPartition(
        value,
        error,
        f"annealing, {chains} chains, {temperatures} temperatures",
        size,
        diagnostics,
    )


def independent_draws(rbm: RBM, shots: int, *, seed: int = 0) -> NDArray[np.uint8] | None:
    """Independent draws from p(v), uint8 [shot, visible], or None where only chains give any.

    By a table over the smaller layer up to 25 units, hidden units of at most one weight not
    counted, else by a contraction of seconds.

    Raises:
        InputError: more than 2^30 bits are asked for, whatever gives them.
    """
    if shots * rbm.visible > _MOST_BITS:
        raise InputError(
            f"draws: {shots} of {rbm.visible} sites are more than the {_MOST_BITS} bits that fit "
            "in memory here; ask for fewer"
        )
    small = rbm if min(rbm.visible, rbm.hidden) <= EXACT_DRAW_UNITS else rbm.compact()
    if min(small.visible, small.hidden) <= EXACT_DRAW_UNITS:
        return small.sample_exact(shots, seed=seed)
    try:
        plan = plan_contraction(rbm)
        if _contraction_seconds(plan) < _DRAWS_SECONDS:
            return contraction_draws(plan, shots, seed=seed)
    except InputError:
        pass  # not sparse enough
    return None


def _draws_of(
    rbm: RBM, data: NDArray[np.uint8] | None, chains: int, seed: int
) -> tuple[str, NDArray[np.uint8]]:
    """Where the reverse run starts: in words, and the configurations [chain, site]."""
    independent = independent_draws(rbm, chains, seed=seed)
    if independent is not None:
        return "independent draws", independent
    start = gibbs.random_start(chains, rbm.visible, seed)
    words = f"chains of {_SETTLE} steps from random configurations"
    if data is not None:
        half = chains // 2
        start[:half] = data[
            generator_for(seed, Stream.REVERSE_AIS_START).integers(0, len(data), half)
        ]
        words += " and data"
    return words, gibbs.advance(gibbs.start_chains(rbm.machine, start, seed), _SETTLE).bits


def _bits(rbm: RBM, data: Shots | ArrayLike) -> NDArray[np.uint8]:
    return check_sites(as_shots(data), rbm.visible, "the RBM").bits
