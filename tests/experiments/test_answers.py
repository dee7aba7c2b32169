"""The first lines of experiments say what they found, with the numbers of their datasets."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from psiprune.experiments.answers import _study, answer_text
from psiprune.io.netcdf import read_dataset

DOCS = Path(__file__).parents[2] / "docs"
FILES = {
    "sparse": "paper/sparse/sparse.nc",
    "ablation": "paper/ablation/ablation.nc",
    "frontier": "paper/frontier/frontier.nc",
    "masks": "masks/masks.nc",
    "entanglement": "entanglement/entanglement.nc",
}


@pytest.mark.parametrize(
    "name", [*list(FILES)[:-1], pytest.param("entanglement", marks=pytest.mark.slow)]
)
def test_an_answer_has_a_sentence_for_each_field(name: str) -> None:
    dataset = read_dataset(DOCS / FILES[name], name)
    text = answer_text(name, dataset)
    assert text.count("h/J = ") == dataset.sizes["field"]
    assert max(map(len, text.splitlines())) <= 100
    assert "nan" not in text
    if name == "sparse":
        median = dataset["kl"].median("seed")
        for field, line in zip(dataset["field"].values, text.split("h/J = ")[1:], strict=True):
            others = median.sel(field=field).drop_sel(variant="dense")
            best = str(others["variant"].values[others.values.argmin()])
            assert f"{float(others.min()):.2g} nat by {best}," in line
            assert f"(dense: {float(median.sel(field=field, variant='dense')):.2g}," in line
    if name == "masks":
        median = dataset["kl"].median("seed").drop_sel(variant="dense")
        assert f"least KL of a mask: {float(median.min()):.2g} nat by " in text


def test_the_answer_of_a_study_is_the_fewest_weights_at_twice_the_kl() -> None:
    rows = [(20, 0.0, 0.010), (15, 0.25, 0.019), (10, 0.5, 0.021), (8, 0.6, 0.020), (4, 0.8, 0.3)]
    names = ("weights_kept", "fraction_pruned", "kl")
    levels = [dict(zip(names, row, strict=True)) for row in rows]
    study = xr.Dataset(attrs={"sites": 5, "hidden": 4})
    found = _study({"levels": levels}, study)
    assert found.startswith("8 of 20 weights (60% pruned) keep KL within twice")
    assert "(0.01 nat)" in found
    levels[0]["kl"] = float("nan")
    assert "not known" in _study({"levels": levels}, study)
