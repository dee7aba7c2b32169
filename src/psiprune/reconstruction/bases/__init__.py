"""`reconstruct` for shots in several bases: states with phases."""
