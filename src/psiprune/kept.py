"""Whether this process keeps what it finishes, so that the same command can go on from there.

What ends a command from outside, Ctrl-C or a full disk, is told in one line, and the line says what
becomes of the work. Only those that write run folders and checkpoints know that.
"""

from __future__ import annotations

_keeps = False


def note_kept() -> None:
    """From now on what is finished stays: a run folder or a result with checkpoints is open."""
    global _keeps
    _keeps = True


def is_kept() -> bool:
    """Whether `note_kept` was called since the command began; also after its folder is closed."""
    return _keeps


def forget_kept() -> None:
    """Begin another command."""
    global _keeps
    _keeps = False
