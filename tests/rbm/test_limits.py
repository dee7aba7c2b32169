"""Each limit of a size is inclusive; small ones stand in for those of `core/limits.py`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from machines import random_rbm
from psiprune.core.exceptions import InputError
from psiprune.rbm import gibbs, init, likelihood, masks, model
from psiprune.rbm.likelihood import model_moments


@pytest.mark.parametrize(
    ("module", "limit", "least", "call"),
    [
        (gibbs, "EXACT_DRAW_UNITS", 3, lambda n: random_rbm(n, 5).sample_exact(1)),
        (gibbs, "EXACT_DRAW_UNITS", 3, lambda n: random_rbm(5, n).sample_exact(1)),
        (model, "TABLE_SITES", 3, lambda n: random_rbm(n, 2).log_prob_all()),
        (model, "PARTITION_UNITS", 3, lambda n: random_rbm(n, 5).log_partition()),
        (model, "PARTITION_UNITS", 3, lambda n: random_rbm(5, n).log_partition()),
        (
            likelihood,
            "EXACT_GRADIENT_UNITS",
            3,
            lambda n: model_moments(random_rbm(n, 5)),
        ),
        (
            likelihood,
            "EXACT_GRADIENT_UNITS",
            3,
            lambda n: model_moments(random_rbm(5, n)),
        ),
        (init, "RBM_WEIGHTS", 6, lambda n: init.initial_rbm(2, n // 2, seed=0)),
        (masks, "MOST_PAIRS", 6, lambda n: masks.random_mask(2, n // 2, 1, seed=0)),
    ],
)
def test_the_largest_size(
    module: object,
    limit: str,
    least: int,
    call: Callable[[int], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, limit, least)
    call(least)
    with pytest.raises(InputError):
        call(least + 2)
