"""An RBM tells whether its training began with another one, so no ensemble like it can be made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import psiprune as pp
from psiprune.pruning.held_out import how_trained
from psiprune.pruning.search import dense_limit
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.training.method import Method
from psiprune.training.train import new_rbm
from refusals import check_refusal, refuses
from tiny import call, refusal

BITS = np.random.default_rng(0).integers(0, 2, (200, 6), dtype=np.uint8)
SHORT = pp.CD(epochs=2, steps=1)


def trained() -> RBM:
    return pp.train(BITS, hidden=3, seed=1, method=SHORT)


def test_training_from_initial_weights_names_no_start() -> None:
    methods: tuple[Method, ...] = (SHORT, pp.NaturalGradient(epochs=1, steps=1, chains=50))
    for chosen in methods:
        start = new_rbm(pp.Shots(BITS), 3, 1, chosen.INITIAL[0])
        given = pp.train(BITS, start=start, seed=1, method=chosen)
        assert dict(given.provenance) == dict(
            pp.train(BITS, hidden=3, seed=1, method=chosen).provenance
        )
        assert how_trained(given) == (1, chosen, chosen.INITIAL[0])


def test_training_on_names_its_start_and_gives_no_limit(tmp_path: Path) -> None:
    first = trained()
    own = RBM(first.weights, first.visible_bias, first.hidden_bias)  # told by nobody
    untrained_no_more = pp.train(BITS, start=first, method=pp.CD(epochs=0))
    for rbm in (pp.train(BITS, start=first, method=SHORT), untrained_no_more):
        assert (
            rbm.provenance["start"]
            == pp.train(BITS, start=own, method=pp.CD(epochs=0)).provenance["start"]
        )
        kept = load_rbm(rbm.save(tmp_path / f"{len(list(tmp_path.iterdir()))}.nc"))
        with refuses("limit", "continued"):
            dense_limit(kept, BITS, measure=lambda _: 0.0)


def test_the_start_from_a_file_of_epoch_0_is_new(tmp_path: Path) -> None:
    start = load_rbm(initial_rbm(6, 3, seed=1).save(tmp_path / "new.nc"))
    assert "start" not in pp.train(BITS, start=start, seed=1, method=SHORT).provenance


def test_a_dense_level_gives_no_limit(tmp_path: Path) -> None:
    shots = pp.Shots(BITS).save(tmp_path / "shots.nc")
    rbm = trained().save(tmp_path / "rbm.nc")
    path = tmp_path / "path"
    assert call("prune", rbm, shots, "--fraction=0.01", "--levels=1", "-o", path).status == 0
    level = path / "level-01.nc"
    assert load_rbm(level).mask.all()
    until = ("--until=log_likelihood_loss", "-o", tmp_path / "small")
    message = refusal(call("prune", level, shots, *until))
    check_refusal(message, "limit", "continued")
