"""Free memory, and the part of it that one file may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: A file's data may take one part in `FRACTION` of the free memory: they are copied once on their
#: way, and what follows needs memory too.
FRACTION = 4
_UNKNOWN = 1 << 32


def free_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that this process could still take without swapping.

    The smallest of what the machine has available and what each control group above the process
    (container, batch job) leaves. Where the system does not say, half of the physical memory.
    """
    return min([_available(proc), *_left_in_groups(proc, cgroups)])


def _available(proc: Path) -> int:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # no Linux
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        except (AttributeError, OSError, ValueError):  # Windows
            return _UNKNOWN


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield what each control group of this process leaves: its limit less its use."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:  # version 2
            names, root = ("memory.max", "memory.current", "inactive_file"), cgroups
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = cgroups / "memory"
        else:
            continue
        group = root / name.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            yield from _left(folder, *names)


def _left(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    try:
        most, taken = (int((folder / name).read_text()) for name in (limit, used))
        statistics = (folder / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # not mounted, or "max"
        return
    # Cached files are given up as soon as memory is short.
    spare = sum(int(line.split()[1]) for line in statistics if line.startswith(f"{cached} "))
    yield max(0, most - taken + spare)
