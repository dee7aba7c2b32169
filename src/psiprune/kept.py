"""What becomes of the work of this process, if it ends here: the same command may go on from it.

What ends a command from outside, Ctrl-C or a full disk, is told in one line, and the line says what
becomes of the work. Only those that write run folders, checkpoints and files know that; before they
have begun nothing is written, but an earlier start may have left something.
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
