"""log Z of an RBM with its error, by a sum, by variable elimination or by annealing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import (
    DRAW_SECONDS,
    DRAWN_BITS,
    EXACT_DRAW_UNITS,
    EXACT_SECONDS,
    PARTITION_UNITS,
)
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.repr import notebook_table
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.inference.ais import anneal, base_of, log_mean
from psiprune.inference.variable_elimination import (
    Contraction,
    contract,
    contraction_draws,
    plan_contraction,
)
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM, Data

Float64 = NDArray[np.float64]
_LOG = logging.getLogger(__name__)
METHODS = ("sum", "contraction", "annealing")
#: Below this effective sample size an error bar is unreliable.
FEWEST_EFFECTIVE = 30.0
# Measured on one core of a recent x86-64 server, nanoseconds.
_SUM_NS = 1.1  # for each state and each unit of the larger layer
_CONTRACTION_NS, _CONTRACTION_UNIT_NS = 25.0, 20e3  # for each term added, and each unit
_GAP = 4.0  # standard errors by which forward and reverse runs may differ
_GUIDES, _GUIDE_STEPS = 4032, 100  # chains that give the base its means: 36 full tiles
_SETTLE = 1000  # Gibbs steps from a random start


@notebook_table("value", "error", "method", "effective_sample_size", "warning")
@dataclass(frozen=True)
class LogPartition:
    """log Z with its error.

    Attributes:
        value: log Z = log sum_v p~(v), natural log.
        error: its standard error; 0 where exact up to float64 rounding.
        method: how it was computed.
        effective_sample_size: (sum w)^2 / sum w^2 of the weights w; None where exact.
        diagnostics: `estimated_seconds` on one core; for a contraction `width` and `operations`;
            for annealing `reverse`, the value of the reverse run, with `reverse_error`,
            `reverse_effective_sample_size` and `reverse_start`, a description; `lower_bound` and
            `upper_bound` from the means of log w, which hold up to their noise; `warning`, where
            the value cannot be trusted.
    """

    value: float
    error: float
    method: str
    effective_sample_size: float | None = None
    diagnostics: Mapping[str, float | str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return value, error and method in one line."""
        return f"LogPartition({self.value:.10g} +- {self.error:.2g}, {self.method})"

    @property
    def warning(self) -> str:
        """Why the value cannot be trusted; empty if no problem was detected."""
        return str(self.diagnostics.get("warning", ""))


@single_blas_thread()
def log_partition(
    rbm: RBM,
    *,
    method: str | None = None,
    data: Data | None = None,
    chains: int = 1000,
    temperatures: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> LogPartition:
    """Return log Z by the cheaper exact method where that takes up to a minute, else by annealing.

    Estimates, in seconds on one core of a recent server:
        "sum":         1.1e-9 * 2^n * m, n and m the units of the smaller and the larger layer
                       without the hidden units of at most one weight, n <= 30;
        "contraction": 25e-9 * operations + 20e-6 * units, see `plan_contraction`.

    Args:
        rbm: the RBM.
        method: forces "sum", "contraction" or "annealing".
        data: measured bits for the start of annealing; this and the rest are for annealing only.
        chains: independent chains in each direction.
        temperatures: changes of beta, equal steps from 0 to 1; a Gibbs step after each.
        seed: the same seed gives the same result on any number of threads.
        progress: show a progress bar of annealing with the time left, in terminals and notebooks.

    Raises:
        InputError: the method is unknown or impossible for this RBM, or an argument is out of
            range.
    """
    if method is not None and method not in METHODS:
        raise InputError(f"method: must be one of {', '.join(METHODS)}, found {method!r}")
    chains = check_count("chains", chains, 2)
    temperatures = check_count("temperatures", temperatures, 2)
    seed = check_seed(seed)
    bits = None if data is None else rbm.check_bits(data)
    if method != "annealing":
        limit = EXACT_SECONDS if method is None else np.inf
        exact = exact_log_partition(rbm, limit, method)
        if exact is not None:
            _LOG.info("log Z by %s", exact.method)
            return exact
    with progress_bar(2 * chains * temperatures, "annealing", "Gibbs steps", progress):
        annealed = annealed_log_partition(rbm, bits, chains, temperatures, seed)
    _LOG.info("log Z by %s: %.6g +- %.2g", annealed.method, annealed.value, annealed.error)
    if annealed.warning:
        _LOG.warning("log Z: %s", annealed.warning)
    return annealed


@single_blas_thread()
def exact_log_partition(
    rbm: RBM, limit: float = EXACT_SECONDS, method: str | None = None
) -> LogPartition | None:
    """Return log Z by an exact method, the cheapest if none is named.

    None where it would take more than `limit` seconds on one core.

    Raises:
        InputError: the method named is impossible for this RBM.
    """
    seconds, plan = _cheapest(rbm, method)
    if seconds > limit:
        return None
    return _by_sum(rbm, seconds) if plan is None else _by_contraction(plan)


def log_partition_after_pruning(rbm: RBM, limit: float) -> Callable[[RBM], float | None] | None:
    """Return the function other -> exact log Z, for an RBM pruned in many ways.

    All contractions use the order found for the unpruned RBM, as finding one takes longer than a
    short contraction. An RBM with further weights gets an order of its own, and None where log Z
    would take more than two minutes.

    None where the RBM itself would take more than `limit` seconds on one core.
    """
    seconds, plan = _cheapest(rbm)
    if seconds > limit:
        return None

    @single_blas_thread()
    def value(other: RBM) -> float | None:
        if plan is not None and not other.weights[rbm.weights == 0].any():
            return contract(replace(plan, rbm=other))
        exact = exact_log_partition(other)
        return None if exact is None else exact.value

    return value


def _cheapest(rbm: RBM, method: str | None = None) -> tuple[float, Contraction | None]:
    """Return the seconds of the cheapest exact method, and its plan; for a sum no plan."""
    candidates: list[tuple[float, Contraction | None]] = []
    units, larger = sorted(_without_leaves(rbm).weights.shape)
    # No float holds 2^1024; the sum is out of reach long before.
    seconds = _SUM_NS * 1e-9 * 2.0 ** min(units, 1000) * larger
    if method == "sum" or (method is None and units <= PARTITION_UNITS):
        candidates.append((seconds, None))
    if method == "contraction" or (method is None and seconds > 0.1):
        try:
            plan = plan_contraction(rbm)
        except InputError:
            if method is not None:
                raise
        else:
            candidates.append((_contraction_seconds(plan), plan))
    return min(candidates, key=itemgetter(0), default=(np.inf, None))


def _without_leaves(rbm: RBM) -> RBM:
    """Return the RBM without the hidden units of at most one weight."""
    return rbm.with_mask(rbm.weights != 0).compact()


def _by_sum(rbm: RBM, seconds: float) -> LogPartition:
    small = _without_leaves(rbm)
    units = min(small.visible, small.hidden)
    # p~ of the compact RBM differs by a constant factor, the same for every v.
    empty = np.zeros((1, rbm.visible), np.uint8)
    lost = rbm.log_prob_unnormalized(empty) - small.log_prob_unnormalized(empty)
    value, method = small.log_partition() + float(lost[0]), f"sum over 2^{units} states"
    return LogPartition(value, 0.0, method, diagnostics={"estimated_seconds": seconds})


def _contraction_seconds(plan: Contraction) -> float:
    return 1e-9 * (_CONTRACTION_NS * plan.operations + _CONTRACTION_UNIT_NS * len(plan.order))


def _by_contraction(plan: Contraction) -> LogPartition:
    diagnostics = {
        "estimated_seconds": _contraction_seconds(plan),
        "width": plan.width,
        "operations": plan.operations,
    }
    method = f"contraction of width {plan.width}"
    return LogPartition(contract(plan), 0.0, method, diagnostics=diagnostics)


def annealed_log_partition(
    rbm: RBM, bits: NDArray[np.uint8] | None, chains: int, temperatures: int, seed: int
) -> LogPartition:
    """Return log Z by annealed importance sampling, checked by the reverse run; see `ais`.

    The base has the means of bits [shot, site], or else of short chains of the RBM. The reverse run
    starts at exact draws where `independent_draws` gives them, else at chains of 1000 steps from
    random configurations and, if there are bits, half of them from these.

    The value is the forward one. Activations in float32 add an error of about 1e-6 |log Z|. There
    is a `warning` if both directions differ by more than 4 standard errors, or an effective sample
    size is below 30: then more temperatures are needed, or the chains that start the reverse run
    are stuck.
    """
    guide = rbm.sample(_GUIDES, steps=_GUIDE_STEPS, seed=seed) if bits is None else bits
    base = base_of(rbm, guide)
    betas = np.linspace(0.0, 1.0, temperatures + 1)
    forward, _ = anneal(rbm, base, base.draws(chains, seed), betas, seed)
    log_ratio, error, size = log_mean(forward)
    reverse_start, start = _reverse_start(rbm, bits, chains, seed)
    backward, _ = anneal(rbm, base, start, betas[::-1], seed)
    reverse, reverse_error, reverse_size = log_mean(backward)
    value, reverse = base.log_partition + log_ratio, base.log_partition - reverse
    diagnostics: dict[str, float | str] = {
        "reverse": reverse,
        "reverse_error": reverse_error,
        "reverse_effective_sample_size": reverse_size,
        "reverse_start": reverse_start,
        "lower_bound": base.log_partition + float(forward.mean()),
        "upper_bound": base.log_partition - float(backward.mean()),
    }
    gap, allowed = reverse - value, _GAP * float(np.hypot(error, reverse_error))
    allowed += 1e-4 + 1e-6 * abs(value)  # activations are float32
    if abs(gap) > allowed:
        diagnostics["warning"] = (
            f"annealing forward and in reverse gives log Z = {value:.4g} and {reverse:.4g}, which "
            f"differ by more than their errors allow ({allowed:.2g}); use more temperatures"
        )
    elif min(size, reverse_size) < min(FEWEST_EFFECTIVE, 0.3 * chains):
        diagnostics["warning"] = (
            f"annealing has an effective sample size of {min(size, reverse_size):.2g} of {chains} "
            "chains; use more temperatures"
        )
    method = f"annealing, {chains} chains, {temperatures} temperatures"
    return LogPartition(value, error, method, size, diagnostics)


def independent_draws(rbm: RBM, shots: int, *, seed: int = 0) -> NDArray[np.uint8] | None:
    """Return independent draws from p(v), uint8 [shot, visible], or None where only chains can.

    By a table over the smaller layer up to 25 units, without hidden units of at most one weight,
    else by a contraction of up to 2 seconds.

    Raises:
        InputError: more than 2^30 bits are asked for.
    """
    if shots * rbm.visible > DRAWN_BITS:
        raise InputError(
            f"draws: {shots:,} of {rbm.visible} sites exceed {DRAWN_BITS:,} bits, a limit of "
            f"memory; use at most {DRAWN_BITS // rbm.visible:,}"
        )
    small = rbm if min(rbm.visible, rbm.hidden) <= EXACT_DRAW_UNITS else rbm.compact()
    if min(small.visible, small.hidden) <= EXACT_DRAW_UNITS:
        return small.sample_exact(shots, seed=seed)
    try:
        plan = plan_contraction(rbm)
        if _contraction_seconds(plan) < DRAW_SECONDS:
            return contraction_draws(plan, shots, seed=seed)
    except InputError:
        pass  # not sparse enough
    return None


def _reverse_start(
    rbm: RBM, data: NDArray[np.uint8] | None, chains: int, seed: int
) -> tuple[str, NDArray[np.uint8]]:
    """Return where the reverse run starts: a description and configurations [chain, site]."""
    # Chains of `RBM.sample` with the user's seed may be the data, or have given the base its means.
    seed = derive_seed(seed, Stream.REVERSE_AIS_START)
    independent = independent_draws(rbm, chains, seed=seed)
    if independent is not None:
        return "independent draws", independent
    start = gibbs.random_start(chains, rbm.visible, seed)
    words = f"chains of {_SETTLE} steps from random configurations"
    if data is not None:
        generator = generator_for(seed, Stream.REVERSE_AIS_START)
        start[: chains // 2] = data[generator.integers(0, len(data), chains // 2)]
        words += " and data"
    return words, gibbs.step(gibbs.start_chains(rbm.compiled, start, seed), _SETTLE).bits
