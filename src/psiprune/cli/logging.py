"""Records of the logging module on standard error: those asked for, and stages of long runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from psiprune.core.exceptions import InputError

#: What the environment variable PSIPRUNE_LOG may be.
LOG_LEVELS = ("info", "warning", "error")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def logged_as_asked() -> Iterator[None]:
    """Records of psiprune on standard error, from the level that PSIPRUNE_LOG names.

    Without it only warnings that a run folder is taken up by other code.
    """
    level = os.environ.get("PSIPRUNE_LOG", "")
    if not level:
        with _warned():
            yield
        return
    if level.lower() not in LOG_LEVELS:
        raise InputError(f"PSIPRUNE_LOG: must be one of {', '.join(LOG_LEVELS)}, found {level!r}")
    with _shown("psiprune", level.upper(), logging.Formatter(_FORMAT)):
        yield


@contextmanager
def _warned() -> Iterator[None]:
    """Warnings about run folders, which stand in no result, also where no records are asked for."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("psiprune: warning: %(message)s"))
    logger = logging.getLogger("psiprune.io.run")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def stages_logged() -> Iterator[None]:
    """A line with the time for each stage of `psiprune paper`, unless PSIPRUNE_LOG says otherwise.

    Of a job on a cluster these lines are all that tells how far it is.
    """
    if os.environ.get("PSIPRUNE_LOG", ""):
        yield
        return
    lines = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    with _shown("psiprune.paper.stages", "INFO", lines):
        yield


@contextmanager
def _shown(name: str, level: str, form: logging.Formatter) -> Iterator[None]:
    logger, handler = logging.getLogger(name), logging.StreamHandler()
    handler.setFormatter(form)
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
