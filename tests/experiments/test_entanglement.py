"""The entanglement of pruned RBMs: what a run measures, and what its table says changes first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import psiprune as pp
import tiny
from psiprune.experiments.entanglement_table import entanglement_numbers
from psiprune.experiments.figures.entanglement import plot_entanglement
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.inspect.contents import contents_of, read_config
from refusals import refuses
from undefined import check_figure, without_bias

KINDS = ("scale-free", "magnitude")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    folder = tmp_path_factory.mktemp("entanglement") / "run"
    return folder, pp.run_entanglement(tiny.entanglement_settings(), folder)


def test_a_run_measures_its_rbms(made: tuple[Path, xr.Dataset]) -> None:
    run, dataset = made
    contents = contents_of(run, read_config(run))
    assert contents is not None
    assert contents.command == "entanglement"
    written = {file for file in tiny.names(run) if file.endswith(".nc")}
    assert {str(file) for file in contents.files} == written
    assert dataset["variant"].values.tolist() == ["dense", *KINDS]
    assert dataset.attrs["cut"] == 2
    assert dataset["entropy"].attrs["units"] == dataset["renyi2_error"].attrs["units"] == "nat"
    for name, count in (("dense", 8), ("scale-free", 6), ("magnitude", 6)):
        rbm = pp.load_rbm(run / f"h=2/seed-1/2-{name}-{count}.nc")
        found = pp.entanglement(rbm)
        one = dataset.sel(field=2.0, seed=1, width=2, variant=name, count=count)
        assert found.entropy is not None
        assert float(one["entropy"]) == found.entropy.value
        assert float(one["renyi2"]) == found.renyi2.value
        assert float(one["renyi2_error"]) == 0
        assert int(one["bond_dimension"]) == found.bond_dimension()
        separating = int(one["separating_units"]), int(one["separating_sites"])
        assert separating == pp.vertex_cut(rbm)
        truth = pp.entanglement(pp.load_mps(run / "h=2/state.nc"))
        assert truth.entropy is not None
        assert float(one["entropy_reference"]) == truth.entropy.value
        assert int(one["bond_dimension_reference"]) == truth.bond_dimension()


def test_the_table_and_the_figure_show_it(made: tuple[Path, xr.Dataset]) -> None:
    dataset = made[1]
    found = table_numbers("entanglement", dataset)["entanglement"]["h=2"]
    assert len(found["rows"]) == 1 + len(KINDS)
    (row,) = [each for each in found["rows"] if each["variant"] == "dense"]
    median = float(dataset["entropy"].sel(field=2.0, width=2, variant="dense", count=8).median())
    assert row["entropy"]["median"] == pytest.approx(median)
    assert row["lost"] == pytest.approx(1 - median / found["reference"])
    words = table_text("entanglement", dataset)
    assert "first 2 of 4 sites" in words
    assert max(map(len, words.splitlines())) <= 100
    axes = plot_entanglement(dataset).get_axes()
    assert len(axes) == 5
    (line,) = [line for line in axes[0].lines if line.get_label() == "scale-free mask"]
    one = dataset["entropy"].sel(field=2.0, width=2).median("seed")
    wanted = [one.sel(variant="scale-free", count=6), one.sel(variant="dense", count=8)]
    ratios = np.array(wanted) / found["reference"]
    np.testing.assert_allclose(np.asarray(line.get_xydata()), np.column_stack([[0.25, 0], ratios]))


def invented(values: dict[str, list[list[float]]]) -> xr.Dataset:
    """Two seeds of a dense RBM of 8 weights, and of one pruned to 6, 4 and 2: [seed, level]."""
    shape = {"seed": 2, "width": 1, "variant": 2, "count": 4}
    names = ("entropy", "kl", "abs_magnetization_bias", "separating_units")
    dataset = xr.Dataset(
        {name: (tuple(shape), np.full(tuple(shape.values()), np.nan)) for name in names},
        {"width": [2], "variant": ["dense", "surgeon"], "count": [2, 4, 6, 8], "seed": [0, 1]},
        {"sites": 4, "cut": 2},
    )
    for name, rows in values.items():
        table: NDArray[np.float64] = np.array(rows)
        dataset[name].loc[{"variant": "dense", "count": 8, "width": 2}] = table[:, 0]
        dataset[name].loc[{"variant": "surgeon", "count": [6, 4, 2], "width": 2}] = table[:, 1:]
    dataset["renyi2"] = dataset["entropy"] / 2
    dataset["bond_dimension"] = dataset["separating_sites"] = dataset["separating_units"]
    return dataset.assign(
        entropy_reference=0.5, renyi2_reference=0.25, bond_dimension_reference=3.0
    )


def test_changes_are_found_where_they_were_put() -> None:
    """Beyond the largest deviation of both dense RBMs, by linear interpolation."""
    dataset = invented(
        {
            "entropy": [[0.48, 0.48, 0.40, 0.30], [0.52, 0.51, 0.49, 0.46]],  # limit 0.02
            "kl": [[0.1, 0.1, 0.2, 0.4], [0.2, 0.2, 0.2, 0.2]],  # limit 0.2
            "abs_magnetization_bias": [[0.1, 0.3, 0.3, 0.3], [0.1, 0.1, 0.3, 0.3]],
            "separating_units": [[2, 2, 2, 1], [2, 1, 1, 1]],
        }
    )
    (changes,) = entanglement_numbers(dataset)["entanglement"]["changes"]
    found = changes["seeds"]
    # The second entropy crosses between 4 and 2 weights, at (0.02 - 0.01) / (0.04 - 0.01).
    assert found["entropy"] == pytest.approx([0.25, 0.5 + 0.25 / 3])
    assert found["kl"] == pytest.approx([0.5, 1.0])  # the second never
    assert found["abs_magnetization"] == pytest.approx([0.0, 0.25])
    assert found["graph"] == pytest.approx([0.625, 0.125])
    assert changes["against"]["kl"]["lower"] == 2
    assert changes["against"]["abs_magnetization"]["lower"] == 0
    assert changes["against"]["graph"]["lower"] == 1
    assert changes["pruned"]["kl"] == pytest.approx(0.75)
    # Where the von Neumann entropy is unknown, Renyi-2 stands for it.
    unknown = entanglement_numbers(dataset.assign(entropy=dataset["entropy"] * np.nan))
    assert unknown["entanglement"]["measure"] == "renyi2"
    assert unknown["entanglement"]["reference"] == 0.25


def test_without_a_bias_all_else_is_shown(made: tuple[Path, xr.Dataset]) -> None:
    dataset = made[1]
    check_figure(plot_entanglement, dataset)
    undefined, known = (
        entanglement_numbers(each.sel(field=2.0))["entanglement"]["changes"][0]
        for each in (without_bias(dataset), dataset)
    )
    assert np.isnan(undefined["pruned"]["abs_magnetization"])
    assert undefined["against"]["abs_magnetization"]["pairs"] == 0
    assert undefined["against"]["kl"] == known["against"]["kl"]
    assert table_text("entanglement", without_bias(dataset)).split().count("-") > len(KINDS)


def test_settings() -> None:
    assert pp.EntanglementSettings(model=pp.XXZ(sites=4), sites=4).fields == (0.0,)
    with refuses("fields.0", "above 0"):
        tiny.entanglement_settings(fields=(0.0,))
    sized = tiny.entanglement_settings().for_size()
    assert sized.cut == 2
    assert tiny.entanglement_settings(cut=1).for_size().cut == 1
    counts = pp.EntanglementSettings().counts(9, "surgeon")
    assert counts == [27, 33, 41, 51, 63, 77, 95, 118, 144]
    with refuses("cut", 4):
        tiny.entanglement_settings(cut=4)
    with refuses("cut", 0):
        tiny.entanglement_settings(cut=0)


@pytest.mark.slow
def test_the_command_reads_its_own_configuration(
    made: tuple[Path, xr.Dataset], tmp_path: Path
) -> None:
    run = made[0]
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    command = ("entanglement", "--config", folder / "config.toml", "--out", folder, "--json")
    found = json.loads(tiny.call(*command).out)
    assert found["folder"] == str(folder)
    assert found["entanglement"]["h=2"]["cut"] == 2
    assert (folder / "entanglement.nc").read_bytes() == (run / "entanglement.nc").read_bytes()
