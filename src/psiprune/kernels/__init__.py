"""Compiled loops; the only package that knows how units are laid out in memory."""
