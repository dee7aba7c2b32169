"""Settings of the training methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field

from psiprune.core.limits import EXACT_GRADIENT_UNITS, FISHER_PARAMETERS
from psiprune.core.settings import Settings


class TrainSettings(Settings):
    """How an RBM is fitted to shots."""

    method: Literal["cd", "pcd", "natural", "exact"] | None = Field(
        default=None,
        description="contrastive divergence from the data or from persistent chains, or natural "
        "gradient with averages over chains or over all states (a layer of at most 18 units); by "
        "size if not given: cd with such a layer, else natural up to 20,000 parameters, else pcd",
    )
    epochs: int = Field(
        default=500,
        ge=0,
        description="passes over all shots; natural: steps, 150 if not given; exact: at most so "
        "many steps",
    )
    batch_size: int = Field(
        default=100,
        ge=1,
        description="shots, and Gibbs chains, an update; natural: chains, 10000 if not given",
    )
    cd_steps: int = Field(
        default=10,
        ge=1,
        description="Gibbs steps of the negative phase, the k of CD-k; natural: 30 if not given",
    )
    learning_rate: float = Field(
        default=0.1,
        gt=0,
        le=1000,
        description="learning rate of the first epoch; natural: 0.3 if not given",
    )
    learning_rate_decay: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="learning rate of the last epoch over that of the first; natural: 0.05 if not "
        "given",
    )
    momentum: float = Field(
        default=0.0, ge=0, lt=1, description="share of the last step kept in the next (cd, pcd)"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty on weights, not on biases"
    )
    initial: Literal["random", "local"] = Field(
        default="random",
        description="weights before training: random, or each hidden unit on one site and those "
        "the data correlate with it; natural: local if not given",
    )

    # What `natural` puts in the place of defaults that were made for cd.
    _natural: ClassVar[Mapping[str, object]] = {
        "epochs": 150,
        "batch_size": 10_000,
        "cd_steps": 30,
        "learning_rate": 0.3,
        "learning_rate_decay": 0.05,
        "initial": "local",
    }

    def for_size(self, visible: int, hidden: int) -> Self:
        """The settings with the method chosen by size, and the defaults of that method."""
        method: str | None = self.method
        if method is None:
            parameters = visible * hidden + visible + hidden
            large = "natural" if parameters <= FISHER_PARAMETERS else "pcd"
            method = "cd" if min(visible, hidden) <= EXACT_GRADIENT_UNITS else large
        defaults = self._natural if method == "natural" else {}
        return type(self)(**{**defaults, **self.model_dump(exclude_unset=True), "method": method})


class FineTuneSettings(TrainSettings):
    """How an RBM is trained on after some of its weights were removed."""

    epochs: int = Field(
        default=30,
        ge=0,
        description="passes over all shots at each level; natural: steps, 20 if not given",
    )
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        le=1000,
        description="learning rate of a level's first epoch; natural: 0.2 if not given",
    )
    learning_rate_decay: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="learning rate of a level's last epoch over that of its first",
    )

    _natural: ClassVar[Mapping[str, object]] = {
        "epochs": 20,
        "batch_size": 10_000,
        "cd_steps": 30,
        "learning_rate": 0.2,
    }
