"""How time and memory of a run of `reconstruct` follow from its sizes and settings.

Times are nominal seconds, those of one core of a recent x86-64 server; see `training.estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.limits import (
    DRAW_SECONDS,
    EXACT_DRAW_UNITS,
    EXACT_SECONDS,
    EXACT_SITES,
    FISHER_PARAMETERS,
    PARTITION_UNITS,
    RATES_ERROR_PARAMETERS,
)
from psiprune.core.threads import threads
from psiprune.inference.recorded import annealing_seconds, pilot_seconds
from psiprune.inference.recorded_sums import hidden_seconds
from psiprune.inference.response import response_draws
from psiprune.pruning.search import expected_trials
from psiprune.reconstruction.architecture import Architecture
from psiprune.reconstruction.rates import number_of_sets
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.estimate import (
    ENTRY,
    FACTOR,
    SINGLE,
    VISIT,
    Size,
    Speed,
    training_bytes,
    training_seconds,
)
from psiprune.training.exact_natural_gradient import ExactNaturalGradient

# Gibbs steps of all chains: for the draws of a measurement or a Fisher matrix, and of annealing.
_DRAW_STEPS, _ANNEALING_STEPS = 3e6, 4e6
# In a surgery on samples, tables over all states, and draws by variable elimination where there are
# too many states; Fisher matrices in one on all states.
_TABLES, _ELIMINATIONS, _CHUNKS = 7, 2, 4
# Seconds of a state in a table for draws, of a bit of a draw, of a resampled number, of a product
# of two hidden units in a state, and of a number in an update of an inverse.
_STATE, _BIT, _RESAMPLED, _PRODUCT, _UPDATE = 2.5e-8, 6e-8, 1e-9, 3e-9, 1e-9
_SUM = 1.1e-9  # a state and a unit in a sum for log Z
# With readout errors, numbers of the draws behind a Fisher matrix of records, at most.
_DRAWN, _TRUE_BITS = 1 << 28, 32
_RESAMPLES, _OBSERVED = 400, 10  # of the bootstrap; columns besides the sites
_PAGE = 2.0  # figures and report


class Work(NamedTuple):
    """What is left of a run, in nominal seconds.

    Attributes:
        stages: trainings, which run side by side in each stage.
        steps: number of pruning steps.
        rest: everything else, one after the other.
    """

    stages: Sequence[Sequence[float]]
    steps: int
    rest: float

    @property
    def nominal(self) -> float:
        """Nominal seconds of everything."""
        return sum(map(sum, self.stages)) + self.rest

    def seconds(self, speed: Speed) -> float:
        """Return the seconds on a machine of this speed."""
        trained = (
            max(speed.elapsed * max(stage), speed.processor * sum(stage) / threads())
            for stage in self.stages
            if stage
        )
        return speed.elapsed * self.rest + sum(trained)


def work_left(settings: ReconstructSettings, sites: int, shots: int, folder: Path | None) -> Work:
    """Return what is left of a run with so many training shots; all of it without a folder."""
    models = settings.candidates(sites)
    sizes = [model.architecture.size(sites, shots, settings.readout) for model in models]
    costs = [
        training_seconds(model.training, size) for size, model in zip(sizes, models, strict=True)
    ]
    missing = [
        cost for cost, model in zip(costs, models, strict=True) if not _exists(folder, model.file)
    ]
    longest = max(range(len(costs)), key=costs.__getitem__)
    size, architecture = sizes[longest], models[longest].architecture
    if not _exists(folder, Path("ensemble") / f"seed-{settings.seed}.nc"):
        missing += _between(settings, architecture, size)
    seeds = range(settings.seed + 1, settings.seed + settings.seeds)
    files = [Path("ensemble") / f"seed-{seed}.nc" for seed in seeds]
    ensemble = [costs[longest]] * sum(not _exists(folder, file) for file in files)
    trained = len(missing) + len(ensemble)
    done = 0 if folder is None else len([*(folder / "path").glob("*.nc")])
    kept = expected_trials(settings.prune, size.weights) if size.weights else []
    kept = kept[max(0, done - 1) :]  # one of the files is the unpruned RBM
    tuning = architecture.method(settings.fine_tune, sites, settings.readout)
    held_out = _held_out(settings, shots)
    searched = shots + 0.4 * held_out  # training and validation shots
    rest = _PAGE + trained * _log_z_seconds(size) + _rates_seconds(size)
    records = (len(missing) + 1) * searched  # each candidate; the dense RBM in the search
    records += settings.seeds * settings.draws + 2 * shots  # replicas; configurations
    rest += _records_seconds(size, records)
    measured = settings.seeds + 3  # on the test shots
    if settings.measure != "log_likelihood":
        measured += settings.seeds + len(kept)
    rest += measured * _measure_seconds(settings, size)
    for count in kept:
        pruned = size._replace(weights=count)
        rest += _pruning_seconds(settings, pruned) + training_seconds(tuning, pruned)
        rest += _log_z_seconds(pruned) + _records_seconds(pruned, searched)
    return Work((missing, ensemble), len(kept), rest)


def _between(settings: ReconstructSettings, chosen: Architecture, size: Size) -> list[float]:
    """Return the nominal seconds of the sizes tried between candidates, for one of size `size`."""
    tried, costs = [*settings.architectures(size.sites)], []
    while (smaller := settings.between(tried, chosen)) is not None:
        method = smaller.method(settings.train, size.sites, size.readout)
        costs.append(training_seconds(method, smaller.size(size.sites, size.shots, size.readout)))
        tried.append(smaller)
    return costs


def bytes_needed(settings: ReconstructSettings, sites: int, shots: int) -> float:
    """Return the bytes of the large arrays of a run with so many training shots."""
    models, readout = settings.candidates(sites), settings.readout
    sizes = [model.architecture.size(sites, shots, readout) for model in models]
    trained = [
        training_bytes(model.training, size) for size, model in zip(sizes, models, strict=True)
    ]
    size = max(sizes, key=lambda size: size.parameters)
    surgery = 8.0 * _samples(settings, size) * (sites + size.hidden)
    if sites <= EXACT_SITES:
        surgery = 24 * 2.0**sites
    if readout:
        surgery += _true_bits_bytes(size, _samples(settings, size))
    if settings.prune.criterion == "surgeon":
        surgery += 24.0 * size.parameters**2
    if not _needs_samples(settings, size):
        surgery = 0.0
    measured = 25.0 * settings.draws * sites
    if size.units <= EXACT_DRAW_UNITS:
        measured += 16 * 2.0**size.units
    together = max(trained) * min(threads(), max(len(trained), settings.seeds - 1))
    return 3.0 * shots * sites + max(together, surgery, measured, _rates_bytes(size))


def check_prunable(settings: ReconstructSettings, sites: int) -> None:
    """Raise InputError if the largest candidate could be trained but not pruned."""
    models = settings.architectures(sites)
    largest = max(models, key=lambda model: model.size(sites, 0).parameters)
    parameters = largest.size(sites, 0).parameters
    if settings.prune.criterion == "surgeon" and parameters > FISHER_PARAMETERS:
        raise InputError(
            f"prune.criterion: 'surgeon' supports at most {FISHER_PARAMETERS:,} parameters, but "
            f"{sites} sites and {largest.hidden:,} hidden units{largest.which(sites)} have "
            f"{parameters:,}; choose magnitude"
        )


def _exists(folder: Path | None, file: Path) -> bool:
    return folder is not None and (folder / file).exists()


def _needs_samples(settings: ReconstructSettings, size: Size) -> bool:
    """Return whether pruning needs a Fisher matrix, and may have one."""
    surgeon = settings.prune.criterion == "surgeon" and size.parameters <= FISHER_PARAMETERS
    return surgeon or settings.prune.criterion == "damage"


def _samples(settings: ReconstructSettings, size: Size) -> int:
    """Samples of a surgery above 20 sites; the fewest are eight for each parameter."""
    return max(settings.prune.draws, 8 * size.parameters)


def _held_out(settings: ReconstructSettings, shots: int) -> float:
    """Return the validation and test shots beside so many training shots."""
    fraction = settings.held_out_of(shots)
    return shots * fraction / (1 - fraction)


def _records_seconds(size: Size, records: float) -> float:
    """Return the nominal seconds of log p(y) of records with readout errors; 0 without errors."""
    if not size.readout:
        return 0.0
    if size.sites <= EXACT_SITES:
        return _SUM * 2.0**size.sites * (size.sites + size.hidden)
    by_sum = hidden_seconds(size.hidden, [2] * size.sites, records)
    annealing = sum(
        each(size.sites, size.hidden, records) for each in (annealing_seconds, pilot_seconds)
    )
    return min(by_sum, annealing) / threads()


def _rates_seconds(size: Size) -> float:
    """Return the nominal seconds of how the state, and observables, depend on the rates."""
    if not size.readout:
        return 0.0
    p = float(size.parameters)
    response = response_draws(size.parameters) * (SINGLE * p + _TRUE_BITS * ENTRY) * p
    response += FACTOR * p**3
    of_observables = response if p <= RATES_ERROR_PARAMETERS else 0.0
    if size.sites <= EXACT_SITES:
        fit = training_seconds(ExactNaturalGradient.for_fine_tuning(), size)
        return (number_of_sets(size.sites) + 1) * fit + of_observables
    return (response if p <= FISHER_PARAMETERS else 0.0) + of_observables


def _rates_bytes(size: Size) -> float:
    """Return the bytes of how the state depends on the rates, besides those of a training."""
    most = RATES_ERROR_PARAMETERS if size.sites <= EXACT_SITES else FISHER_PARAMETERS
    if not size.readout or size.parameters > most:
        return 0.0
    drawn = _true_bits_bytes(size, response_draws(size.parameters))
    return 24.0 * size.parameters**2 + drawn


def _true_bits_bytes(size: Size, draws: int) -> float:
    """Return the bytes of the draws behind a Fisher matrix of records."""
    return 4.0 * min(_DRAWN, _TRUE_BITS * draws * (size.sites + size.hidden + 2))


def _table_seconds(size: Size) -> float:
    return 2.0**size.units * (_SUM * max(size.sites, size.hidden) + _STATE)


def _log_z_seconds(size: Size) -> float:
    if size.units <= PARTITION_UNITS:
        total = _SUM * 2.0**size.units * max(size.sites, size.hidden)
        if total <= EXACT_SECONDS:
            return total / threads()
    return _ANNEALING_STEPS * VISIT * size.weights


def _measure_seconds(settings: ReconstructSettings, size: Size) -> float:
    """Return the nominal seconds of all observables of an RBM and of the shots."""
    drawn = 2 * _DRAW_STEPS * VISIT * size.weights
    if size.units <= EXACT_DRAW_UNITS:
        drawn = _table_seconds(size)
    tested = 0.6 * _held_out(settings, size.shots)
    resampled = _RESAMPLES * tested * (_OBSERVED + size.sites) * _RESAMPLED
    likelihood = _log_z_seconds(size) + _records_seconds(size, tested)
    return drawn + settings.draws * size.sites * _BIT + resampled + likelihood


def _pruning_seconds(settings: ReconstructSettings, size: Size) -> float:
    """Return the nominal seconds of removing a tenth of the weights, say, without fine-tuning."""
    if not _needs_samples(settings, size):
        return 0.0
    p, samples = float(size.parameters), _samples(settings, size)
    drawn = 0.0
    if size.sites <= EXACT_SITES:
        fisher = _CHUNKS * 2.0**size.sites * (size.hidden + 1) ** 2 / 2 * _PRODUCT
        inverse = _CHUNKS * FACTOR * p**3
    else:
        fisher, inverse = (SINGLE * p + ENTRY) * samples * p, FACTOR * p**3
        drawn = _DRAW_STEPS * VISIT * size.weights * samples / settings.prune.draws
        drawn += _ELIMINATIONS * DRAW_SECONDS
        if size.units <= EXACT_DRAW_UNITS:
            drawn = _TABLES * _table_seconds(size)
    if settings.prune.criterion == "damage":
        return drawn + fisher / p
    return drawn + fisher + inverse + settings.prune.fraction * size.weights * p**2 * _UPDATE
