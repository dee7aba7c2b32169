"""Compare RBMs with shots: search for the smallest RBM, and test it on held-out shots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, derive_seed
from psiprune.data.shots import Shots
from psiprune.experiments.ensemble import run_parallel
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.metrics.against_shots import RATE_SETS, evaluate_on_shots
from psiprune.metrics.agreement import sites_and_pairs
from psiprune.metrics.configurations import (
    HeldOut,
    compare_configurations,
    held_out_likelihood,
)
from psiprune.metrics.draws import draw_from_data
from psiprune.metrics.equivalence import (
    EquivalenceResult,
    EquivalenceTest,
    Losses,
    likelihood_band,
    likelihood_floor,
    losses_from,
    observable_band,
)
from psiprune.metrics.readout import readout_sensitivity
from psiprune.metrics.shots_report import ShotsReport
from psiprune.pruning.search import Smallest, Trial, find_smallest
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.reconstruction.dataset import (
    OBSERVABLES,
    configurations_variables,
    distinct_warnings,
    observable_variables,
    pairs_variables,
    prefixed,
    readout_variables,
    report_variables,
    result_variables,
)
from psiprune.reconstruction.inputs import Run
from psiprune.reconstruction.rates import rates_sensitivity
from psiprune.training.symmetry import trained_parameters
from psiprune.training.train import Callback


def search(run: Run, members: Sequence[RBM]) -> Smallest:
    """Prune the first member until it leaves the band, then bisect; without the test shots.

    Every RBM of the search goes to a file with its result.
    """
    band = _search_band(run, members)
    results: dict[RBM, EquivalenceResult] = {}

    def measure(rbm: RBM) -> float:
        results[rbm] = band(rbm)
        return results[rbm].share

    def load_or_make(name: str, make: Callable[[Checkpoints | None], Trial]) -> Trial:
        file = run.folder / "path" / f"{name}.nc"
        if not file.exists():
            with Checkpoints(file) as checkpoints:
                rbm = make(checkpoints).rbm
                result = result_variables(results[rbm])
                write_dataset(file, rbm.to_dataset().merge(result), "rbm")
        stored = read_dataset(file, "rbm")
        return Trial(name, rbm_from_dataset(stored, file), float(stored["share"]))

    def work(dense: RBM, tick: Callback) -> Smallest:
        return find_smallest(
            dense,
            run.split.training,
            measure=measure,
            limit=1.0,
            settings=run.settings.prune,
            fine_tune=run.settings.fine_tune,
            seed=run.settings.seed,
            callback=tick,
            load_or_make=load_or_make,
        )

    return run_parallel(work, members[:1], None, "pruning", name=lambda _: "pruning")[0]


def test(run: Run, members: Sequence[RBM], best: RBM, smallest: RBM) -> xr.Dataset:
    """Compare the smallest RBM, which is written, and the unpruned RBMs with the test shots.

    `members` are the chosen RBM and its replicas, `best` is the candidate of the highest
    likelihood.
    """
    details = _load_or_make(run, "details", lambda: _details(run, members, best, smallest))
    shift = details[["likelihood_loss", "likelihood_error"]].rename(
        {"likelihood_loss": "test_loss", "likelihood_error": "test_error"}
    )
    if run.settings.measure != "log_likelihood":
        shift = _load_or_make(run, "shift", lambda: _shift(run, members, smallest))
    report = _observe(run, "smallest-test", smallest, run.split.test, errors_of_state=True)
    write_dataset(run.folder / "smallest.nc", smallest.to_dataset().merge(shift), "rbm")
    names, dense = [*OBSERVABLES, *run.custom], _observe_members(run, members, "test")
    dataset = xr.merge([observable_variables(names, dense, report), shift, details])
    warnings = [str(dataset[name].item()) for name in dataset if str(name).endswith("_warning")]
    distinct = distinct_warnings([report], warnings)
    return dataset.assign_coords(seed=list(run.seeds)).assign_attrs(warnings=distinct)


def _details(run: Run, members: Sequence[RBM], best: RBM, smallest: RBM) -> xr.Dataset:
    """Compute all numbers on the test shots but the observables."""
    losses = _losses(run, members[0], run.split.test)
    training = _training_losses(run, members)
    loss = _likelihood_band(run, losses, training)(smallest)
    of_best = _held_out(run, best)
    return xr.merge(
        [
            prefixed("likelihood", result_variables(loss)),
            prefixed("dense", _agreement(run, members[0], of_best)),
            _agreement(run, smallest, of_best),
            training,
            prefixed("readout", _readout(run, smallest)),
        ]
    )


def _readout(run: Run, smallest: RBM) -> xr.Dataset:
    """Return what readout errors would change: of perfect readout, or of the rates modelled."""
    training, seed = run.split.training, run.settings.seed
    if training.readout is None:
        return readout_variables(readout_sensitivity(smallest, data=training, seed=seed))
    return rates_sensitivity(smallest, training, seed)


def _held_out(run: Run, rbm: RBM) -> HeldOut:
    return held_out_likelihood(rbm, run.split.training, run.split.test, seed=run.settings.seed)


def _agreement(run: Run, rbm: RBM, best: HeldOut) -> xr.Dataset:
    """Compare configurations, sites and pairs of an RBM with the test shots."""
    settings, split = run.settings, run.split
    block = run.dependence.blocks.length
    model = _held_out(run, rbm)
    configurations = compare_configurations(model, best, split.training, split.test, block=block)
    pairs = sites_and_pairs(rbm, split.test, draws=settings.draws, seed=settings.seed)
    return xr.merge(
        [
            prefixed("configurations", configurations_variables(configurations)),
            prefixed("pairs", pairs_variables(pairs)),
        ]
    )


def _shift(run: Run, members: Sequence[RBM], smallest: RBM) -> xr.Dataset:
    return prefixed("test", result_variables(_observable_band(run, members, "test")(smallest)))


def _training_losses(run: Run, members: Sequence[RBM]) -> xr.Dataset:
    """Return the KL divergence from the chosen RBM of its replicas, over its draws."""

    def make() -> xr.Dataset:
        chosen, bits = members[0], run.split.training.bits
        streams = Stream.REPLICA_LOSS_START, Stream.REPLICA_LOSS
        drawn = draw_from_data(chosen, bits, run.settings.draws, run.settings.seed, *streams)
        readout = run.shots.readout
        as_read = drawn.recorded(
            readout, derive_seed(run.settings.seed, Stream.REPLICA_LOSS_RECORDS)
        )
        fresh = Shots(as_read.bits.reshape(-1, chosen.visible), readout=readout)
        losses = _losses(run, chosen, fresh)
        found = [losses(member) for member in members[1:]]
        warnings = dict.fromkeys([drawn.warning, *(each.warning for each in found)])
        values = [float(each.values.mean()) for each in found]
        return xr.Dataset(
            {
                "training_loss": ("replica", values, {"units": "nat"}),
                "training_warning": "; ".join(filter(None, warnings)),
            }
        )

    return _load_or_make(run, "training-loss", make)


def _losses(run: Run, parent: RBM, shots: Shots) -> Callable[[RBM], Losses]:
    return losses_from(parent, shots, draws=run.settings.draws, seed=run.settings.seed)


def _search_losses(run: Run, parent: RBM) -> Callable[[RBM], Losses]:
    """Return losses on the training and validation shots, as fresh shots would show them.

    On shots that trained them, models gain parameters / shots on average, which is taken back
    (Akaike 1974). Together they resolve smaller losses than the validation shots alone.
    """
    training, losses = run.split.training, _losses(run, parent, run.split.not_test)
    places = run.shots.positions
    of_parent = trained_parameters(parent, places)

    def corrected(rbm: RBM) -> Losses:
        found = losses(rbm)
        values = found.values.copy()
        gain = (trained_parameters(rbm, places) - of_parent) / run.independent(training)
        values[: len(training)] += gain
        return found._replace(values=values)

    return corrected


def _search_band(run: Run, members: Sequence[RBM]) -> EquivalenceTest:
    """Build the test that ends the search."""
    if run.settings.measure != "log_likelihood":
        return _observable_band(run, members, "validation")
    losses = _search_losses(run, members[0])
    return _likelihood_band(run, losses, _training_losses(run, members))


def _observable_band(run: Run, members: Sequence[RBM], part: str) -> EquivalenceTest:
    measure, shots = run.settings.measure, getattr(run.split, part)
    values = _measure_members(run, members, part)
    return observable_band(
        values, lambda rbm: _report(run, rbm, shots).comparison(measure), run.settings.significance
    )


def _likelihood_band(
    run: Run, losses: Callable[[RBM], Losses], training: xr.Dataset
) -> EquivalenceTest:
    """Build the test by the likelihood: another record may cost as much, and T bounds the sum."""
    settings = run.settings
    replicas = np.maximum(training["training_loss"].values, 0.0)
    return likelihood_band(
        losses,
        settings.significance,
        settings.seed,
        typical=float(np.median(replicas)),
        floor=likelihood_floor(run.shots.sites, run.independent(run.split.training)),
        ceiling=settings.tolerance - float(replicas.mean()),
        block=run.dependence.blocks.length,
    )


def _measure_members(run: Run, members: Sequence[RBM], part: str) -> list[NDArray[np.float64]]:
    """Evaluate the observable that ends the search for each member."""
    return [each[run.settings.measure].values for each in _observe_members(run, members, part)]


def _observe_members(run: Run, members: Sequence[RBM], part: str) -> list[xr.Dataset]:
    return [
        _observe(run, f"seed-{seed}-{part}", member, getattr(run.split, part))
        for seed, member in zip(run.seeds, members, strict=True)
    ]


def _observe(
    run: Run, name: str, rbm: RBM, shots: Shots, *, errors_of_state: bool = False
) -> xr.Dataset:
    """Evaluate all observables of an RBM and of the shots, and the log-likelihood.

    Those of the true bits have errors from the rates and the training shots if these are wanted.
    """

    def make() -> xr.Dataset:
        report = _report(run, rbm, shots, errors_of_state=errors_of_state)
        return report_variables([*OBSERVABLES, *run.custom], report)

    stored = _load_or_make(run, name, make)
    for wanted in run.custom:
        if wanted not in stored:
            file = run.folder / "observed" / f"{name}.nc"
            raise InputError(f"{file}: does not contain {wanted!r}; delete it to recompute it")
    return stored


def _load_or_make(run: Run, name: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    """Read numbers from their file, which is written first if it does not exist."""
    file = run.folder / "observed" / f"{name}.nc"
    if not file.exists():
        write_dataset(file, make(), "observed")
    return read_dataset(file, "observed")


def _report(run: Run, rbm: RBM, shots: Shots, *, errors_of_state: bool = False) -> ShotsReport:
    further = errors_of_state and shots.readout is not None
    draws, seed = run.settings.draws, run.settings.seed
    blocks = run.dependence.blocks
    return evaluate_on_shots(
        rbm,
        shots,
        draws=draws,
        seed=seed,
        observables=run.custom,
        blocks=blocks,
        rate_sets=RATE_SETS if further else 0,
        training_noise=further,
    )
