"""Measured shots: container, file formats, diagnostics."""
