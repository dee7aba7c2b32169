"""Masks made before training, compared at equal numbers of weights and of hidden units."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from psiprune.experiments.ensemble import (
    Member,
    ensemble_files,
    labelled,
    members_of,
    over_members,
    run_parallel,
)
from psiprune.experiments.links import links_by_length
from psiprune.experiments.masks_rbms import (
    Cell,
    Describe,
    Family,
    epochs_of,
    families_of,
    file_name,
    measured,
    prune_family,
    pruning_counts,
    train_cell,
)
from psiprune.experiments.masks_settings import DENSE, PRUNED, MasksSettings
from psiprune.experiments.problem import Problem, cached_shots, prepare
from psiprune.experiments.recording import OBSERVED
from psiprune.experiments.stopwatch import Stopwatch
from psiprune.experiments.truncated import truncated_states
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run
from psiprune.training.symmetry import free_parameters, symmetry_named


def run_masks(
    settings: MasksSettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> xr.Dataset:
    """Train RBMs with masks made before training; what the folder holds already is only read.

    For each field, seed and number of hidden units, at each number of weights:

    - scale-free, cluster, power-law-EXPONENT, random, nearest: `scale_free_mask`, `cluster_mask`,
      `power_law_mask`, `random_mask` and `nearest_mask`, by the positions of sites if the model has
      them; tails: `nearest_mask` with two fifths of the links drawn with probability 1/d^3;
    - correlation: `correlation_mask` of the seed's shots;
    - snip, grasp, synflow: `pretraining_mask` of the seed's initial weights;
    - rewired: trained with the mask of power-law-0, then 20 rounds of `rewire` by magnitude;
    - magnitude, surgeon: the dense RBM pruned by that criterion, with fine-tuning after each step;
    - scale-free-surgeon: the scale-free RBM with the most weights pruned by surgeon;
    - dense: all weights, the comparison.

    All RBMs with a mask train by the same method from the same initial weights. The folder holds
    config.toml, provenance.json, for each field the ground state and the shots, for each seed its
    shots and each RBM with its measures, processor_seconds.json and masks.nc.

    Returns:
        A dataset over field, seed, width (number of hidden units), variant and count (number of
        weights) with kl, infidelity, energy, abs_magnetization, correlation, ...; `_error` where
        they are sampled, above 20 sites, else 0; links and possible_links over length, see
        `links_by_length`; and processor_seconds of its training, with all that it starts from,
        which differs from run to run. NaN where there is no such RBM. energy_reference, ... are
        those of the exact state; mps_kl, ... over field and bond those of the exact state truncated
        to a bond dimension. mask over variant, unit and site has the masks of the first field and
        seed with the most hidden units and the most weights.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; finished files stay.
    """
    settings = settings.for_size()
    return compare_masks(settings, folder, "masks", partial(measured, settings), progress=progress)


def compare_masks(
    settings: MasksSettings,
    folder: str | os.PathLike[str],
    name: str,
    describe: Describe,
    add: Callable[[xr.Dataset, Sequence[Problem]], xr.Dataset] | None = None,
    *,
    progress: bool = True,
) -> xr.Dataset:
    """Run the RBMs of `run_masks`, and write NAME.nc.

    Args:
        settings: with its methods chosen by size.
        folder: of the run.
        name: of the experiment.
        describe: what to write of an RBM.
        add: takes the dataset and the problems of all fields to what NAME.nc is to hold.
        progress: show a progress bar.
    """
    with open_run(folder, settings) as run:
        problems, watch = prepare(run, settings), Stopwatch(run)
        members = [_with_shots(settings, each) for each in members_of(settings, problems)]
        families = [one for member in members for one in families_of(settings, member)]
        cells = [
            Cell(one, count)
            for one in families
            if one.variant not in PRUNED
            for count in settings.counts(one.width, one.variant)
        ]
        epochs = sum(epochs_of(settings, cell.family) for cell in cells)
        train = partial(train_cell, settings, watch, describe)
        trained = run_parallel(train, cells, epochs, progress=progress)
        pieces = dict(zip(cells, trained, strict=True))
        paths = [one for one in families if one.variant in PRUNED]
        steps = sum(len(pruning_counts(settings, path)) - 1 for path in paths)
        prune = partial(prune_family, settings, watch, describe)
        tuning = steps * settings.fine_tune.epochs
        pruned = run_parallel(prune, paths, tuning, "pruning", progress=progress) if paths else []
        for found in pruned:
            pieces |= found
        dataset = _assembled(settings, problems, members, pieces, watch)
        if add is not None:
            dataset = add(dataset, problems)
        write_dataset(run / f"{name}.nc", dataset, name)
    return dataset


def _with_shots(settings: MasksSettings, member: Member) -> Member:
    """Return the member with shots of its seed, where these are new for each seed."""
    problem, seed, folder = member
    if not settings.new_shots or seed == settings.seed:
        return member
    seeded = settings.model_copy(update={"seed": seed})
    shots = cached_shots(folder / "shots.nc", problem.reference.state, seeded)
    return member._replace(problem=problem._replace(shots=shots))


def _assembled(
    settings: MasksSettings,
    problems: Sequence[Problem],
    members: Sequence[Member],
    pieces: Mapping[Cell, xr.Dataset],
    watch: Stopwatch,
) -> xr.Dataset:
    """Join all RBMs with the exact state, the MPS, and the masks that are shown."""
    of_members = []
    for member in members:
        own = {cell: piece for cell, piece in pieces.items() if cell.family.member is member}
        cells = {
            cell: piece.drop_dims(["hidden", "visible"])
            .drop_attrs()
            .assign(processor_seconds=watch.seconds(cell.family.name(cell.weights)))
            .assign(links_by_length(piece["weights"].values, settings.positions))
            .assign(kl_floor=_floor(settings, piece))
            for cell, piece in own.items()
        }
        of_members.append(_over_cells(settings, cells))
    dataset = over_members(settings, of_members).merge(truncated_states(problems, settings.bonds))
    truth = [problem.reference.observables for problem in problems]
    for name, dimensions in {"energy": (), **OBSERVED}.items():
        values = np.array([getattr(observables, name).value for observables in truth])
        dataset[f"{name}_reference"] = (("field", *dimensions), values)
    width = settings.mask_widths[-1]
    shown = max(n for name in settings.variants[1:] for n in settings.counts(width, name))
    masks = np.zeros((len(settings.variants), width, settings.sites), np.uint8)
    for k, variant in enumerate(settings.variants):
        count = settings.sites * width if variant == DENSE else shown
        piece = pieces.get(Cell(Family(members[0], width, variant), count))
        if piece is not None:
            masks[k] = piece["mask"].values
    dataset["mask"] = (("variant", "unit", "site"), masks)
    return labelled(settings, dataset, shots=settings.shots, shown=shown)


def _floor(settings: MasksSettings, piece: xr.Dataset) -> float:
    """Return what the noise of the shots costs, free parameters / (2 shots), in KL."""
    mask = piece["mask"].values.astype(bool)
    symmetry = symmetry_named(piece.attrs.get("symmetry"), settings.positions)
    return free_parameters(mask, symmetry) / (2 * settings.shots)


def _over_cells(settings: MasksSettings, pieces: Mapping[Cell, xr.Dataset]) -> xr.Dataset:
    """Join datasets of RBMs along width, variant and count, NaN where there is none."""
    keys = [(cell.family.width, cell.family.variant, cell.weights) for cell in pieces]
    index = pd.MultiIndex.from_tuples(keys, names=["width", "variant", "count"])
    joined = xr.concat(list(pieces.values()), dim="cell")
    joined = joined.assign_coords(xr.Coordinates.from_pandas_multiindex(index, "cell"))
    order = {"variant": list(settings.variants)}
    return joined.unstack("cell").reindex(order).transpose("width", "variant", "count", ...)


def expected_files(settings: MasksSettings, result: str = "masks.nc") -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    rbms = [
        file_name(width, variant, count)
        for width in settings.all_widths
        for variant in settings.variants
        for count in settings.counts(width, variant)
    ]

    def names(k: int) -> list[str]:
        return ["shots.nc", *rbms] if settings.new_shots and k > 0 else rbms

    return ensemble_files(settings, names, result)
