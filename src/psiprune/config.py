"""Every configuration, declared once: options, TOML keys, checks and help texts come from here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from psiprune.inputs import Settings


class TrainSettings(Settings):
    """How an RBM is fitted to shots."""

    method: Literal["cd", "pcd", "exact"] = Field(
        default="cd",
        description="contrastive divergence from the data or from persistent chains, or natural "
        "gradient of the exact likelihood (needs a layer of at most 16 units)",
    )
    epochs: int = Field(
        default=500, ge=0, description="passes over all shots; exact: at most so many steps"
    )
    batch_size: int = Field(default=100, ge=1, description="shots, and Gibbs chains, an update")
    cd_steps: int = Field(
        default=10, ge=1, description="Gibbs steps of the negative phase, the k of CD-k"
    )
    learning_rate: float = Field(
        default=0.1, gt=0, le=1000, description="learning rate of the first epoch"
    )
    learning_rate_decay: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="learning rate of the last epoch over that of the first",
    )
    momentum: float = Field(
        default=0.0, ge=0, lt=1, description="share of the last step kept in the next"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="L2 penalty on weights, not on biases"
    )


class FineTuneSettings(TrainSettings):
    """How an RBM is trained on after some of its weights were removed."""

    epochs: int = Field(default=30, ge=0, description="passes over all shots at each level")
    learning_rate: float = Field(
        default=0.02, gt=0, le=1000, description="learning rate of a level's first epoch"
    )
    learning_rate_decay: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="learning rate of a level's last epoch over that of its first",
    )


class PruneSettings(Settings):
    """Which weights go, how many at a time, how often."""

    criterion: Literal["magnitude", "random"] = Field(
        default="magnitude", description="remove the weights of least magnitude, or any (a control)"
    )
    fraction: float = Field(
        default=0.1, gt=0, lt=1, description="share of the remaining weights removed"
    )
    levels: int = Field(default=20, ge=1, description="pruning steps")


class MeasureSettings(Settings):
    """How error measures are sampled."""

    draws: int = Field(
        default=100_000, ge=100, description="RBM samples behind each sampled measure"
    )


class PathSettings(Settings):
    """One pruning path on given files; the checksums tell whether they are still the same."""

    rbm: str = Field(description="SHA-256 of the RBM's file")
    shots: str = Field(description="SHA-256 of the shots' file")
    state: str | None = Field(default=None, description="SHA-256 of the reference state's file")
    seed: int = Field(default=0, ge=0, lt=2**62, description="of random pruning and of fine-tuning")
    prune: PruneSettings = Field(default_factory=PruneSettings)
    fine_tune: FineTuneSettings | None = Field(default_factory=FineTuneSettings)


class StudySettings(Settings):
    """The paper's central experiment (Fig. 2): train, prune step by step, measure the damage."""

    sites: int = Field(
        default=18, ge=2, le=4096, description="qubits, N; sums over all states up to 20"
    )
    hidden: int | None = Field(
        default=None, ge=1, description="hidden units, N_h; N/2 if not given"
    )
    coupling: float = Field(default=1.0, gt=0, description="Ising coupling J")
    fields: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 2.0), min_length=1, description="transverse fields h"
    )
    shots: int = Field(
        default=100_000, ge=1, description="size of the training set, for each field"
    )
    seed: int = Field(
        default=0, ge=0, lt=2**62, description="seed of the shots, and of the first RBM"
    )
    seeds: int = Field(default=1, ge=1, description="RBMs trained and pruned for each field")
    history_every: int = Field(
        default=10, ge=1, description="epochs between entries of the history"
    )
    train: TrainSettings = Field(default_factory=TrainSettings)
    prune: PruneSettings = Field(default_factory=PruneSettings)
    fine_tune: FineTuneSettings = Field(default_factory=FineTuneSettings)
    measure: MeasureSettings = Field(default_factory=MeasureSettings)

    @field_validator("fields")
    @classmethod
    def _each_once(cls, fields: tuple[float, ...]) -> tuple[float, ...]:
        # Folders and tables name a field by six digits.
        if len({f"{field:g}" for field in fields}) < len(fields):
            raise ValueError("each field must stand once, told apart by six digits")
        return fields

    @property
    def hidden_units(self) -> int:
        """N_h: as given, else N/2 and at least 1."""
        return self.hidden if self.hidden is not None else max(1, self.sites // 2)
