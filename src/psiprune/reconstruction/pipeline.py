"""From measured shots to the smallest RBM that describes them, without a reference state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.statistics import Choice, choose
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.experiments.ensemble import train_all
from psiprune.inference.log_partition import log_partition
from psiprune.io.checkpoint import checkpointing
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.against_shots import Comparison, ShotsReport, evaluate_on_shots
from psiprune.metrics.agreement import MaxDeviation, drift, worst_pair
from psiprune.metrics.custom import Observable, load_observable, observe
from psiprune.metrics.equivalence import (
    EquivalenceResult,
    EquivalenceTest,
    Losses,
    likelihood_band,
    losses_from,
    nearest_to_mean,
    observable_band,
)
from psiprune.pruning.search import Smallest, Trial, find_smallest
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.reconstruction.custom_code import found_places, keep_code
from psiprune.reconstruction.dataset import (
    OBSERVABLES,
    check_own,
    choice_file,
    choice_variables,
    doubts_in,
    from_report,
    from_standing,
    from_worst,
    observable_variables,
    prefixed,
    trial_variables,
)
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.methods import TrainSettings
from psiprune.training.train import Callback, train

#: Fewest shots in each of the three parts; below, an error bar means nothing.
FEWEST = 30
_PARTS = ("training", "validation", "test")


class Split(NamedTuple):
    """Shots in three parts, and which part each belongs to, [shot], in the order of the fields."""

    training: Shots
    validation: Shots
    test: Shots
    part: NDArray[np.uint8]


def split_shots(shots: Shots, held_out: float, seed: int) -> Split:
    """Shots at random in training, validation and test; the last two share `held_out` evenly.

    What chooses the model and ends the pruning has seen the validation shots; only the test shots
    are still what new ones would be.

    Raises:
        InputError: a part would have fewer than 30 shots.
    """
    total = len(shots)
    held = round(held_out * total)
    sizes = {"training": total - held, "validation": held // 2, "test": held - held // 2}
    for name, size in sizes.items():
        if size < FEWEST:
            raise InputError(
                f"{shots.source}: {total} shots leave {size} for {name} with held_out = "
                f"{held_out:g}, and at least {FEWEST} are needed; give more shots or another "
                "held_out"
            )
    part = np.repeat(np.arange(3, dtype=np.uint8), list(sizes.values()))
    part = generator_for(seed, Stream.SHOTS_SPLIT).permutation(part)

    def of(name: str) -> Shots:
        return Shots(shots.bits[part == _PARTS.index(name)], source=f"{shots.source} ({name})")

    return Split(of("training"), of("validation"), of("test"), part)


def run_reconstruct(
    settings: ReconstructSettings,
    shots: Shots | ArrayLike,
    folder: str | os.PathLike[str],
    observables: Mapping[str, Observable] | None = None,
) -> xr.Dataset:
    """Choose, train, prune and measure, or do what of it is not done yet; return the dataset.

    The folder holds config.toml, provenance.json, split.nc, choice/ (an RBM for each number of
    hidden units and learning rate), ensemble/ (an RBM for each seed), path/ (every RBM of the
    search), observed/ (what RBMs say of the observables), smallest.nc and reconstruct.nc.

    Args:
        settings: how.
        shots: measured in the Z basis, Shots or bits [shot, site].
        folder: of the run.
        observables: own ones by name, beside those that the settings name. What rests on a file
            is made again when it has changed; of a function the folder does not notice it.

    Raises:
        InputError: too few shots, an own observable fails, the folder belongs to another run, or a
            file in it is damaged.
        Diverged: training left the finite numbers, at every learning rate.
        OSError: the folder cannot be written; what was finished stays.
    """
    data = as_shots(shots)
    check_sites(data, data.sites, "an RBM")
    settings = settled(settings, data)
    own = dict(observables or {})
    for place in found_places(Path(folder), settings.observable):
        name, function = load_observable(place)
        if name in own:
            raise InputError(f"observable: {name!r} stands twice; give another name")
        own[name] = function
    check_own(own)
    known = ("log_likelihood", *OBSERVABLES, *own)
    if settings.measure not in known:
        raise InputError(f"measure: must be one of {', '.join(known)}, found {settings.measure!r}")
    if settings.measure == "neighbours" and data.sites == 1:
        raise InputError("measure: 'neighbours' needs at least 2 sites, found 1")
    parts = split_shots(data, settings.held_out, settings.seed)
    _try(own, parts, settings)
    with open_run(folder, settings) as run:
        keep_code(run, settings.observable, ends_search=settings.measure in own)
        if not (run / "split.nc").exists():
            meaning = {"long_name": "0 training, 1 validation, 2 test", "units": "1"}
            which = xr.Dataset({"part": ("shot", parts.part, meaning)})
            write_dataset(run / "split.nc", which, "split")
        return _Run(settings, data, parts, run, own).dataset()


def _try(own: Mapping[str, Observable], parts: Split, settings: ReconstructSettings) -> None:
    """Call own observables as they will be after hours of training, where a failure costs more.

    On the shots of both parts, and on as many draws as of an RBM, which gives every configuration.
    """
    generator = generator_for(settings.seed, Stream.CUSTOM_OBSERVABLE_TRIAL)
    draws = generator.integers(0, 2, (settings.draws, parts.test.sites), dtype=np.uint8)
    for name, function in own.items():
        for bits in (parts.validation.bits, parts.test.bits, draws):
            observe(name, function, bits)


class _Run:
    """The stages of a run, each on what the ones before left in the folder."""

    def __init__(
        self,
        settings: ReconstructSettings,
        shots: Shots,
        parts: Split,
        folder: Path,
        own: Mapping[str, Observable],
    ) -> None:
        self.settings, self.shots, self.parts = settings, shots, parts
        self.folder, self.own = folder, own
        for name in ("choice", "ensemble", "path", "observed"):
            (folder / name).mkdir(exist_ok=True)

    def dataset(self) -> xr.Dataset:
        """All stages, and their numbers in one dataset, which is also written."""
        candidates, choice = self.choose()
        chosen = candidates[choice.chosen]
        members = self.ensemble(chosen)
        parent, band = self.band(members, self.parts.validation, "validation")
        found = self.prune(members[parent], band)
        smallest, test = found.rbm, self.parts.test
        _, test_band = self.band(members, test, "test", parent)
        on_test = self.kept("smallest-standing", lambda: from_standing(test_band(smallest)))
        likelihood = self.likelihood_lost(members, parent, smallest)
        pairs = self.kept("smallest-pairs", lambda: from_worst(self.worst_pair(smallest)))
        reports = [
            self.observed(f"seed-{seed}-test", member, test)
            for seed, member in zip(self.seeds, members, strict=True)
        ]
        report = self.observed("smallest-test", smallest, test)
        steps = [self.trial(trial.name) for trial in found.trials]
        dataset = xr.merge(
            [
                choice_variables([(each.hidden, each.training) for each in candidates], choice),
                trial_variables(found, steps),
                observable_variables(self.names, reports, report),
                prefixed("test", on_test),
                *(prefixed("likelihood", each) for each in likelihood),
                prefixed("pairs", pairs),
                prefixed("drift", from_worst(drift(self.shots))),
            ]
        ).assign_coords(seed=self.seeds)
        dense = members[parent]
        dataset.attrs = {
            "source": self.shots.source,
            "sites": self.shots.sites,
            "shots": len(self.shots),
            **{f"{name}_shots": len(getattr(self.parts, name)) for name in _PARTS},
            "unique_shots": len(np.unique(np.packbits(self.shots.bits, axis=1), axis=0)),
            "constant_sites": int((np.ptp(self.shots.bits, axis=0) == 0).sum()),
            "measure": self.settings.measure,
            "significance": self.settings.significance,
            "own": ", ".join(self.own),
            "hidden": chosen.hidden,
            "method": str(chosen.training.method),
            "learning_rate": chosen.training.learning_rate,
            "criterion": self.settings.prune.criterion,
            "parent_seed": self.seeds[parent],
            "dense_weights": dense.number_of_weights,
            "dense_parameters": dense.compact().number_of_parameters,
            "weights": smallest.number_of_weights,
            "components": smallest.components,
            "fewer": -1 if found.fewer is None else found.fewer,
            "warnings": "; ".join(doubts_in(report, on_test, pairs, *likelihood, *steps)),
        }
        write_dataset(
            self.folder / "smallest.nc",
            smallest.to_dataset().merge(prefixed("test", on_test)),
            "rbm",
        )
        write_dataset(self.folder / "reconstruct.nc", dataset, "reconstruct")
        return dataset

    @property
    def names(self) -> list[str]:
        """All observables."""
        return [*OBSERVABLES, *self.own]

    @property
    def seeds(self) -> list[int]:
        """Those of the ensemble."""
        return list(range(self.settings.seed, self.settings.seed + self.settings.seeds))

    def choose(self) -> tuple[list[_Candidate], Choice]:
        """Train a model for each number of hidden units and rate; which one, by validation."""
        todo = self.settings.candidates(self.shots.sites)
        work = partial(self._trained, seed=self.settings.seed)
        items = [
            _Candidate(
                hidden,
                training,
                self.folder / choice_file(hidden, training.method, training.learning_rate),
            )
            for hidden, training in todo
        ]
        made = train_all(
            lambda item, tick: work(item, tick=tick),
            items,
            sum(item.training.epochs for item in items),
            "choosing the model",
        )
        there = [item for item, diverged in zip(items, made, strict=True) if diverged is None]
        if not there:
            raise DivergenceError(str(made[0]))
        log_p, errors = [], []
        for item in there:
            kept = read_dataset(item.file, "rbm")
            rbm = rbm_from_dataset(kept, item.file)
            log_p.append(
                rbm.log_prob_unnormalized(self.parts.validation) - float(kept["log_partition"])
            )
            errors.append(float(kept["log_partition_error"]))
        sizes = [item.hidden for item in there]
        return there, choose(np.array(log_p), np.array(errors), sizes, self.settings.significance)

    def ensemble(self, chosen: _Candidate) -> list[RBM]:
        """RBMs of the size chosen, one a seed; that of the first seed is the one chosen."""
        files = [self.folder / "ensemble" / f"seed-{seed}.nc" for seed in self.seeds]
        if not files[0].exists():
            write_dataset(files[0], read_dataset(chosen.file, "rbm"), "rbm")

        def work(k: int, tick: Callback) -> RBM:
            failed = self._trained(chosen._replace(file=files[k]), self.seeds[k], tick)
            if failed is not None:
                raise failed
            return rbm_from_dataset(read_dataset(files[k], "rbm"), files[k])

        epochs = (len(files) - 1) * chosen.training.epochs
        return train_all(work, range(len(files)), epochs, "training the ensemble")

    def band(
        self, members: Sequence[RBM], shots: Shots, part: str, parent: int | None = None
    ) -> tuple[int, EquivalenceTest]:
        """Which member is pruned (the one nearest to the mean, if not given), and the band."""
        own = self.settings
        if own.measure == "log_likelihood":
            if parent is None:
                against = self.losses(members[0], shots)
                each = [against(member).values.mean() for member in members]
                parent = nearest_to_mean(each)
            return parent, self.by_likelihood(members, shots, parent)
        found = [
            self.observed(f"seed-{seed}-{part}", member, shots)[own.measure].values
            for seed, member in zip(self.seeds, members, strict=True)
        ]
        if parent is None:
            parent = nearest_to_mean(found)

        def measure(rbm: RBM) -> Comparison:
            return self._report(rbm, shots).comparison(own.measure)

        return parent, observable_band(found, measure, own.significance)

    def losses(self, parent: RBM, shots: Shots) -> Callable[[RBM], Losses]:
        """Losses of likelihood against an RBM, shot by shot."""
        return losses_from(parent, shots, draws=self.settings.draws, seed=self.settings.seed)

    def by_likelihood(self, members: Sequence[RBM], shots: Shots, parent: int) -> EquivalenceTest:
        """The band of likelihood, whatever ends the search."""
        own, losses = self.settings, self.losses(members[parent], shots)
        return likelihood_band(members, losses, own.significance, own.seed)

    def likelihood_lost(self, members: Sequence[RBM], parent: int, rbm: RBM) -> list[xr.Dataset]:
        """The standing by likelihood on the test shots, where an observable ended the search."""
        if self.settings.measure == "log_likelihood":
            return []

        def stand() -> xr.Dataset:
            return from_standing(self.by_likelihood(members, self.parts.test, parent)(rbm))

        return [self.kept("smallest-likelihood", stand)]

    def prune(self, dense: RBM, band: EquivalenceTest) -> Smallest:
        """The search, every RBM of it in a file with its standing."""
        standings: dict[RBM, EquivalenceResult] = {}

        def measure(rbm: RBM) -> float:
            standings[rbm] = band(rbm)
            return standings[rbm].share

        def keep(name: str, make: Callable[[], Trial]) -> Trial:
            file = self.folder / "path" / f"{name}.nc"
            if not file.exists():
                with checkpointing(file):
                    made = make().rbm
                    standing = from_standing(standings[made])
                    write_dataset(file, made.to_dataset().merge(standing), "rbm")
            kept = read_dataset(file, "rbm")
            return Trial(name, rbm_from_dataset(kept, file), float(kept["share"]))

        def work(dense: RBM, tick: Callback) -> Smallest:
            return find_smallest(
                dense,
                self.parts.training,
                measure=measure,
                limit=1.0,
                settings=self.settings.prune,
                fine_tune=self.settings.fine_tune,
                seed=self.settings.seed,
                watch=tick,
                keep=keep,
            )

        return train_all(work, [dense], None, "pruning")[0]

    def trial(self, name: str) -> xr.Dataset:
        """What stands in the file of an RBM of the search."""
        return read_dataset(self.folder / "path" / f"{name}.nc", "rbm")

    def kept(self, name: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
        """A dataset of numbers, read from its file or made and written."""
        file = self.folder / "observed" / f"{name}.nc"
        if not file.exists():
            write_dataset(file, make(), "observed")
        return read_dataset(file, "observed")

    def worst_pair(self, rbm: RBM) -> MaxDeviation:
        """Sites and pairs of an RBM against the test shots."""
        draws, seed = self.settings.draws, self.settings.seed
        return worst_pair(rbm, self.parts.test, draws=draws, seed=seed)

    def observed(self, name: str, rbm: RBM, shots: Shots) -> xr.Dataset:
        """What an RBM says of all observables, beside what the shots say."""
        kept = self.kept(name, lambda: from_report(self.names, self._report(rbm, shots)))
        for wanted in self.own:
            if wanted not in kept:
                file = self.folder / "observed" / f"{name}.nc"
                raise InputError(f"{file}: holds no {wanted!r}; delete it, to make it again")
        return kept

    def _report(self, rbm: RBM, shots: Shots) -> ShotsReport:
        own = self.settings
        return evaluate_on_shots(rbm, shots, draws=own.draws, seed=own.seed, observables=self.own)

    def _trained(self, item: _Candidate, seed: int, tick: Callback) -> DivergenceError | None:
        """Train an RBM and keep it with its log Z, unless it is there; why it diverged, if so."""
        if item.file.exists():
            return None
        data = self.parts.training
        with checkpointing(item.file):
            try:
                rbm = train(data, hidden=item.hidden, seed=seed, settings=item.training, watch=tick)
            except DivergenceError as failed:
                return failed
            found = log_partition(rbm, data=data, seed=seed)
            kept = rbm.to_dataset().assign(
                log_partition=found.value,
                log_partition_error=found.error,
                log_partition_warning=found.warning,
            )
            write_dataset(item.file, kept, "rbm")
        return None


class _Candidate(NamedTuple):
    """A model to choose from, and its file."""

    hidden: int
    training: TrainSettings
    file: Path


def settled(settings: ReconstructSettings, shots: Shots) -> ReconstructSettings:
    """The settings with what follows from the shots: sizes, rates and the checksum."""
    digest = hashlib.sha256(repr(shots.bits.shape).encode() + shots.bits.tobytes()).hexdigest()
    if settings.shots_sha256 not in (None, digest):
        raise InputError(
            f"{shots.source}: has the checksum {digest[:12]}..., but shots_sha256 is "
            f"{str(settings.shots_sha256)[:12]}...; give the shots of that run, or leave it out"
        )
    return settings.model_copy(
        update={
            "hidden": settings.units_for(shots.sites),
            "learning_rates": settings.rates(),
            "shots_sha256": digest,
        }
    )
