"""Evaluate an RBM against measured shots alone, where no reference state is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.dependence import Blocks, find_dependence
from psiprune.data.shots import as_shots, check_sites
from psiprune.inference.log_partition import log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.metrics.bootstrap import at_least_one_shot, bootstrap_means
from psiprune.metrics.boundary import BoundaryErrors, boundary_errors
from psiprune.metrics.corrected import CorrectedEstimate, invert_records
from psiprune.metrics.custom import check_names
from psiprune.metrics.draws import draw_from_data
from psiprune.metrics.entropy_observable import check_rbm_size, is_determined
from psiprune.metrics.measure import CONFIDENCE, Measure, effective_draws, relative_error
from psiprune.metrics.observable_text import GivenObservables, as_observables
from psiprune.metrics.observables import (
    UNKNOWN,
    Estimate,
    chain_mean,
    mean_bond,
    sampled_observables,
    spins,
)
from psiprune.metrics.observed import (
    constant_of,
    dimension_of,
    doubt,
    estimate_from_draws,
    values_of_draws,
)
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.metrics.rates_error import errors_from_rates, readout_warning, trained_through
from psiprune.metrics.shots_report import TAKEN, Comparison, ShotsReport
from psiprune.metrics.training_error import Training, errors_from_training, training_of
from psiprune.rbm.model import RBM, Data
from psiprune.states.hamiltonian import Hamiltonian, positions_of
from psiprune.states.tfim import midpoint

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Sets of readout error rates behind the error from them, which is accurate to 18 %.
RATE_SETS = 16


@single_blas_thread()
def evaluate_on_shots(
    rbm: RBM,
    shots: Data,
    *,
    draws: int = 100_000,
    seed: int = 0,
    observables: GivenObservables | None = None,
    blocks: Blocks | None = None,
    rate_sets: int = RATE_SETS,
    training_noise: bool = True,
    progress: bool = True,
) -> ShotsReport:
    """Return the log-likelihood of shots, and m, |m|, <Z Z> and C(d) of the RBM against theirs.

    Use held-out shots: an RBM does not record which shots it was trained on.

    Of shots with readout errors, log p(y) of the records takes the place of log p(v)
    (`psiprune.inference.recorded`), and what is compared with the records are the RBM's draws, read
    with these errors: the report is about the records, and `state` about the true bits.

    log Z comes from `log_partition`; the RBM's observables from `draws` samples, independent where
    possible, else from Gibbs chains, as in `evaluate`. Errors of the shots are standard deviations
    over 400 bootstrap resamples of the shots (Efron 1979), or of blocks of consecutive ones where
    `find_dependence` finds that shots are not independent; where all n independent shots agree, 1/n
    instead of 0 (or |value|/n, if that is larger).

    Args:
        rbm: the RBM.
        shots: measured bits [shot, site] in the Z basis or counts by bit string, at least 2 shots.
        draws: samples of the RBM.
        seed: of the draws, of annealing and of the bootstrap.
        observables: custom observables by name: functions bits [shot, site] -> a value for each
            shot, or one for all (the error of which takes 100 resamples of shots and draws), sums
            of Pauli strings as `Hamiltonian` or text, or ready-made names; or a list of texts such
            as "Z0 Z3". Strings with X or Y are of the RBM's state psi = sqrt(p) alone.
        blocks: of the shots, if they are part of a record that was judged; None judges them.
        rate_sets: sets of readout error rates, drawn within their uncertainty, behind `rates_error`
            in `state`; 0 omits it.
        training_noise: whether to compute `training_error`.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: the shots are fewer than 2, of another number of sites or in another basis,
            draws < 100, rate_sets < 0, or a custom observable fails.
    """
    data = check_sites(as_shots(shots), rbm.visible, "the RBM")
    custom = as_observables(observables, rbm.visible, positions_of(data))
    check_names(custom, TAKEN)
    check_rbm_size(custom, rbm.visible)
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    rate_sets = check_count("rate_sets", rate_sets, 0)
    if len(data) < 2:
        raise InputError(f"{data.source}: an error bar needs at least 2 shots, found {len(data)}")
    bits, found = data.bits, None
    if blocks is None:
        found = find_dependence(data)
        blocks = found.blocks
        if blocks.length > 1:
            bits = bits[found.order]
    # The draws have a stream of their own, as shots may be draws of this RBM with the same seed.
    with progress_bar(None, "sampling the RBM", "Gibbs steps", progress):
        drawn = draw_from_data(rbm, bits, draws, seed, Stream.SHOTS_START, Stream.SHOTS_DRAWS)
    chains, length, _ = drawn.bits.shape
    true = {} if data.readout is None else _rbm_estimates(rbm, drawn.bits)
    of_true, drawn = drawn, drawn.recorded(data.readout, derive_seed(seed, Stream.SHOTS_RECORDS))
    estimates = _rbm_estimates(rbm, drawn.bits)
    log_z = log_partition(rbm, data=data, seed=seed, progress=progress)
    log_p = shots_log_prob(rbm, replace(data, bits=bits), log_z, seed)
    of_state: dict[str, CorrectedEstimate] = {}
    least = BoundaryErrors({}, {}, {})
    shared = data.readout is not None and trained_through(rbm, data.readout)
    of_rbm_alone = {name for name, each in custom.items() if not is_determined(each)}
    by_bits = {name: each for name, each in custom.items() if name not in of_rbm_alone}
    sums: dict[str, PauliObservable] = {}
    operators: dict[str, Hamiltonian] = {}
    if data.readout is not None:
        sums = {n: o for n, o in by_bits.items() if isinstance(o, PauliObservable)}
        operators = {n: o.operator for n, o in sums.items()}
        direct = invert_records(bits, data.readout, seed, blocks, operators)
        of_state = direct.estimates
        true |= {n: estimate_from_draws(n, by_bits[n], of_true.bits, seed) for n in sums}
    size, flat = blocks.effective(len(data)), of_true.bits.reshape(-1, rbm.visible)
    training = training_of(rbm, flat, data.readout, seed) if training_noise else Training()
    share = size / training.shots if training.shots else 1.0
    of_rates = errors_from_rates(rbm, data, rate_sets, seed, training.curvature, sums)
    by_shot = {name: values_of_draws(name, each, bits, None) for name, each in by_bits.items()}
    by_shot = {name: values for name, values in by_shot.items() if values.ndim}
    of_training = errors_from_training(rbm, training, data.readout, custom, seed)
    of_shots = _shots_estimates(bits, log_p.values, by_shot, seed, blocks)
    for name, each in custom.items():
        if name in of_rbm_alone:
            estimates[name] = estimate_from_draws(name, each, of_true.bits, seed, rbm=rbm)
            of_shots[name] = UNKNOWN
            continue
        estimates[name] = estimate_from_draws(name, each, drawn.bits, seed)
        if name not in of_shots:
            estimate = estimate_from_draws(name, each, bits[:, None, :], seed, blocks.length)
            error = at_least_one_shot(np.asarray(estimate.error), np.asarray(estimate.value), size)
            of_shots[name] = replace(estimate, error=np.float64(error))
    if shared:
        least = boundary_errors(flat, direct, of_shots, share, operators)

    def at_least(
        first_order: Float64 | np.float64 | None, value: Float64 | np.float64, floor: Float64 | None
    ) -> Float64 | np.float64 | None:
        if first_order is None:
            return None
        error = np.fmax(first_order, 0.0 if floor is None else floor)
        return at_least_one_shot(error, np.asarray(value), training.shots or np.inf)[()]

    def compare(model: Estimate, target: Estimate, method: str = drawn.method) -> Comparison:
        drawn_size = effective_draws(model, chains * length, length)
        error = at_least_one_shot(np.asarray(model.error), np.asarray(model.value), drawn_size)[()]
        variance = np.fmax(size * target.error**2, drawn_size * model.error**2)
        values = model.value, error, target.value, target.error
        return Comparison(*values, method, drawn.warning, drawn_size, variance)

    size_of_rbm = min(size, log_z.effective_sample_size or size)
    doubts = [log_z.warning and f"depends on log Z, and {log_z.warning}", log_p.warning]
    warning = "; ".join(filter(None, doubts))

    def of_rbm(name: str) -> Measure:
        value, error = float(of_shots[name].value), float(of_shots[name].error)
        error = float(np.linalg.norm([error, log_p.error, log_p.bias]))
        return Measure(value, error, float("nan"), log_p.method, warning, size_of_rbm)

    product = of_shots["product_log_likelihood"]
    method = "independent bits, with the means of these shots"
    parameters = rbm.compact().number_of_parameters
    compared = {
        name: replace(
            compare(
                estimates[name], of_shots[name], (of_true if name in of_rbm_alone else drawn).method
            ),
            training_error=at_least(
                of_training.records.get(name), estimates[name].value, least.records.get(name)
            ),
        )
        for name in estimates
    }
    for name, each in custom.items():
        dimension, coordinates = dimension_of(each)
        warning = drawn.warning or doubt(each, estimates[name])
        compared[name] = replace(
            compared[name], warning=warning, dimension=dimension, coordinates=coordinates
        )
        if constant_of(each) is not None:
            compared[name] = replace(
                compared[name], error=np.float64(0), shots_error=np.float64(0), training_error=None
            )
    absolute = compared["abs_magnetization"]
    return ShotsReport(
        len(data),
        of_rbm("log_likelihood"),
        Measure(float(product.value), float(product.error), float("nan"), method, "", size),
        of_rbm("log_likelihood_gain"),
        _relative_to_shots(
            estimates["abs_magnetization"], of_shots["abs_magnetization"], chains * length, absolute
        ),
        compared["magnetization"],
        absolute,
        compared["neighbours"],
        compared["correlation"],
        parameters / size if parameters <= size else float("nan"),
        size,
        blocks.length,
        () if found is None else found.warnings,
        {name: compared[name] for name in custom},
        {
            name: replace(
                compare(true[name], target, of_true.method),
                shots_sampling_error=target.sampling_error if shared else None,
                rates_error=at_least(of_rates.get(name), true[name].value, least.rates.get(name)),
                training_error=at_least(
                    of_training.state.get(name), true[name].value, least.training.get(name)
                ),
            )
            for name, target in of_state.items()
        },
        readout_warning(rbm, data),
        training.note,
        least.note,
    )


def _rbm_estimates(rbm: RBM, bits: Bits) -> dict[str, Estimate]:
    """Return the observables of a `ShotsReport` over draws of the RBM, bits [chain, draw, site]."""
    chains, length, sites = bits.shape
    sampled = sampled_observables(rbm, bits, None)
    return {
        "magnetization": sampled.magnetization,
        "abs_magnetization": sampled.abs_magnetization,
        "correlation": sampled.correlation,
        "neighbours": chain_mean(mean_bond(spins(bits.reshape(-1, sites))).reshape(chains, length)),
    }


def _shots_estimates(
    bits: Bits, log_p: Float64, custom: Mapping[str, Float64], seed: int, blocks: Blocks
) -> dict[str, Estimate]:
    """Return the shots' estimates with bootstrap errors.

    log_p [shot] is the RBM's log p(v); custom observables are [shot] or [shot, value].
    """
    z = spins(bits)
    m, right = z.mean(axis=1), z[:, midpoint(bits.shape[1]) :]
    product = _product_log_prob(bits)
    likelihoods = {
        "log_likelihood": log_p,
        "product_log_likelihood": product,
        "log_likelihood_gain": log_p - product,
    }
    scalars = {
        **likelihoods,
        "magnetization": m,
        "abs_magnetization": np.abs(m),
        **{name: values for name, values in custom.items() if values.ndim == 1},
    }
    if bits.shape[1] > 1:
        scalars["neighbours"] = mean_bond(z)
    arrays = {name: values for name, values in custom.items() if values.ndim == 2}
    table = np.column_stack([*scalars.values(), right, right[:, :1] * right, *arrays.values()])
    centre, spread = table.mean(axis=0), table.std(axis=0)
    table -= centre  # so that float32 is accurate enough
    resampled = centre + bootstrap_means(table.astype(np.float32), seed, blocks.length)
    errors = resampled.std(axis=0, ddof=1)
    observed = slice(len(likelihoods), None)
    shots = blocks.effective(len(bits))
    errors[observed] = at_least_one_shot(errors[observed], centre[observed], shots)
    estimates = {name: Estimate(centre[k], errors[k], spread[k]) for k, name in enumerate(scalars)}
    estimates.setdefault("neighbours", UNKNOWN)
    last = end = len(scalars) + 2 * right.shape[1]
    for name, values in arrays.items():
        part = slice(end, end := end + values.shape[1])
        estimates[name] = Estimate(centre[part], errors[part], spread[part])

    def correlation(means: Float64) -> Float64:
        one, products = np.split(means[..., len(scalars) : last], 2, axis=-1)
        return np.asarray(products - one[..., :1] * one)

    value = correlation(centre)
    error = at_least_one_shot(correlation(resampled).std(axis=0, ddof=1), value, shots)
    return estimates | {"correlation": Estimate(value, error, np.full(value.shape, np.nan))}


def _relative_to_shots(
    model: Estimate, shots: Estimate, draws: int, comparison: Comparison
) -> Measure:
    """Return Eq. (6) with the shots as the reference; the floor includes the noise of the shots."""
    scale = float(shots.value) or float("nan")
    ideal, noise = float(shots.deviation) / np.sqrt(draws), float(shots.error)
    floor = CONFIDENCE * ideal + np.sqrt(2 / np.pi) * np.hypot(ideal, noise)
    return Measure(
        relative_error(shots, model)[0],
        float(np.hypot(model.error, noise)) / scale,
        float(floor) / scale,
        comparison.method,
        comparison.warning,
        comparison.effective_sample_size,
    )


def _product_log_prob(bits: Bits) -> Float64:
    """Return log prod_i p_i(v_i) of each shot, p_i the frequencies of these shots, [shot]."""
    ones = bits.mean(axis=0)
    log_odds = np.zeros(len(ones))
    mixed = (ones > 0) & (ones < 1)  # a bit that never varies has probability 1
    log_odds[mixed] = np.log(ones[mixed] / (1 - ones[mixed]))
    base = float(np.log1p(-ones[mixed]).sum())
    return bits @ log_odds + base
