"""What becomes of this process's work if it ends now: the same command may resume from it.

Ctrl-C and a full disk are reported in one line, which says what becomes of the work. Only the code
that writes run folders, checkpoints and files knows. This module imports only the standard library,
because the signal handler needs it before anything else is loaded.
"""

from __future__ import annotations

from typing import Literal

Fate = Literal["not begun", "kept", "lost"]
_fate: Fate = "not begun"


def note_kept() -> None:
    """From now on what is finished stays: a run folder or a result with checkpoints is open."""
    global _fate
    _fate = "kept"


def note_lost() -> None:
    """From now on a file is made of which nothing stays before it is whole, unless it is kept."""
    global _fate
    if _fate == "not begun":
        _fate = "lost"


def fate() -> Fate:
    """What was noted since the command began; also after its files are closed."""
    return _fate


def forget_kept() -> None:
    """Begin another command."""
    global _fate
    _fate = "not begun"
