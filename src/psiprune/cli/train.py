"""Command `train`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, cast

from psiprune.cli.app import (
    Flat,
    Out,
    check_new,
    chosen_method,
    command_line,
    new_dataset,
    no_callback,
    show,
)
from psiprune.cli.options import (
    Int,
    Json,
    ReadoutOptions,
    Yes,
    with_method_options,
    with_readout,
)
from psiprune.cli.streams import tell
from psiprune.core.durations import parse_duration
from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.core.validation import check_count
from psiprune.io.paths import NETCDF, check_suffix
from psiprune.io.work_status import note_kept
from psiprune.training.limits import DEFAULT_MAX_TIME
from psiprune.training.method import Initial, Method
from psiprune.training.methods import AnyMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from psiprune.data.shots import Shots
    from psiprune.rbm.model import RBM
    from psiprune.training.limits import Needs


@with_method_options
def train_command(
    shots: Path,
    /,
    *,
    out: Out,
    hidden: Int | None = None,
    phase_hidden: Int | None = None,
    seed: Int = 0,
    mask: Path | None = None,
    phase_mask: Path | None = None,
    starts: Int | None = None,
    method: Annotated[AnyMethod | None, Flat] = None,
    initial: Initial | None = None,
    config: Path | None = None,
    keep_epochs: tuple[Int, ...] = (),
    state: Path | None = None,
    history: Path | None = None,
    folds: Int = 0,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    max_time: str = DEFAULT_MAX_TIME,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Train an RBM on shots; rerun the same command to resume.

    Shots in several bases train a state with phases: an RBM for the amplitudes and one for the
    phases; above 16 sites bases may rotate at most 8 sites each. They take --hidden,
    --phase-hidden, --mask, --phase-mask, --starts, --epochs (default: 300), --weight-decay
    (default: 0) and --seed.

    Args:
        shots: file of shots: NetCDF of psiprune, .npy, .npz, or text of 0 and 1
        out: file to write the RBM to
        hidden: number of hidden units (default: that of the mask, else for shots of a long chain
            that of psiprune mask scale-free SHOTS, else half the number of sites, or up to 18 sites
            all of it where that clearly misses structure of the shots)
        phase_hidden: hidden units of the RBM of the phases, for shots in several bases (default:
            twice those of the amplitudes)
        seed: random seed of the initial weights, the order of the shots and the Gibbs chains
        mask: which weights exist: an RBM file whose mask to use, or .npy or text of 0 and 1 with
            one row per hidden unit (see psiprune mask); default: all, or without --hidden for shots
            of a long chain that of psiprune mask scale-free SHOTS
        phase_mask: the same for the RBM of the phases, for shots in several bases
        starts: independent fits of shots in several bases, of which the likeliest is kept (default:
            4)
        initial: initial weights: random; local (each hidden unit couples to one site and the sites
            correlated with it in the data); or coded (a sign code for each site). Default: that of
            the method
        config: TOML file with the method and its settings; options given here take precedence
        keep_epochs: epochs after which to save the RBM as well, to OUT-epoch-0005.nc and so on; 0
            is the untrained RBM (for psiprune prune --rewind)
        state: file of the reference state for --history
        history: file to write the metrics to, measured every 10 epochs; requires --state
        folds: number of parts of the shots for a cross-validation of the number of steps, which
            ends training before it fits noise (few shots, large readout errors); psiprune prune
            then ends fine-tuning in the same way. 0: take all steps
        max_time: estimated time above which nothing is begun: seconds, or 30m, 2h, 1d
    """
    from psiprune.cli.side_files import written_beside
    from psiprune.data.read_shots import read_shots
    from psiprune.data.shots import check_sites
    from psiprune.io.checkpoint import Checkpoints
    from psiprune.rbm.masks import read_mask
    from psiprune.training.early import train_saving_epochs
    from psiprune.training.found_symmetry import with_found_symmetry
    from psiprune.training.stopping import check_folds
    from psiprune.training.train import Callback, default_mask, fingerprint, new_rbm, train

    limit = math.inf if yes else parse_duration("--max-time", max_time)
    if (state is None) != (history is None):
        given, missing = ("--state", "--history") if history is None else ("--history", "--state")
        raise InputError(f"{given}: requires {missing}; give both, or neither")
    if folds and (history is not None or keep_epochs):
        given = "--history" if history is not None else "--keep-epochs"
        raise InputError(
            f"--folds: cannot be combined with {given}, found {folds}; omit one of them"
        )
    check_suffix(out, NETCDF)
    check_new(out)
    data = with_readout(read_shots(shots), readout)
    if len(data.bases) == 1:
        check_sites(data, data.sites, "an RBM")
    else:
        from psiprune.cli.phases import train_on_bases
        from psiprune.training.phase_starts import PhaseUnits

        others = {
            "--initial": initial,
            "--config": config,
            "--keep-epochs": keep_epochs or None,
            "--history": history,
            "--folds": folds or None,
        }
        masks = {"mask": mask, "phase_mask": phase_mask}
        networks = PhaseUnits(
            hidden,
            phase_hidden,
            **{name: None if file is None else read_mask(file) for name, file in masks.items()},
        )
        train_on_bases(data, out, networks, starts, method, seed, others, limit, json)
        return
    for name, option in (
        ("--phase-hidden", phase_hidden),
        ("--phase-mask", phase_mask),
        ("--starts", starts),
    ):
        if option is not None:
            raise InputError(
                f"{name}: is for shots in several bases, but all of {shots} are in "
                f"{data.bases[0][0]}; omit it"
            )
    units = max(1, data.sites // 2) if hidden is None else check_count("--hidden", hidden, 1)
    wanted = chosen_method(method, config)
    mask_array = None if mask is None else read_mask(mask)
    if hidden is None and mask is None:
        mask_array = default_mask(data, wanted, initial)
        if mask_array is not None:
            tell(
                f"psiprune: note: shots of a chain: {len(mask_array)} hidden units with "
                f"{mask_array.sum():,} scale-free weights (psiprune mask scale-free "
                f"{quote(str(shots))}); --hidden {units} takes all weights of so many units, "
                "--symmetry found may lower the noise"
            )
    if mask_array is not None:
        units = len(mask_array) if hidden is None else units
        if mask_array.shape != (units, data.sites):
            rows, columns = mask_array.shape
            raise InputError(
                f"{mask}: must have {units} rows (hidden units) and {data.sites} columns (sites), "
                f"found {rows} and {columns}; give a mask [hidden, site] of this size"
            )
    weights = units * data.sites if mask_array is None else int(mask_array.sum())
    asked, wanted = wanted, with_found_symmetry(wanted, data, units, mask_array)
    if wanted is not asked:
        found = getattr(wanted, "symmetry", None)
        tell(f"psiprune: note: the shots support {f'symmetry {found}' if found else 'no symmetry'}")
    misread = data.readout is not None
    chosen = wanted.for_size(data.sites, units, readout=misread, weights=weights)
    check_folds(folds, data)
    early = _early_files(out, keep_epochs, chosen.epochs)
    side_files = [*early.values()]
    if history is not None:
        _check_history(history, [out, *side_files])
        side_files.append(history)
    _check_needs(wanted, data, units, mask_array, limit, folds)
    reference = None
    if state is not None and history is not None:
        from psiprune.metrics.reference import reference_of
        from psiprune.states.mps import load_mps

        reference = reference_of(load_mps(state))
    first_initial = initial or chosen.INITIAL[0]
    start = new_rbm(data, units, seed, first_initial, mask_array)
    single: Initial | None = initial
    width = None if hidden is None and mask_array is None else units

    def fit(callback: Callback, with_history: bool = True) -> RBM:
        if reference is None or history is None or not with_history:
            return train(
                data,
                hidden=width,
                mask=mask_array,
                initial=single,
                method=chosen,
                seed=seed,
                callback=callback,
                checkpoints=checkpoints,
                folds=folds,
            )
        from psiprune.experiments.recording import train_with_history
        from psiprune.io.netcdf import write_dataset

        rbm, entries = train_with_history(
            start, data, chosen, seed, reference, 10, 10_000, callback, checkpoints
        )
        write_dataset(history, entries, "history")
        return rbm

    note_kept()
    with (
        new_dataset(out),
        written_beside(out, side_files, fingerprint(start, data, chosen, seed)),
        Checkpoints(out) as checkpoints,
    ):
        if side_files and initial is None and len(chosen.INITIAL) > 1:
            # The side files belong to one training, so find first which initial weights are best.
            tried = fit(no_callback, with_history=False)
            single, width = cast("Initial", tried.provenance["initial"]), tried.hidden
            start = new_rbm(data, width, seed, single, mask_array)
        rbm = train_saving_epochs(early, start, fit, no_callback)
        rbm.save(out)
    if rbm.hidden != units:
        tell(
            f"psiprune: note: {rbm.hidden} hidden units, as {units} miss structure that the shots "
            "evidently have; --hidden fixes the number"
        )
    done = rbm.provenance.get("epochs_done", 0)
    converged = rbm.provenance.get("converged")
    ending = "" if converged is None else ", converged" if converged else ", not converged"
    if folds:
        ending = f", chosen by cross-validation over {folds} parts of the shots"
    numbers = {
        "file": str(out),
        "visible": rbm.visible,
        "hidden": rbm.hidden,
        "weights": rbm.number_of_weights,
        "method": chosen.model_dump(),
        "initial": rbm.provenance["initial"],
        "epochs": done,
        "folds": folds,
        "converged": None if converged is None else bool(converged),
        "training_warnings": [],
        "saved_epochs": {str(epoch): str(file) for epoch, file in early.items()},
    }
    saved = "".join(f"\n{file}: epoch {epoch}" for epoch, file in early.items())
    show(
        numbers,
        f"{out}: {rbm.visible} visible and {counted(rbm.hidden, 'hidden unit')}, "
        f"{counted(rbm.number_of_weights, 'weight')}, {counted(int(done), 'epoch')} over "
        f"{counted(len(data), 'shot')}{ending}\n"
        f"method: {chosen}, initial weights: {rbm.provenance['initial']}{saved}",
        json,
        command_line("prune", out, shots, "-o", out.with_name(f"{out.stem}-pruned")),
    )


def _check_needs(
    given: Method, data: Shots, units: int, mask: NDArray[np.bool_] | None, limit: float, folds: int
) -> None:
    """Print method, sizes and estimates; raise InputError if the training exceeds the limits."""
    from psiprune.training.estimate import training_needs
    from psiprune.training.limits import OPTIONS, advise, check_needs, few_shots, fits_noise

    readout = data.readout is not None
    weights = units * data.sites if mask is None else int(mask.sum())
    method = given.for_size(data.sites, units, readout=readout, weights=weights)
    needs = training_needs(method, data, units, weights)
    together = 1 if method.CONVERGES else max(1, folds)  # each keeps its Fisher matrix
    needs = needs._replace(seconds=needs.seconds * (1 + folds), memory=needs.memory * together)
    tell(
        f"psiprune: note: {method.method} ({method.SUMMARY}); {counted(len(data), 'shot', ',')} x "
        f"{counted(data.sites, 'site')}, {counted(units, 'hidden unit', ',')}, "
        f"{counted(weights, 'weight', ',')}; estimated {needs} on this machine"
    )
    parameters = weights + units + data.sites
    if few := few_shots(parameters, len(data)):
        tell(f"psiprune: warning: {few}")
    flips = data.readout is not None and bool(data.readout.rates.any())
    noise = fits_noise(parameters, len(data), flips)
    if noise and not folds:
        tell(f"psiprune: note: {noise}; use --folds 5 to stop earlier")

    def needs_of(hidden: int) -> Needs:
        return training_needs(given.for_size(data.sites, hidden, readout=readout), data, hidden)

    if limit < math.inf and not needs.fit(limit):
        advice = advise(needs_of, units, limit) if mask is None else None
        check_needs("train", needs, limit, advice, OPTIONS)


def _early_files(out: Path, epochs: tuple[int, ...], last: int) -> dict[int, Path]:
    """Return the file of each epoch to save."""
    files = {}
    for epoch in epochs:
        if check_count("--keep-epochs", epoch, 0) > last:
            raise InputError(f"--keep-epochs: must be at most --epochs = {last}, found {epoch}")
        files[epoch] = out.with_name(f"{out.stem}-epoch-{epoch:04d}{out.suffix}")
    return files


def _check_history(history: Path, others: Sequence[Path]) -> None:
    """Raise InputError for a wrong suffix, or for a file that will hold an RBM."""
    check_suffix(history, NETCDF)
    if history.resolve() in [file.resolve() for file in others]:
        raise InputError(
            f"--history: --out or --keep-epochs writes to {history} too; give another name"
        )
