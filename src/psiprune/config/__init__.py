"""Every configuration, declared once: options, TOML keys, checks and help texts come from here."""

from psiprune.config.ensembles import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.config.paper import PaperSettings
from psiprune.config.pruning import (
    SEARCH_LEVELS,
    MeasureSettings,
    PathSettings,
    PruneSettings,
    RewirePathSettings,
    RewireSettings,
    SearchSettings,
    UntilSettings,
)
from psiprune.config.reconstruct import ReconstructSettings
from psiprune.config.sweep import GridSettings, QueueSettings, SweepSettings
from psiprune.config.training import (
    EXACT_GRADIENT_UNITS,
    LARGEST_FISHER,
    FineTuneSettings,
    TrainSettings,
)

__all__ = [
    "EXACT_GRADIENT_UNITS",
    "LARGEST_FISHER",
    "SEARCH_LEVELS",
    "AblationSettings",
    "EnsembleSettings",
    "FineTuneSettings",
    "FrontierSettings",
    "GridSettings",
    "MeasureSettings",
    "PaperSettings",
    "PathSettings",
    "PruneSettings",
    "QueueSettings",
    "ReconstructSettings",
    "RewirePathSettings",
    "RewireSettings",
    "SearchSettings",
    "SparseSettings",
    "StudySettings",
    "SweepSettings",
    "TrainSettings",
    "UntilSettings",
]
