"""Command `train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from psiprune.cli.app import (
    Flat,
    Out,
    Whole,
    advance,
    app,
    check_new,
    chosen_method,
    new_dataset,
    progress_bar,
    show,
)
from psiprune.cli.options import with_method_options
from psiprune.core.exceptions import InputError
from psiprune.core.validation import check_count
from psiprune.io.paths import NETCDF, check_suffix
from psiprune.io.work_status import note_kept
from psiprune.training.method import Initial
from psiprune.training.methods import AnyMethod

if TYPE_CHECKING:
    from psiprune.rbm.model import RBM


@app.command(name="train")
@with_method_options
def train_command(
    shots: Path,
    *,
    out: Out,
    hidden: Annotated[int | None, Whole] = None,
    seed: Annotated[int, Whole] = 0,
    mask: Path | None = None,
    method: Annotated[AnyMethod | None, Flat] = None,
    initial: Initial | None = None,
    config: Path | None = None,
    keep_epochs: tuple[Annotated[int, Whole], ...] = (),
    state: Path | None = None,
    history: Path | None = None,
    json: bool = False,
) -> None:
    """Train an RBM on shots; rerun the same command to resume.

    Parameters
    ----------
    shots
        file of shots: NetCDF of psiprune, .npy, .npz, or text of 0 and 1
    out
        file to write the RBM to
    hidden
        number of hidden units; that of the mask, else half the number of sites if not given
    seed
        seed of initial weights, of the order of shots and of chains
    mask
        which weights exist: file of an RBM whose mask is taken, or .npy or text of 0 and 1 with a
        row for each hidden unit (psiprune mask); all of them if not given
    initial
        weights before training: random; local, each hidden unit on one site and those that the data
        correlate with it; or coded, a code of signs for each site. That of the method if not given
    config
        TOML file with the method and its settings; options given here take precedence
    keep_epochs
        epochs after which the RBM is written beside OUT as well, to OUT-epoch-0005.nc and so on; 0
        for the untrained one (psiprune prune --rewind)
    state
        file of the reference state, for --history
    history
        file to write the error measures every 10 epochs to; needs --state
    json
        print one JSON object on standard output
    """
    from psiprune.cli.side_files import written_beside
    from psiprune.data.shots import read_shots
    from psiprune.experiments.recording import train_keeping, train_with_history
    from psiprune.io.checkpoint import Checkpoints
    from psiprune.rbm.masks import read_mask
    from psiprune.training.train import Callback, fingerprint, new_rbm, train

    if (state is None) != (history is None):
        raise InputError("--history: must be given together with --state")
    check_suffix(out, NETCDF)
    check_new(out)
    data = read_shots(shots)
    units = max(1, data.sites // 2) if hidden is None else check_count("--hidden", hidden, 1)
    there = None if mask is None else read_mask(mask)
    if there is not None:
        units = len(there) if hidden is None else units
        if there.shape != (units, data.sites):
            raise InputError(
                f"{mask}: has {there.shape[0]} rows and {there.shape[1]} columns, but there are "
                f"{units} hidden units and {data.sites} sites; give a mask [hidden, site]"
            )
    chosen = chosen_method(method, config).for_size(data.sites, units)
    early = _early_files(out, keep_epochs, chosen.epochs)
    beside = [*early.values()]
    if history is not None:
        _check_history(history, [out, *beside])
        beside.append(history)
    reference = None
    if state is not None and history is not None:
        from psiprune.metrics.against_state import reference_of
        from psiprune.states.mps import load_mps

        reference = reference_of(load_mps(state))
    begin = initial or chosen.INITIAL[0]
    start = new_rbm(data, units, seed, begin, there)
    single: Initial | None = initial

    def fit(callback: Callback, with_history: bool = True) -> RBM:
        if reference is None or history is None or not with_history:
            return train(
                data,
                hidden=units,
                mask=there,
                initial=single,
                method=chosen,
                seed=seed,
                callback=callback,
                checkpoints=checkpoints,
            )
        from psiprune.io.netcdf import write_dataset

        rbm, entries = train_with_history(
            start, data, chosen, seed, reference, 10, 10_000, callback, checkpoints
        )
        write_dataset(history, entries, "history")
        return rbm

    note_kept()
    with (
        new_dataset(out),
        written_beside(out, beside, fingerprint(start, data, chosen, seed)),
        Checkpoints(out) as checkpoints,
        progress_bar(chosen.epochs) as bar,
    ):
        if beside and initial is None and len(chosen.INITIAL) > 1:
            # The other files belong to one training, so find first which initial weights are best.
            tried = fit(lambda _: advance(bar), with_history=False)
            single = cast("Initial", tried.provenance["initial"])
            start = new_rbm(data, units, seed, single, there)
        rbm = train_keeping(early, start, fit, lambda _: advance(bar))
        rbm.save(out)
    done = rbm.provenance.get("epochs_done", 0)
    converged = rbm.provenance.get("converged")
    ending = "" if converged is None else ", converged" if converged else ", not converged"
    numbers = {
        "file": str(out),
        "visible": rbm.visible,
        "hidden": rbm.hidden,
        "weights": rbm.number_of_weights,
        "method": chosen.model_dump(),
        "initial": rbm.provenance["initial"],
        "epochs": done,
        "converged": None if converged is None else bool(converged),
        "training_warnings": [],
        "kept": {str(epoch): str(file) for epoch, file in early.items()},
    }
    kept = "".join(f"\n{file}: epoch {epoch}" for epoch, file in early.items())
    show(
        numbers,
        f"{out}: {rbm.visible} visible and {rbm.hidden} hidden units, {rbm.number_of_weights} "
        f"weights, {done} epochs over {len(data)} shots{ending}\n"
        f"method: {chosen}, initial weights: {rbm.provenance['initial']}{kept}",
        json,
    )


def _early_files(out: Path, epochs: tuple[int, ...], last: int) -> dict[int, Path]:
    """The file of each epoch to keep."""
    files = {}
    for epoch in epochs:
        if check_count("--keep-epochs", epoch, 0) > last:
            raise InputError(f"--keep-epochs: training has {last} epochs, found {epoch}")
        files[epoch] = out.with_name(f"{out.stem}-epoch-{epoch:04d}{out.suffix}")
    return files


def _check_history(history: Path, others: Sequence[Path]) -> None:
    """Raise InputError for a name that tells of something else, or that another file has."""
    check_suffix(history, NETCDF)
    if history.resolve() in [file.resolve() for file in others]:
        raise InputError(
            f"--history: {history} is where --out or --keep-epochs writes an RBM; give another name"
        )
