"""Log records on standard error: those that PSIPRUNE_LOG asks for, and stages of long runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from psiprune.core.exceptions import InputError
from psiprune.core.text import escape

#: The values of the environment variable PSIPRUNE_LOG.
LOG_LEVELS = ("info", "warning", "error")


@contextmanager
def logged_as_asked() -> Iterator[None]:
    """Log to standard error from the level in PSIPRUNE_LOG.

    Without it, print only warnings about run folders (other code resumes a run, the lock of a dead
    process is taken over), as no result contains them.
    """
    level = os.environ.get("PSIPRUNE_LOG", "")
    if level and level.lower() not in LOG_LEVELS:
        raise InputError(f"PSIPRUNE_LOG: must be one of {', '.join(LOG_LEVELS)}, found {level!r}")
    if level:
        form = _Escaped("%(asctime)s %(levelname)s %(name)s: %(message)s")
        with _shown("psiprune", logging.getLevelNamesMapping()[level.upper()], form):
            yield
    else:
        form = _Escaped("psiprune: warning: %(message)s")
        with _shown("psiprune.io", logging.WARNING, form):
            yield


@contextmanager
def stages_logged() -> Iterator[None]:
    """Print a line with the time for each stage of `psiprune paper`, unless PSIPRUNE_LOG is set.

    In a cluster job these lines are the only sign of progress.
    """
    if os.environ.get("PSIPRUNE_LOG", ""):
        yield
        return
    form = _Escaped("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    with _shown("psiprune.paper.stages", logging.INFO, form):
        yield


class _Escaped(logging.Formatter):
    """Records may name files and what they hold."""

    def format(self, record: logging.LogRecord) -> str:
        return escape(super().format(record), keep="\n")


@contextmanager
def _shown(name: str, level: int, form: logging.Formatter) -> Iterator[None]:
    logger, handler = logging.getLogger(name), logging.StreamHandler()
    handler.setFormatter(form)
    handler.setLevel(level)
    before = logger.level
    if not logger.isEnabledFor(level):
        logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
