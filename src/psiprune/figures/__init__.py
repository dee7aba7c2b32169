"""Dataset -> figure; nothing is computed here but medians and bands over seeds."""

from psiprune.figures.ablation import plot_broken, plot_forbidden
from psiprune.figures.against_kl import plot_measures_against_kl
from psiprune.figures.clusters import plot_clusters
from psiprune.figures.decay import plot_decay
from psiprune.figures.frontier import plot_frontier
from psiprune.figures.graph import plot_graph
from psiprune.figures.order import plot_order
from psiprune.figures.reconstruct import plot_choice, plot_observables, plot_search
from psiprune.figures.save import save_figure, save_figures
from psiprune.figures.schedules import plot_schedules
from psiprune.figures.sizes import plot_sizes
from psiprune.figures.sparse import plot_sparse
from psiprune.figures.study import disconnected_at, plot_study
from psiprune.figures.sweep import plot_multiples, plot_phase_diagram, plot_prunable
from psiprune.figures.timing import plot_timing

__all__ = [
    "disconnected_at",
    "plot_broken",
    "plot_choice",
    "plot_clusters",
    "plot_decay",
    "plot_forbidden",
    "plot_frontier",
    "plot_graph",
    "plot_measures_against_kl",
    "plot_multiples",
    "plot_observables",
    "plot_order",
    "plot_phase_diagram",
    "plot_prunable",
    "plot_schedules",
    "plot_search",
    "plot_sizes",
    "plot_sparse",
    "plot_study",
    "plot_timing",
    "save_figure",
    "save_figures",
]
