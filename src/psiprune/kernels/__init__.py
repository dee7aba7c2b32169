"""Compiled loops; the only package that knows the memory layout of units."""
