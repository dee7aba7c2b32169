__all__ = [
    "CD",
    "MPS",
    "PCD",
    "RBM",
    "TFIM",
    "TFIM2D",
    "XXZ",
    "AblationSettings",
    "BasesSettings",
    "Confusion",
    "ConvergenceError",
    "DivergenceError",
    "Entanglement",
    "EntanglementSettings",
    "ExactNaturalGradient",
    "FrontierSettings",
    "Hamiltonian",
    "Identifiability",
    "InputError",
    "IsingChain",
    "Level",
    "LogPartition",
    "MaskChoice",
    "MasksSettings",
    "Measure",
    "NaturalGradient",
    "PauliBases",
    "PhaseLevel",
    "PhaseRBM",
    "PhaseReconstruction",
    "PhaseReport",
    "PruneSettings",
    "PsipruneError",
    "QMCSample",
    "ReadoutError",
    "ReadoutSensitivity",
    "ReconstructSettings",
    "Reconstruction",
    "Report",
    "Rydberg",
    "Shots",
    "ShotsReport",
    "Smallest",
    "SparseSettings",
    "StudySettings",
    "Sweep",
    "SweepSettings",
    "TrainingWarning",
    "break_clusters",
    "calibrate_readout",
    "choose_mask",
    "cluster_mask",
    "correlation_mask",
    "describe",
    "entanglement",
    "evaluate",
    "evaluate_on_shots",
    "evaluate_phases",
    "exclude_clusters",
    "exclude_matched_control",
    "export_rbm",
    "export_shots",
    "find_clusters",
    "find_smallest",
    "find_symmetry",
    "ground_state",
    "identifiability",
    "join_shots",
    "lattice_positions",
    "load_mps",
    "load_phase_rbm",
    "load_rbm",
    "load_reconstruction",
    "log_partition",
    "mask_for_shots",
    "measure_observables",
    "mps_from_tensors",
    "mps_from_vector",
    "nearest_mask",
    "plot_clusters",
    "plot_path",
    "plot_rbm",
    "plot_study",
    "power_law_mask",
    "pretraining_mask",
    "prune",
    "prune_phases",
    "quantum_monte_carlo",
    "quench",
    "random_mask",
    "randomly_turned",
    "read_amplitudes",
    "read_hamiltonian",
    "read_readout",
    "read_shots",
    "readout_sensitivity",
    "reconstruct",
    "rewire",
    "run_ablation",
    "run_entanglement",
    "run_frontier",
    "run_masks",
    "run_sparse",
    "run_study",
    "sample",
    "scale_free_mask",
    "sweep",
    "train",
    "train_phases",
    "turn_sites",
    "twisted",
    "vertex_cut",
]

from .core.exceptions import (
    ConvergenceError,
    DivergenceError,
    InputError,
    PsipruneError,
    TrainingWarning,
)
from .data.calibration import calibrate_readout
from .data.confusion import Confusion
from .data.export import export_shots
from .data.join_shots import join_shots
from .data.pauli_bases import PauliBases
from .data.read_shots import read_shots
from .data.readout_error import ReadoutError
from .data.readout_files import read_readout
from .data.shots import Shots
from .experiments.ablation import run_ablation
from .experiments.entanglement import run_entanglement
from .experiments.entanglement_settings import EntanglementSettings
from .experiments.figures.study import plot_study
from .experiments.frontier import run_frontier
from .experiments.masks import run_masks
from .experiments.masks_settings import MasksSettings
from .experiments.settings import AblationSettings, FrontierSettings, SparseSettings, StudySettings
from .experiments.sparse import run_sparse
from .experiments.study import run_study
from .inference.log_partition import LogPartition, log_partition
from .inspect.describe import describe
from .metrics.against_shots import evaluate_on_shots
from .metrics.against_state import evaluate
from .metrics.entanglement import Entanglement, entanglement
from .metrics.measure import Measure
from .metrics.measured import measure_observables
from .metrics.phase_report import PhaseReport, evaluate_phases
from .metrics.readout import ReadoutSensitivity, readout_sensitivity
from .metrics.shots_report import ShotsReport
from .metrics.state_report import Report
from .pruning.before_training import pretraining_mask
from .pruning.choose_mask import MaskChoice, choose_mask
from .pruning.iterative import Level, prune
from .pruning.phases import PhaseLevel, prune_phases
from .pruning.rewire import rewire
from .pruning.search import Smallest, find_smallest
from .pruning.settings import PruneSettings
from .rbm.clusters import find_clusters
from .rbm.export import export_rbm
from .rbm.mask_for_shots import mask_for_shots
from .rbm.masks import (
    break_clusters,
    cluster_mask,
    exclude_clusters,
    exclude_matched_control,
    random_mask,
)
from .rbm.model import RBM
from .rbm.near_masks import correlation_mask, nearest_mask
from .rbm.phase import PhaseRBM, load_phase_rbm
from .rbm.scale_free import power_law_mask, scale_free_mask
from .rbm.serialization import load_rbm
from .rbm.vertex_cut import vertex_cut
from .reconstruction.api import reconstruct
from .reconstruction.bases.result import PhaseReconstruction
from .reconstruction.bases.settings import BasesSettings
from .reconstruction.identifiability import Identifiability, identifiability
from .reconstruction.result import Reconstruction, load_reconstruction
from .reconstruction.settings import ReconstructSettings
from .reporting.graph_figure import plot_rbm
from .reporting.path_figure import plot_path
from .reporting.weights_figure import plot_clusters
from .states.amplitudes import read_amplitudes
from .states.dmrg import ground_state
from .states.evolution import quench
from .states.hamiltonian import Hamiltonian, read_hamiltonian
from .states.lattices import lattice_positions
from .states.local_unitaries import randomly_turned, turn_sites, twisted
from .states.mps import MPS, load_mps, mps_from_tensors, mps_from_vector
from .states.qmc import QMCSample, quantum_monte_carlo
from .states.sampling import sample
from .states.spin_models import TFIM2D, XXZ, IsingChain, Rydberg
from .states.tfim import TFIM
from .sweeps.api import Sweep, sweep
from .sweeps.settings import SweepSettings
from .training.cd import CD
from .training.exact_natural_gradient import ExactNaturalGradient
from .training.found_symmetry import find_symmetry
from .training.natural_gradient import NaturalGradient
from .training.pcd import PCD
from .training.phases import train_phases
from .training.train import train
