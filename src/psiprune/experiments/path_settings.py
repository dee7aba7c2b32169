"""Settings of pruning paths: of the search for the smallest RBM, and of paths on given files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from psiprune.core.settings import Seed, Seeds, Settings
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.training.methods import AnyMethod, by_size_fine_tuning, method_fields

#: Further observables of a run; None without any, so that config.toml does not list them.
RunObservables = Annotated[
    tuple[str, ...] | None,
    Field(
        default=None,
        min_length=1,
        description="further observables to measure: sums of Pauli strings such as 'X0 X3' or "
        "'sum_i Z_i Z_{i+1}', or names such as g2; NAME=TEXT names one",
    ),
]


class UntilSettings(Settings):
    """The search for the smallest RBM within a limit."""

    measure: str = Field(
        description="metric to limit, such as kl or abs_magnetization_roe, or an observable"
    )
    limit: float | None = Field(
        default=None,
        description="largest value to accept (default: the largest value in a dense ensemble)",
    )
    others: Seeds = Field(
        default=5,
        description="other RBMs to train for the dense ensemble; not in a study, whose seeds form "
        "the ensemble",
    )
    bisect: bool = Field(
        default=True,
        description="bisect between the last level within the limit and the first one above it",
    )
    draws: int = Field(default=100_000, ge=100, description="RBM samples per sampled metric")


class GivenFiles(Settings):
    """Base class of runs on given files; the checksums detect whether a file has changed."""

    rbm: str = Field(description="SHA-256 of the RBM's file")
    shots: str = Field(description="SHA-256 of the shots' file")
    state: str | None = Field(default=None, description="SHA-256 of the reference state's file")
    seed: Seed = Field(
        default=0, description="random seed of fine-tuning, of samples and of random pruning"
    )

    _methods = method_fields("fine_tune")


class PathSettings(GivenFiles):
    """One pruning path on given files."""

    rewind: str | None = Field(default=None, description="SHA-256 of the file of the RBM to rewind")
    readout_sha256: str | None = Field(
        default=None, description="SHA-256 of readout errors that replace those of the shots' file"
    )
    prune: PruneSettings = Field(default_factory=PruneSettings)
    fine_tune: AnyMethod | None = Field(default_factory=by_size_fine_tuning)
    folds: int = Field(
        default=0,
        ge=0,
        description="parts of the shots for a cross-validation of fine-tuning; 0 for none",
    )
    until: UntilSettings | None = Field(
        default=None, description="limit at which the path ends; None: after all its levels"
    )
    observable: RunObservables = None


class RewirePathSettings(GivenFiles):
    """One rewired RBM on given files."""

    rewire: RewireSettings = Field(default_factory=RewireSettings)
    fine_tune: AnyMethod = Field(default_factory=by_size_fine_tuning)
