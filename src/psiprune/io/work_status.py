"""What happens to this process's work if it ends now: can the same command resume it?

Ctrl-C and a full disk are reported in one line, which says whether the work can be resumed. Only
the code that writes run folders, checkpoints and files knows. This module imports only the standard
library, because the signal handler needs it before anything else is loaded.
"""

from __future__ import annotations

from typing import Literal

WorkStatus = Literal["not begun", "kept", "lost"]
_status: WorkStatus = "not begun"


def note_kept() -> None:
    """Record that a run folder or a checkpointed result is open, so finished work survives."""
    global _status
    _status = "kept"


def note_lost() -> None:
    """Record that a file is being made of which nothing survives, unless a run folder is open."""
    global _status
    if _status == "not begun":
        _status = "lost"


def note_status(status: WorkStatus) -> None:
    """Record that the work is again as it was before a result was begun that has left nothing."""
    global _status
    _status = status


def work_status() -> WorkStatus:
    """Return what was recorded since the command began; also after its files are closed."""
    return _status


def reset_work_status() -> None:
    """Begin another command."""
    global _status
    _status = "not begun"
