"""Reports and datasets -> plain text and plain numbers for a terminal or a JSON reader."""

from psiprune.tables.ablation import ablation_numbers, ablation_text
from psiprune.tables.clusters import clusters_numbers, clusters_text
from psiprune.tables.common import align, number
from psiprune.tables.frontier import frontier_numbers, frontier_text
from psiprune.tables.info import description_numbers, description_text
from psiprune.tables.paper import schedule_numbers, schedule_text
from psiprune.tables.reconstruct import reconstruct_numbers, reconstruct_text
from psiprune.tables.report import report_numbers, report_text
from psiprune.tables.shots import shots_report_numbers, shots_report_text
from psiprune.tables.smallest import smallest_numbers, smallest_text
from psiprune.tables.sparse import sparse_numbers, sparse_text
from psiprune.tables.study import smallest_of_study, study_numbers, study_text
from psiprune.tables.sweep import (
    plan_numbers,
    plan_text,
    points_text,
    rows_numbers,
    rows_text,
    sweep_numbers,
    sweep_text,
)

__all__ = [
    "ablation_numbers",
    "ablation_text",
    "align",
    "clusters_numbers",
    "clusters_text",
    "description_numbers",
    "description_text",
    "frontier_numbers",
    "frontier_text",
    "number",
    "plan_numbers",
    "plan_text",
    "points_text",
    "reconstruct_numbers",
    "reconstruct_text",
    "report_numbers",
    "report_text",
    "rows_numbers",
    "rows_text",
    "schedule_numbers",
    "schedule_text",
    "shots_report_numbers",
    "shots_report_text",
    "smallest_numbers",
    "smallest_of_study",
    "smallest_text",
    "sparse_numbers",
    "sparse_text",
    "study_numbers",
    "study_text",
    "sweep_numbers",
    "sweep_text",
]
