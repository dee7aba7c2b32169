"""Files, checkpoints, run folders and provenance."""
