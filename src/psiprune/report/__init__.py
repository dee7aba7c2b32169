"""Reports: what was found, on one HTML page that needs nothing else."""
