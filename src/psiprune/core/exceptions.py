"""Exceptions of psiprune; all derive from `PsipruneError`."""

from __future__ import annotations


class PsipruneError(Exception):
    """Base class of all exceptions of psiprune. The message is one line."""


class InputError(PsipruneError, ValueError):
    """Bad input: the message names the argument or file, the rule, the value and the way out."""


class DivergenceError(PsipruneError, RuntimeError):
    """A parameter left the finite numbers during training."""


class ConvergenceError(PsipruneError, RuntimeError):
    """A ground state was not found to the accuracy that everything built on it relies on."""


class TrainingWarning(UserWarning):
    """A trained RBM misses its own training shots, or its chains stopped mixing."""


class CacheWarning(UserWarning):
    """Compiled code cannot be stored where it should be, so programs start more slowly."""
