__all__ = [
    "MPS",
    "RBM",
    "TFIM",
    "AblationSettings",
    "Diverged",
    "FineTuneSettings",
    "FrontierSettings",
    "InputError",
    "Level",
    "LogPartition",
    "Measure",
    "NotConverged",
    "PruneSettings",
    "ReconstructSettings",
    "Reconstruction",
    "Report",
    "Shots",
    "ShotsReport",
    "Smallest",
    "SparseSettings",
    "StudySettings",
    "Sweep",
    "SweepSettings",
    "TrainSettings",
    "break_clusters",
    "cluster_mask",
    "describe",
    "evaluate",
    "evaluate_on_shots",
    "export_rbm",
    "export_shots",
    "find_clusters",
    "find_smallest",
    "forbid",
    "forbid_others",
    "ground_state",
    "join_shots",
    "load_mps",
    "load_rbm",
    "log_partition",
    "mps_from_tensors",
    "mps_from_vector",
    "plot_clusters",
    "prune",
    "random_mask",
    "read_shots",
    "reconstruct",
    "rewire",
    "run_ablation",
    "run_frontier",
    "run_sparse",
    "run_study",
    "sample",
    "sweep",
    "train",
]

from .clusters import find_clusters
from .config import (
    AblationSettings,
    FineTuneSettings,
    FrontierSettings,
    PruneSettings,
    ReconstructSettings,
    SparseSettings,
    StudySettings,
    SweepSettings,
    TrainSettings,
)
from .description import describe
from .dmrg import NotConverged, ground_state
from .errors import Measure, Report, evaluate
from .experiments.ablation import run_ablation
from .experiments.frontier import run_frontier
from .experiments.sparse import run_sparse
from .experiments.study import run_study
from .exporting import export_rbm, export_shots
from .figures import plot_clusters
from .heldout import ShotsReport, evaluate_on_shots
from .inputs import Diverged, InputError
from .masks import break_clusters, cluster_mask, forbid, forbid_others, random_mask
from .mps import (
    MPS,
    load_mps,
    mps_from_tensors,
    mps_from_vector,
    sample,
)
from .partition import LogPartition, log_partition
from .pruning import Level, prune
from .rbm import RBM, load_rbm
from .reconstruction import Reconstruction, reconstruct
from .rewiring import rewire
from .shots import Shots, join_shots, read_shots
from .smallest import Smallest, find_smallest
from .sweeping.run import Sweep, sweep
from .tfim import TFIM
from .training import train
