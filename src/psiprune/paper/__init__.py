"""Reproduce Golubeva & Melko 2022: stages, claims, figures, report."""
