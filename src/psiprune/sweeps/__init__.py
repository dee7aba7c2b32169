"""Studies over a grid, stage by stage, on one process, all cores or a cluster."""
