"""Training warnings repeated from the files of a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psiprune as pp
from psiprune.experiments.named_warnings import collected_warnings, repeat_warnings_of_run
from psiprune.rbm.init import initial_rbm


def test_each_file_is_named_as_its_training_was(tmp_path: Path) -> None:
    rbm, warned = initial_rbm(4, 2, 0), {"training_warnings": "misses it; train longer\nfrozen"}
    for name, provenance in (
        ("h=0.5/seed-0/level-00", warned),
        ("h=0.5/seed-0/level-01", warned),  # not fine-tuned, so with the provenance of level 0
        ("h=0.5/seed-0/sp-ss", {}),
        ("h=1/seed-12/dense", {"training_warnings": "frozen"}),
        ("h=1/seed-12/sp-ss", {"training_warnings": "frozen"}),
    ):
        file = tmp_path / f"{name}.nc"
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(rbm, provenance=provenance).save(file)
    # What is finished needs a damaged file no more.
    (tmp_path / "h=1/seed-12/damaged.nc").write_bytes(b"nothing")
    with collected_warnings() as texts:
        repeat_warnings_of_run(tmp_path)
    assert texts == [
        "h=0.5, seed 0: misses it; train longer",
        "h=0.5, seed 0: frozen",
        "h=1, seed 12: frozen",
        "h=1, seed 12, sp-ss: frozen",
    ]
    (line,) = (each.line for each in pp.describe(file).warnings if each.name == "training")  # type: ignore[union-attr]
    assert line == "frozen"
