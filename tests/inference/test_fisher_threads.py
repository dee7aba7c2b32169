"""Called directly, the Fisher matrix and the divergence hold BLAS to one thread, for equal bits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from psiprune.inference import fisher
from psiprune.inference.fisher import model_fisher
from psiprune.pruning.optimal_brain_surgeon import divergence_from
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.likelihood import unique_configurations
from psiprune.rbm.model import RBM

BITS = np.random.default_rng(0).integers(0, 2, (100, 6), dtype=np.uint8)


def blas_threads() -> int:
    return max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")


@pytest.fixture
def two_threads() -> Iterator[None]:
    if os.cpu_count() == 1:
        pytest.skip("one core has one thread in any case")
    with threadpool_limits(limits=2, user_api="blas"):
        assert blas_threads() == 2
        yield


@pytest.mark.usefixtures("two_threads")
def test_the_fisher_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for name in ("basis_fisher", "sample_fisher"):

        def noted(*_: object) -> None:
            seen.append(blas_threads())

        monkeypatch.setattr(fisher, name, noted)
    rbm = initial_rbm(6, 3, seed=0)
    model_fisher(rbm, draws=100, seed=0)
    model_fisher(rbm, draws=100, seed=0, samples=unique_configurations(BITS))
    assert seen == [1, 1]


@pytest.mark.usefixtures("two_threads")
def test_the_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for name in ("log_prob_all", "log_prob_unnormalized"):
        plain = getattr(RBM, name)

        def noted(*arguments: object, plain: object = plain) -> object:
            seen.append(blas_threads())
            return plain(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(RBM, name, noted)
    rbm = initial_rbm(6, 3, seed=0)
    for samples in (None, unique_configurations(BITS)):
        divergence_from(rbm, draws=100, seed=0, samples=samples)(rbm)
    assert len(seen) >= 4
    assert set(seen) == {1}
