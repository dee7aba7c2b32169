"""Fit an RBM to shots; one file per method."""
