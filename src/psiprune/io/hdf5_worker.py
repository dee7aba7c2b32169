"""The process that reads HDF5 files for another one, which no file can then take down.

It loads h5py and forks a process that reads files, within limits of memory and time. After a file
that cannot be read, whose traces might spoil the next one, it forks another. Where there is no fork
(Windows), it reads the files itself and is started again.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from typing import Any

from psiprune.io.hdf5_checks import MOST_PACKED
from psiprune.io.hdf5_wire import open_reader, outcome, receive, send

_IN, _OUT = 0, 1
READY, BEGIN = b"ready\n", b"\n"
#: The exit status for a reader that was ended by signal number n is this + n.
BY_SIGNAL = 128
_DONE, _FAILED = 0, 3
_MOST, _LEAST = 1 << 40, 1 << 27


def serve() -> None:
    """Read one file after another until the other side closes the pipe."""
    import h5py  # noqa: F401  # loaded once, for all forks

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side decides
    os.write(_OUT, READY)
    if not hasattr(os, "fork"):
        _read_files()
        return
    while True:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = _read_files()
            finally:
                os._exit(status)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            os._exit(BY_SIGNAL + os.WTERMSIG(status))
        if os.WEXITSTATUS(status) != _FAILED:
            os._exit(os.WEXITSTATUS(status))


def _read_files() -> int:
    """Read files until one fails or there are no more, and return which of the two."""
    while os.read(_IN, len(BEGIN)):
        if _read_one():
            return _FAILED
    return _DONE


def _read_one() -> bool:
    """Answer questions about one file until there are no more; return whether one failed."""
    limit, seconds, content = receive(_IN, _MOST)
    # Two more copies of the content, arrays, and what it takes to unpack and to send them. A small
    # file unpacks to little, so it gets little, whatever the limit.
    unpacked = min(limit, _LEAST + MOST_PACKED * content.nbytes)
    _restrict(2 * content.nbytes + 2 * unpacked, seconds)
    kind, reader = outcome(open_reader, content.tobytes(), limit)
    del content
    send(_OUT, (kind, None if kind == "value" else reader))
    failed = kind != "value"
    while request := receive(_IN, _MOST):
        method, *arguments = request
        kind, answer = outcome(getattr(reader, method), *arguments)
        failed |= kind != "value"
        send(_OUT, (kind, answer))
    return failed


def _restrict(memory: int, seconds: int) -> None:
    """Limit the memory that this process may take from now on, and its CPU time."""
    try:
        import resource
    except ImportError:  # Windows: the other side has a time limit
        return

    def lower(which: int, value: int) -> None:
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, hard))

    lower(resource.RLIMIT_CORE, 0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    lower(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + seconds)
    if sys.platform == "linux":  # elsewhere it is not enforced
        lower(resource.RLIMIT_DATA, _data() + memory)


def _data() -> int:
    """Return the bytes of private memory of this process, as RLIMIT_DATA counts them."""
    with open("/proc/self/status") as stream:  # noqa: PTH123  # pathlib is not loaded yet
        sizes: dict[str, Any] = dict(line.split(":", 1) for line in stream)
    return int(sizes["VmData"].split()[0]) << 10
