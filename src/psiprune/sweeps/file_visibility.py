"""Wait for files on a shared disk, which another node may see late because it caches folders."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from psiprune.sweeps.stages import Step

#: Seconds until a file that must be there counts as missing, and between looks.
LATE, LOOK = 30.0, 1.0


def look_again(stage: Step, root: Path) -> bool:
    """Whether a stage is there, by folders that are listed anew."""
    for folder in (root, root / stage.kind, stage.folder(root)):
        with suppress(OSError):
            os.listdir(folder)  # noqa: PTH208, as what was known of it goes by that
    return stage.done(root)


def appears(stage: Step, root: Path) -> bool:
    """Wait for a stage that another machine has just made; whether it came."""
    limit = time.monotonic() + LATE
    while not look_again(stage, root):
        if time.monotonic() > limit:
            return False
        time.sleep(LOOK)
    return True
