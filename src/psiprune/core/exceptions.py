"""Exceptions of psiprune."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input, told in one line: which argument or file, the rule, the value, the way out."""


class Diverged(RuntimeError):
    """Training left the finite numbers; told in one line with the way out."""


class NotConverged(RuntimeError):
    """A ground state was not found to the accuracy that everything built on it relies on."""
