"""Warnings about an RBM and shots with other readout errors, in metrics, pruning and estimators."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.metrics.rates_error import readout_warning, trained_through
from psiprune.pruning.iterative import check_readout
from refusals import refuses

RATES = [0.02, 0.04, 0.03]
ERROR = pp.ReadoutError.from_rates(RATES, RATES, errors=([0.001] * 3, [0.001] * 3))
RECORDS = pp.Shots(np.eye(3, dtype=np.uint8), readout=ERROR)
RBM = replace(random_rbm(3, 2), provenance={"readout": str(ERROR), "readout_sha256": ERROR.digest})


def test_matrices_decide_not_their_errors() -> None:
    assumed = pp.ReadoutError.from_rates(RATES, RATES)
    assert assumed.full_digest != ERROR.full_digest
    same = replace(RECORDS, readout=assumed)
    assert trained_through(RBM, assumed)
    assert readout_warning(RBM, same) == ""
    turned = replace(RECORDS, readout=pp.ReadoutError.from_rates(RATES[::-1], RATES[::-1]))
    assert "but through others of the same mean rates" in readout_warning(RBM, turned)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_readout(RBM, same)


def test_pruning_through_other_rates_warns() -> None:
    other = replace(RECORDS, readout=pp.ReadoutError.from_rates(0.2, sites=3))
    with pytest.warns(pp.TrainingWarning, match="through other readout errors"):
        check_readout(RBM, other)
    with pytest.warns(pp.TrainingWarning, match="carries none"):
        check_readout(RBM, replace(RECORDS, readout=None))


def test_rewiring_refuses_an_rbm_of_misread_shots() -> None:
    sparse = RBM.with_mask(np.array([[True, False, True], [False, True, True]]))
    sparse = replace(sparse, provenance=RBM.provenance)
    with refuses("rbm", "readout errors", "prune it with --readout"):
        pp.rewire(sparse, RECORDS.bits)
