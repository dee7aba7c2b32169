__all__ = [
    "MPS",
    "RBM",
    "TFIM",
    "Diverged",
    "InputError",
    "Level",
    "LogPartition",
    "Measure",
    "NotConverged",
    "Report",
    "Shots",
    "StudySettings",
    "TrainSettings",
    "evaluate",
    "ground_state",
    "load_mps",
    "load_rbm",
    "log_partition",
    "mps_from_tensors",
    "mps_from_vector",
    "prune",
    "read_shots",
    "run_study",
    "sample",
    "train",
]

from .config import StudySettings, TrainSettings
from .dmrg import NotConverged, ground_state
from .errors import Measure, Report, evaluate
from .experiments.study import run_study
from .inputs import InputError
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
from .shots import Shots, read_shots
from .tfim import TFIM
from .training import Diverged, train
