"""What a run of reconstruct is estimated to take, before anything is trained."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.io.run import default_folder
from psiprune.reconstruction.cost import bytes_needed, work_left
from psiprune.reconstruction.estimate import Estimate, begin_run
from psiprune.reconstruction.inputs import resolve_settings, split_shots
from psiprune.training.estimate import Speed
from psiprune.training.limits import OPTIONS, PYTHON, Spelling
from refusals import refused
from spies import failing

pytestmark = pytest.mark.usefixtures("undrawn")

SHOTS = pp.Shots(np.random.default_rng(0).integers(0, 2, (300, 4), dtype=np.uint8), source="x")


def on_machine(monkeypatch: pytest.MonkeyPatch, speed: float, free: float = 1e12) -> None:
    """Let a nominal second take so many seconds, and so many bytes be free."""
    monkeypatch.setattr("psiprune.reconstruction.estimate.probe", lambda *_: Speed(speed, speed))
    monkeypatch.setattr("psiprune.training.limits.free_memory", lambda: free)


def begun(
    settings: pp.ReconstructSettings,
    shots: pp.Shots = SHOTS,
    folder: Path = Path("nowhere"),
    limit: float = 3600.0,
    spell: Spelling = OPTIONS,
) -> tuple[Estimate | None, list[Estimate]]:
    """The result of begin_run, and what it announced."""
    seen: list[Estimate] = []
    training = split_shots(shots, settings.held_out_of(len(shots)), settings.seed).training
    return begin_run(
        settings, shots, training, folder, limit=limit, announce=seen.append, spell=spell
    ), seen


def test_the_line_names_methods_sizes_trainings_time_and_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_machine(monkeypatch, 1.0)
    settings = pp.ReconstructSettings(seeds=3, hidden=(2, 4), held_out=0.4)
    estimate, seen = begun(settings)
    assert estimate is not None
    assert seen == [estimate]
    pattern = (
        r"exact \(natural gradient with sums over all states\); 300 shots x 4 sites, hidden units "
        r"2, 4; up to 5 trainings, about \d+ pruning steps; estimated \d.* s and .* MB on this "
        r"machine"
    )
    assert re.fullmatch(pattern, estimate.line)
    assert estimate.warning == ""
    assert estimate.note == ""
    error = pp.ReadoutError.from_rates(0.01, sites=4)
    misread, _ = begun(settings, replace(SHOTS, readout=error))
    assert misread is not None
    assert "180 misread shots for 24 parameters" in misread.note
    assert "psiprune train --folds 5" in misread.note
    mixed = pp.ReconstructSettings(hidden=(2, 40), held_out=0.4)
    wide = pp.Shots(
        np.zeros((300, 60), np.uint8) | (np.arange(60) % 2).astype(np.uint8), source="x"
    )
    both, _ = begun(mixed, wide)
    assert both is not None
    assert [each.split()[0] for each in both.methods] == ["exact", "natural"]
    assert "more than 180 training shots" in both.warning


def test_time_and_memory_grow_with_every_size() -> None:
    def seconds(settings: pp.ReconstructSettings, sites: int = 24, shots: int = 10**4) -> float:
        return work_left(settings, sites, shots, None).nominal

    base = pp.ReconstructSettings(hidden=(10,))
    for settings, sites, shots in (
        *((pp.ReconstructSettings(hidden=(15,)), 24, 10**4), (base, 26, 10**4), (base, 24, 10**5)),
        (pp.ReconstructSettings(hidden=(10,), draws=10**6), 24, 10**4),
    ):
        assert seconds(settings, sites, shots) > seconds(base)
        assert bytes_needed(settings, sites, shots) > bytes_needed(base, 24, 10**4)
    misread = pp.ReconstructSettings(hidden=(10,), readout_sha256="0")
    for sites in (18, 24):  # by sums over all states, and by annealing
        assert seconds(misread, sites) > seconds(base, sites)
        assert bytes_needed(misread, sites, 10**4) > bytes_needed(base, sites, 10**4)
        assert seconds(misread, sites, 10**5) > seconds(misread, sites)
    large = pp.ReconstructSettings(hidden=(100,), readout_sha256="0")
    assert seconds(large, 250) > seconds(pp.ReconstructSettings(hidden=(100,)), 250)
    # How the state depends on the rates needs a Fisher matrix, its inverse and a factor.
    by_size = {"readout_sha256": "0", "prune": {"criterion": "magnitude"}, "train": "pcd"}
    fewer, more = (
        bytes_needed(pp.ReconstructSettings(hidden=(hidden,), **by_size), 199, 100)  # type: ignore[arg-type]
        for hidden in (99, 100)  # 19,999 and 20,199 parameters
    )
    assert fewer > 24 * 19_999**2 > more
    for cheaper in ({"seeds": 2}, {"prune": {"criterion": "magnitude"}}, {"prune": {"levels": 2}}):
        assert seconds(pp.ReconstructSettings(hidden=(10,), **cheaper)) < seconds(base)


@pytest.mark.parametrize(("hidden", "eliminates"), [(20, False), (25, False), (26, True)])
def test_surgery_draws_by_elimination_only_where_tables_are_too_large(
    monkeypatch: pytest.MonkeyPatch, hidden: int, eliminates: bool
) -> None:
    settings = pp.ReconstructSettings(hidden=(hidden,))
    before = work_left(settings, 60, 10**4, None)
    monkeypatch.setattr("psiprune.reconstruction.cost.DRAW_SECONDS", 3.0)
    longer = work_left(settings, 60, 10**4, None).rest - before.rest
    # Two draws a step, of up to 2 seconds.
    assert longer == pytest.approx(2.0 * before.steps if eliminates else 0.0)


@pytest.mark.parametrize("spell", [OPTIONS, PYTHON])
@pytest.mark.parametrize(("sites", "hidden"), [(30, (10, 20, 60)), (40, (200,))])
def test_following_the_advice_works(
    monkeypatch: pytest.MonkeyPatch, spell: Spelling, sites: int, hidden: tuple[int, ...]
) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (400, sites), dtype=np.uint8)
    shots = pp.Shots(bits, source="x")
    settings = pp.ReconstructSettings(hidden=hidden, held_out=0.4, draws=100)
    on_machine(monkeypatch, 1.0)
    needs, _ = begun(settings, shots, limit=math.inf)
    assert needs is not None
    for limit, free in ((needs.seconds / 1.1, 1e12), (1e9, needs.memory_bytes / 1.1)):
        on_machine(monkeypatch, 1.0, free)
        line = refused(".", begun, settings, shots, limit=limit, spell=spell)
        reason, way_out, more = line.split("; ")
        assert reason.startswith("reconstruct: estimated ")
        assert more.startswith(f"{spell.unlimited} runs it regardless")
        found = re.match(re.escape(spell.hidden).replace(r"\{\}", r"(\d+)"), way_out)
        assert found is not None
        assert int(found[1]) < hidden[-1]
        on_machine(monkeypatch, 1.8, free)  # the next probe may find the machine slower
        less, _ = begun(
            settings.model_copy(update={"hidden": (int(found[1]),)}), shots, limit=limit
        )
        assert less is not None


def test_what_could_be_trained_but_not_pruned_is_refused_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_machine(monkeypatch, 1e-3)
    wide = pp.Shots(np.arange(600 * 300).reshape(600, 300).astype(np.uint8) % 2, source="x")
    settings = pp.ReconstructSettings(hidden=(1000,))
    for limit in (3600.0, math.inf):
        line = refused(r"'surgeon' supports at most 20,000", begun, settings, wide, limit=limit)
    hidden = int(line.split("--hidden ")[1].split()[0])
    assert begun(pp.ReconstructSettings(hidden=(hidden,)), wide)[0] is not None
    other = pp.ReconstructSettings(hidden=(1000,), prune={"criterion": "magnitude"})  # type: ignore[arg-type]
    assert begun(other, wide)[0] is not None


def test_a_resumed_run_counts_what_is_left(tmp_path: Path) -> None:
    settings = tiny.reconstruct_settings(seeds=3)
    nothing, _ = begun(settings, folder=tmp_path)
    assert nothing is not None
    done = ["choice/hidden-2-rate-0.5.nc", "ensemble/seed-0.nc", "ensemble/seed-1.nc"]
    done += [f"path/level-{k:02d}.nc" for k in range(3)]
    for name in done:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    part, _ = begun(settings, folder=tmp_path)
    assert part is not None
    assert (nothing.trainings, part.trainings) == (3, 1)
    assert nothing.pruning_steps - part.pruning_steps == 2  # level-00 is not pruned
    (tmp_path / "reconstruct.nc").touch()
    assert begun(settings, folder=tmp_path) == (None, [])  # finished: nothing to wait for


def test_in_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on_machine(monkeypatch, 1e6)
    go = partial(pp.reconstruct, SHOTS, tmp_path / "run", settings=tiny.reconstruct_settings())
    refused(r"max_time=None runs it regardless, max_time='\d+d'", go)
    refused(r"^max_time: must be a time", go, max_time="soon")
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr("psiprune.reconstruction.api.visible", lambda: True)
    refused("the limit is 30 min", go, max_time="30m")
    shown = capsys.readouterr()
    assert shown.err.startswith("reconstruct: cd (contrastive divergence")
    assert shown.out == ""
    refused("the limit is 20 s", go, max_time=20, progress=False)
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "run").exists()

    begun = failing(ArithmeticError("begun"))
    monkeypatch.setattr("psiprune.reconstruction.pipeline.open_run", begun)
    for limit in (None, "9999d"):
        with pytest.raises(ArithmeticError, match="begun"):
            go(max_time=limit)


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_machine(monkeypatch, 1e6)
    SHOTS.save(tmp_path / "shots.nc")
    monkeypatch.chdir(tmp_path)
    command = ("reconstruct", "shots.nc", *tiny.reconstruct_options())
    outcome = tiny.call(*command)
    assert (outcome.status, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith("psiprune: note: cd (contrastive divergence")
    assert lines[-1].startswith("psiprune: reconstruct: estimated ")
    assert tiny.names(tmp_path) == {"shots.nc"}
    assert tiny.refusal(tiny.call(*command, "--max-time=0")).startswith("--max-time: ")
    # The limit is no setting: the run has one name, and may be resumed with another.
    longer = lines[-1].split("--max-time ")[1].split()[0]
    printed = json.loads(tiny.call(*command, f"--max-time={longer}", "--json").out)
    settings = resolve_settings(tiny.reconstruct_settings(), pp.read_shots("shots.nc"))
    assert Path(printed["folder"]) == default_folder("reconstruct", settings)
    numbers: dict[str, Any] = printed["estimate"]
    assert (numbers["trainings"], numbers["hidden"], numbers["shots"]) == (2, [2], 300)
    assert {"seconds", "memory_bytes", "methods", "pruning_steps"} < {*numbers}
    page = Path(printed["report"]).read_text()
    assert "Estimated" not in page  # times differ from run to run, the page does not
    assert "fine-tuned by cd (epochs=1" in page
    again = tiny.call(*command, "--json")  # finished, so there is nothing to refuse
    assert (again.status, again.err.count("note: cd")) == (0, 0)
    assert json.loads(again.out)["estimate"] == numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sites", "field", "shots", "options"),
    [
        *((10, 1.0, 10_000, {}), (18, 2.0, 20_000, {"hidden": (9,)})),
        *((10, 1.0, 10_000, {"train": "cd"}), (24, 1.0, 10_000, {"hidden": (20,), "seeds": 2})),
        (26, 1.0, 5_000, {"hidden": (26,), "seeds": 2, "train": "pcd"}),
    ],
)
def test_estimates_are_right_within_a_factor_of_four(
    sites: int, field: float, shots: int, options: dict[str, Any], tmp_path: Path
) -> None:
    data = pp.sample(pp.ground_state(pp.TFIM(sites=sites, field=field)), shots, seed=1)
    begin = time.perf_counter()
    found = pp.reconstruct(data, tmp_path / "run", max_time=None, **options)
    taken = time.perf_counter() - begin
    estimated = json.loads((tmp_path / "run" / "estimate.json").read_text())["seconds"]
    assert found.rbm.visible == sites
    assert 0.25 < estimated / taken < 4.0
