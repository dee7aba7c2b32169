"""The command line: parse, call, print. Each stage reads and writes files."""

from __future__ import annotations

import hashlib
import json as json_format
import math
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

from cyclopts import App, CycloptsError, Parameter, Token
from pydantic import ValidationError

from psiprune.config import (
    FineTuneSettings,
    MeasureSettings,
    PathSettings,
    PruneSettings,
    StudySettings,
    TrainSettings,
)
from psiprune.inputs import InputError, Settings, one_line
from psiprune.tfim import TFIM

if TYPE_CHECKING:
    import xarray as xr
    from tqdm import tqdm

    from psiprune.pruning import Level
    from psiprune.rbm import RBM

Chosen = TypeVar("Chosen", bound=Settings)
Flat = Parameter(name="*")
Out = Annotated[Path, Parameter(name=["--out", "-o"])]


def _whole(_: object, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)  # cyclopts itself would round "2.5"
    except ValueError:
        raise ValueError(f"must be an integer, found {tokens[0].value!r}") from None


Whole = Parameter(converter=_whole)

app = App(
    name="psiprune",
    # "--fields 1 2" as well as "--fields 1 --fields 2"; no "--no-json", no "--empty-fields".
    default_parameter=Parameter(consume_multiple=True, negative=()),
    suppress_keyboard_interrupt=False,  # `main` says a word about it
    version=lambda: f"psiprune {version('psiprune')}",
    help="Reconstruct quantum states from bit strings, prune the RBM, and tell what it cost.",
)


@app.command(name="ground-state")
def ground_state_command(*, out: Out, model: Annotated[TFIM, Flat], json: bool = False) -> None:
    """Find the ground state of a transverse-field Ising chain by DMRG.

    Parameters
    ----------
    out
        file to write the state to
    json
        print one JSON object on standard output
    """
    from psiprune.dmrg import ground_state

    _check_new(out)
    state = ground_state(model)
    state.save(out)
    exact = state.model.ground_energy() if state.model else float("nan")
    numbers = {
        "file": str(out),
        "sites": state.sites,
        "energy": state.energy,
        "exact_energy": exact,
        "energy_variance": state.energy_variance,
        "truncation_error": state.truncation_error,
        "largest_bond": max(state.bond_dimensions),
    }
    _show(
        numbers,
        f"{out}: {state.sites} sites, E = {state.energy:.10f} (exact {exact:.10f}), variance "
        f"{state.energy_variance:.1e}, bond dimension {numbers['largest_bond']}",
        json,
    )


@app.command(name="sample")
def sample_command(
    state: Path,
    *,
    out: Out,
    shots: Annotated[int, Whole] = 100_000,
    seed: Annotated[int, Whole] = 0,
    json: bool = False,
) -> None:
    """Measure a state in the Z basis: independent shots by perfect sampling.

    Parameters
    ----------
    state
        file of the state
    out
        file to write the shots to
    shots
        number of shots
    seed
        same seed, same shots
    json
        print one JSON object on standard output
    """
    from psiprune.mps import load_mps, sample

    _check_new(out)
    drawn = sample(load_mps(state), shots, seed=seed)
    drawn.save(out)
    numbers = {"file": str(out), "shots": len(drawn), "sites": drawn.sites, "seed": seed}
    _show(numbers, f"{out}: {len(drawn)} shots of {drawn.sites} sites", json)


@app.command(name="train")
def train_command(
    shots: Path,
    *,
    out: Out,
    hidden: Annotated[int | None, Whole] = None,
    seed: Annotated[int, Whole] = 0,
    settings: Annotated[TrainSettings | None, Flat] = None,
    config: Path | None = None,
    state: Path | None = None,
    history: Path | None = None,
    json: bool = False,
) -> None:
    """Fit an RBM to shots.

    Parameters
    ----------
    shots
        file of shots: NetCDF of psiprune, .npy, .npz, or text of 0 and 1
    out
        file to write the RBM to
    hidden
        number of hidden units; half the number of sites if not given
    seed
        seed of initial weights, shuffling and chains
    config
        TOML file of the settings; options given here win
    state
        file of the reference state, for --history
    history
        file to write the error measures every 10 epochs to; needs --state
    json
        print one JSON object on standard output
    """
    from psiprune.rbm import initial_rbm
    from psiprune.shots import read_shots
    from psiprune.training import train

    if (state is None) != (history is None):
        raise InputError("--history: needs --state, and --state has no use without it; give both")
    _check_new(out)
    chosen = _settings(TrainSettings, settings, config)
    data = read_shots(shots)
    with _bar(chosen.epochs) as bar:
        if state is None or history is None:
            rbm = train(
                data, hidden=hidden, seed=seed, settings=chosen, watch=lambda _: _advance(bar)
            )
        else:
            from psiprune.errors import reference_of
            from psiprune.experiments.measured import train_with_history
            from psiprune.files import write_dataset
            from psiprune.mps import load_mps

            _check_new(history)
            units = max(1, data.sites // 2) if hidden is None else hidden
            start, reference = initial_rbm(data.sites, units, seed), reference_of(load_mps(state))
            rbm, entries = train_with_history(
                start, data, chosen, seed, reference, 10, 10_000, lambda _: _advance(bar)
            )
            write_dataset(history, entries, "history")
    rbm.save(out)
    done = rbm.provenance.get("epochs_done", 0)
    converged = rbm.provenance.get("converged")
    ending = "" if converged is None else ", converged" if converged else ", not converged"
    numbers = {
        "file": str(out),
        "visible": rbm.visible,
        "hidden": rbm.hidden,
        "weights": rbm.number_of_weights,
        "epochs": done,
        "converged": None if converged is None else bool(converged),
    }
    _show(
        numbers,
        f"{out}: {rbm.visible} visible and {rbm.hidden} hidden units, {rbm.number_of_weights} "
        f"weights, {done} epochs over {len(data)} shots{ending}",
        json,
    )


@app.command(name="prune")
def prune_command(
    rbm: Path,
    shots: Path,
    *,
    out: Out,
    seed: Annotated[int, Whole] = 0,
    prune: Annotated[PruneSettings | None, Flat] = None,
    fine_tune: FineTuneSettings | None = None,
    no_fine_tune: bool = False,
    state: Path | None = None,
    json: bool = False,
) -> None:
    """Prune an RBM step by step and train it on after each step; a second start goes on.

    Parameters
    ----------
    rbm
        file of the trained RBM
    shots
        file of the training set
    out
        folder to write level-00.nc, level-01.nc, ... to
    seed
        seed of fine-tuning and of random pruning
    no_fine_tune
        only remove weights, do not train
    state
        file of the reference state; each level then keeps its error measures, as in a study
    json
        print one JSON object on standard output
    """
    from psiprune.experiments.path import run_path
    from psiprune.rbm import load_rbm, rbm_from_dataset
    from psiprune.runs import open_run
    from psiprune.shots import check_sites, read_shots

    if no_fine_tune and fine_tune is not None:
        raise InputError("--no-fine-tune: cannot stand with --fine-tune options; give one of them")
    tuning = None if no_fine_tune else fine_tune or FineTuneSettings()
    dense, data = load_rbm(rbm), read_shots(shots)
    check_sites(data, dense.visible, "the RBM")
    describe = _describer(state, dense, seed)
    chosen = PathSettings(
        rbm=hashlib.sha256(rbm.read_bytes()).hexdigest(),
        shots=hashlib.sha256(shots.read_bytes()).hexdigest(),
        seed=seed,
        prune=prune or PruneSettings(),
        fine_tune=tuning,
        state=None if state is None else hashlib.sha256(state.read_bytes()).hexdigest(),
    )
    epochs = chosen.prune.levels * (tuning.epochs if tuning else 0)
    with open_run(out, chosen) as folder, _bar(epochs) as bar:
        levels = run_path(
            folder,
            lambda: dense,
            data,
            chosen.prune,
            tuning,
            seed,
            describe,
            lambda _: _advance(bar),
        )
    kept = [rbm_from_dataset(level, out) for level in levels]
    numbers = [
        {"level": k, "weights": level.number_of_weights, "components": level.components}
        for k, level in enumerate(kept)
    ]
    _show(
        {"folder": str(out), "levels": numbers},
        f"{out}: {len(kept)} levels, {kept[0].number_of_weights} to {kept[-1].number_of_weights} "
        f"weights, the last graph in {kept[-1].components} parts",
        json,
    )


def _describer(state: Path | None, dense: RBM, seed: int) -> Callable[[Level], xr.Dataset]:
    """What is kept of a level: its RBM and, against a reference state, its measures."""
    if state is None:
        return lambda level: level.rbm.to_dataset()
    from psiprune.errors import check_reference, reference_of
    from psiprune.experiments.measured import measured_level
    from psiprune.mps import load_mps

    reference = reference_of(load_mps(state))
    check_reference(dense, reference)
    return lambda level: measured_level(level, reference, MeasureSettings().draws, seed)


@app.command(name="evaluate")
def evaluate_command(
    rbm: Path,
    state: Path,
    *,
    seed: Annotated[int, Whole] = 0,
    measure: Annotated[MeasureSettings | None, Flat] = None,
    json: bool = False,
) -> None:
    """Measure how far an RBM is from a state: KL, fidelity, energy, |m|, C(d).

    Parameters
    ----------
    rbm
        file of the RBM
    state
        file of the state
    seed
        seed of the draws
    json
        print one JSON object on standard output
    """
    from psiprune.errors import evaluate
    from psiprune.mps import load_mps
    from psiprune.rbm import load_rbm
    from psiprune.tables import report_numbers, report_text

    draws = (measure or MeasureSettings()).draws
    report = evaluate(load_rbm(rbm), load_mps(state), draws=draws, seed=seed)
    _show(report_numbers(report), report_text(report), json)


@app.command(name="study")
def study_command(
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    settings: Annotated[StudySettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """Run the paper's Fig. 2: train, prune, measure, in every phase; a second start goes on.

    Parameters
    ----------
    out
        folder of the run; runs/study-HASH of its configuration if not given
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    from psiprune.experiments.study import run_study
    from psiprune.figures import plot_study, save_figure
    from psiprune.runs import default_folder
    from psiprune.tables import study_numbers, study_text

    chosen = _settings(StudySettings, settings, config)
    folder = out if out is not None else default_folder("study", chosen)
    study = run_study(chosen, folder)
    figures = save_figure(plot_study(study), folder / "figure")
    text = f"{study_text(study)}\n\n{folder}: study.nc, {', '.join(file.name for file in figures)}"
    _show({"folder": str(folder), "levels": study_numbers(study)}, text, json)


def _settings(model: type[Chosen], given: Chosen | None, config: Path | None) -> Chosen:
    """The configuration of a TOML file, if any, overlaid with the options given."""
    values: dict[str, Any] = {}
    if config is not None:
        try:
            values = tomllib.loads(config.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{config}: cannot be read as TOML: {error}") from None
    if given is not None:
        _merge(values, given.model_dump(exclude_unset=True))
    return model(**values)


def _merge(base: dict[str, Any], top: dict[str, Any]) -> None:
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _check_new(out: Path) -> None:
    """Refuse a file that exists, or a missing folder, before anything is computed."""
    if out.exists():
        raise InputError(f"{out}: exists already; give another name, or delete it first")
    if not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}; make it first")


def _bar(epochs: int) -> tqdm[NoReturn]:
    from tqdm import tqdm

    return tqdm(total=epochs, desc="training", unit=" epochs", disable=None)


def _advance(bar: tqdm[NoReturn]) -> None:
    bar.update()


def _show(numbers: dict[str, Any], text: str, as_json: bool) -> None:
    print(json_format.dumps(_plain(numbers), allow_nan=False) if as_json else text)


def _plain(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 2 bad input, 1 failed, 130 interrupted."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_none")
    except InputError as error:
        return _fail(str(error), 2)
    except CycloptsError as error:
        cause = error.__cause__
        known = isinstance(cause, ValidationError)
        return _fail(one_line(cause, Settings) if known else str(error), 2)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        return _fail("interrupted; a study or a pruning path goes on with the same command", 130)
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    except (RuntimeError, MemoryError, ValueError, ArithmeticError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    return 0


def _fail(line: str, status: int) -> int:
    print(f"psiprune: {' '.join(line.split())}", file=sys.stderr)
    return status


def run() -> None:
    """The entry point of the `psiprune` command."""
    sys.exit(main())
