"""Reproduce Golubeva & Melko 2021: stages, claims, figures, report."""
