"""Tables and JSON say what the datasets of sparse training and the ablations hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from psiprune.core.statistics import paired
from psiprune.experiments.sparse import VARIANTS
from psiprune.experiments.tables import table_numbers, table_text

MEASURES = ["kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse"]


def test_sparse_numbers(sparse: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(table_numbers("sparse", sparse)["variants"]))
    assert list(numbers) == ["h=1"]
    assert list(numbers["h=1"]) == list(VARIANTS)
    dense = sparse.sel(field=1.0, variant="dense")
    for variant, entry in numbers["h=1"].items():
        own = sparse.sel(field=1.0, variant=variant)
        assert entry["weights_kept"] == (8 if variant == "dense" else 6)
        assert entry["components"] == float(own["components"].median())
        for name in MEASURES:
            low, middle, high = np.quantile(own[name], (0.16, 0.5, 0.84))
            against = paired(own[name].values, dense[name].values)._asdict()
            assert entry[name].pop("against_dense") == against
            assert entry[name] == pytest.approx({"low": low, "median": middle, "high": high})


def test_sparse_as_text(sparse: xr.Dataset) -> None:
    text = table_text("sparse", sparse)
    assert max(map(len, text.splitlines())) <= 100
    # The values take more than 100 columns and continue below themselves.
    (title, *values), (head, *more), (other, *ratios) = (
        block.splitlines() for block in text.split("\n\n")
    )
    assert title == "h/J = 1: median (16 to 84 %) of 3 seeds"
    assert other == "h/J = 1: ratio to dense, median over seeds (Wilcoxon p)"
    assert head.split()[:2] == values[0].split()[:2] == ["variant", "weights"]
    assert [line.split()[:2] for line in more] == [line.split()[:2] for line in values[1:]]
    assert [line.split()[0] for line in values] == ["variant", *VARIANTS]
    assert [line.split()[0] for line in ratios] == ["variant", *VARIANTS[1:]]
    sc = sparse.sel(field=1.0, variant="sc")["kl"].values
    low, middle, high = np.quantile(sc, (0.16, 0.5, 0.84))
    assert values[5].split()[1] == "6"
    assert f"{middle:.2g} ({low:.2g} to {high:.2g})" in values[5]
    against = paired(sc, sparse.sel(field=1.0, variant="dense")["kl"].values)
    assert f"{against.ratio:.2f} ({against.p:.2g})" in ratios[4]


def test_no_ratio_of_estimates_below_zero(sparse: xr.Dataset) -> None:
    text = table_text("sparse", sparse.assign(kl=sparse["kl"] - 10.0))
    line = next(line for line in text.splitlines() if line.startswith("pruned") and "- (" in line)
    assert line.split()[1] == "-"


def test_ablation_numbers(ablation: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(table_numbers("ablation", ablation)["ablation"]))
    assert list(numbers) == ["h=1"]
    here = ablation.sel(field=1.0)
    for start, entries in numbers["h=1"]["broken"].items():
        assert [entry["share"] for entry in entries] == [0.0, 0.5, 1.0]
        for entry in entries:
            own = here.sel(start=start, share=entry["share"])
            for name in ("adjacent", "roomy", "components"):
                assert entry[name] == float(own[f"broken_{name}"].median())
            for name in MEASURES:
                assert entry[name]["median"] == float(own[f"broken_{name}"].median())
    forbidden = numbers["h=1"]["forbidden"]
    assert forbidden["dense"]["moved"] == forbidden["dense"]["shift"] == 0
    for model, entry in forbidden.items():
        own = here.sel(model=model)
        assert entry["units"] == entry["clusters"] == 6
        assert entry["moved"] == int((own["overlap"] == 0).sum())
        assert entry["shift"] == float(np.median(np.abs(own["shift"].values)))
        assert entry["taken"] == int((own["taken"] >= 2).sum())
        assert entry["kl"]["median"] == float(own["forbidden_kl"].median())


def test_ablation_as_text(ablation: xr.Dataset) -> None:
    text = table_text("ablation", ablation)
    assert max(map(len, text.splitlines())) <= 100
    broken, more, forbidden = (block.splitlines() for block in text.split("\n\n"))
    assert broken[0] == "h/J = 1, clusters broken: median (16 to 84 %) of 2 seeds"
    assert [line.split()[:2] for line in more] == [line.split()[:2] for line in broken[1:]]
    assert [line.split()[:2] for line in broken[2:]] == [
        [start, share] for start in ("initial", "dense") for share in ("0%", "50%", "100%")
    ]
    assert forbidden[0].startswith("h/J = 1, clusters forbidden: 2 seeds of 3 units")
    assert [line.split()[:4] for line in forbidden[2:]] == [
        ["dense", "18", "6", "6"],
        ["forbidden", "9", "6", "6"],
        ["control", "9", "6", "6"],
    ]
