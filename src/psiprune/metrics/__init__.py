"""Metrics of an RBM against a reference state or against shots."""
