"""The command `rewire`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, Out, command_line, no_callback, show
from psiprune.cli.options import Int, Json, with_method_options
from psiprune.cli.prune import chosen_tuning, digests, level_writer, load_inputs, tuning_numbers
from psiprune.cli.streams import tell
from psiprune.core.progress import progress_bar
from psiprune.core.text import counted
from psiprune.experiments.path_settings import RewirePathSettings
from psiprune.pruning.settings import RewireSettings
from psiprune.training.methods import AnyMethod


@with_method_options
def rewire_command(
    rbm: Path,
    shots: Path,
    /,
    *,
    out: Out,
    seed: Int = 0,
    rewire: Annotated[RewireSettings | None, Flat] = None,
    fine_tune: AnyMethod | None = None,
    state: Path | None = None,
    json: Json = False,
) -> None:
    """Move the weights of a sparse RBM to where they are needed; rerun to resume.

    Each round drops some weights, grows as many missing ones and fine-tunes. Where a layer has at
    most 18 units, a round that does not increase the likelihood of the shots is undone.

    Args:
        rbm: file of the trained, pruned RBM
        shots: file of the training set
        out: folder to write level-00.nc, level-01.nc, ... to, one per round
        seed: random seed of fine-tuning, of samples and of random dropping
        fine_tune: training after each round
        state: file of the reference state: measure the metrics of each level against it
    """
    from psiprune.io.run import open_run, refuse_busy

    refuse_busy(out)
    from psiprune.data.shots import without_readout_error
    from psiprune.experiments.pruning_path import level_file, path_levels
    from psiprune.pruning.iterative import Level
    from psiprune.pruning.rewire import check_rewirable, rewire_step
    from psiprune.rbm.serialization import rbm_from_dataset

    start, data = load_inputs(rbm, shots)
    without_readout_error(data, "psiprune rewire")
    check_rewirable(start)
    tuning = chosen_tuning(fine_tune, start, data)
    if "folds" in start.provenance:
        tell(
            "psiprune: note: the training of the RBM ended by cross-validation (--folds), but "
            "rewiring takes all steps of fine-tuning, which may fit the noise of the shots"
        )
    chosen = RewirePathSettings(
        **digests(rbm=rbm, shots=shots, state=state),
        seed=seed,
        rewire=rewire or RewireSettings(),
        fine_tune=tuning,
    )
    rounds = chosen.rewire.rounds
    with open_run(out, chosen) as folder, progress_bar(rounds * tuning.epochs, "rewiring"):
        levels = path_levels(
            folder,
            rounds,
            lambda _: Level(0, start),
            lambda last, _, checkpoints: rewire_step(
                last, data, chosen.rewire, tuning, chosen.seed, no_callback, checkpoints
            ),
            level_writer(state, start, seed),
        )
    last = rbm_from_dataset(levels[-1], out)
    moved = int((last.mask & ~start.mask).sum())
    show(
        {
            "folder": str(out),
            "weights": last.number_of_weights,
            "moved": moved,
            **tuning_numbers(tuning),
        },
        f"{out}: {counted(rounds, 'round')}, {moved} of {last.number_of_weights} weights moved\n"
        f"fine-tuning: {tuning}",
        json,
        command_line("evaluate", level_file(out, len(levels) - 1), "HELD_OUT_SHOTS"),
    )
