"""One writer at a time: a lock of the system and, where there is none, files that name their owner.

A lock of the system (flock) ends with its process; its file also names the owner, for messages. A
file system without flock (NFS without its lock service, Lustre mounted without it) has only files
.LOCK.TOKEN.owner: each start publishes its own and then looks for those of others, so of two starts
at least one sees the other and gives way. No name is used twice, so the file of a process that is
gone can be deleted without a race.
"""

from __future__ import annotations

import errno
import glob
import json
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import write_bytes

_LOG = logging.getLogger(__name__)
#: What flock fails with where it is missing or its lock service does not answer.
_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
#: Two starts at the same moment may both give way; each then tries again after a random time.
_ATTEMPTS, _LONGEST_WAIT = 3, 0.2


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock.

    Attributes:
        host: name of its machine.
        place: identifies the machine and the container, in which process ids are unique.
        process: process id.
        started: identifies the process among all that have ever had this id; "" if unknown.
        since: when it took the lock, local time.
    """

    host: str
    place: str
    process: int
    started: str
    since: str

    def __str__(self) -> str:
        """Return a description for messages."""
        return f"process {self.process} on {self.host} since {self.since}"

    @property
    def here(self) -> bool:
        """Whether its process id means the same process here."""
        return (self.host, self.place) == (socket.gethostname(), _place())

    @property
    def gone(self) -> bool:
        """Whether it has certainly ended; False for one on another machine."""
        if not self.here:
            return False
        now = _start_of(self.process)
        return now is None or (now != self.started and "" not in (now, self.started))


@contextmanager
def locked(lock: Path, what: Path, kind: str, keep: bool) -> Iterator[None]:
    """Hold a lock on `what`, a "run" or a "file", for the block; `keep` leaves an empty file.

    Raises:
        InputError: another process holds it; nothing was changed.
        OSError: the folder cannot be written.
    """
    _refuse_live(_claims(lock, lock), what, kind)  # before a lock file is made
    try:
        system = _lock_of_system(lock)
    except Timeout:
        raise _busy(what, kind, _read_owner(lock)) from None
    except OSError as error:  # name the user's file, not the lock
        raise OSError(error.errno, error.strerror, str(what)) from None
    own = lock if system else lock.with_name(f"{lock.name}.{secrets.token_hex(4)}.owner")
    try:
        gone = _publish(own, lock, what, kind)
        for file, owner in gone.items():
            _LOG.warning("%s: took over the lock of %s, which has ended", what, owner)
            file.unlink(missing_ok=True)
        try:
            yield
        finally:
            if own != lock:
                own.unlink(missing_ok=True)
            if not keep:
                lock.unlink(missing_ok=True)
            elif own == lock:
                with suppress(OSError):
                    os.truncate(lock, 0)
    finally:
        if system:
            system.release()


def refuse_locked(lock: Path, what: Path, kind: str) -> None:
    """Raise `InputError` if another process holds the lock; nothing is changed."""
    try:
        system = _lock_of_system(lock) if lock.exists() else None
    except Timeout:
        raise _busy(what, kind, _read_owner(lock)) from None
    except OSError:  # a read-only folder
        return
    if system:
        system.release()
    _refuse_live(_claims(lock, lock if system else None), what, kind)


def _lock_of_system(lock: Path) -> FileLock | None:
    """Take the lock of the system; None where the file system has none. `Timeout` if it is held."""
    holder = FileLock(lock, timeout=0, fallback_to_soft=False)
    try:
        holder.acquire()
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        return None
    return holder


def _publish(own: Path, lock: Path, what: Path, kind: str) -> dict[Path, Owner | None]:
    """Write the owner to `own`; return the files of owners that are gone."""
    process = os.getpid()
    started, since = _start_of(process) or "", time.strftime("%Y-%m-%d %H:%M:%S")
    ours = Owner(socket.gethostname(), _place(), process, started, since)
    content = json.dumps(asdict(ours)).encode()
    for attempt in range(_ATTEMPTS):
        _refuse_live(_claims(lock, own), what, kind)
        if own == lock:
            with suppress(OSError):  # only messages need it
                own.write_bytes(content)
        else:
            try:
                write_bytes(own, content)
            except OSError as error:  # name the user's file, not the lock
                raise OSError(error.errno, error.strerror, str(what)) from None
        claims = _claims(lock, own)
        try:
            _refuse_live(claims, what, kind)
        except InputError:
            if own != lock:
                own.unlink()
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, _LONGEST_WAIT))
        else:
            break
    return claims


def _claims(lock: Path, own: Path | None) -> dict[Path, Owner | None]:
    """Return the files of other owners, None for one that cannot be read."""
    files = [*lock.parent.glob(f"{glob.escape(lock.name)}.*.owner")]
    if own != lock and lock.exists() and lock.stat().st_size > 0:
        files.append(lock)  # of a machine on which the same folder has flock
    return {file: _read_owner(file) for file in sorted(files) if file != own}


def _refuse_live(claims: dict[Path, Owner | None], what: Path, kind: str) -> None:
    """Raise `InputError` for the first owner that may still run."""
    for file, owner in claims.items():
        if owner is None or not owner.gone:
            raise _busy(what, kind, owner, file)


def _busy(what: Path, kind: str, owner: Owner | None, claim: Path | None = None) -> InputError:
    """Return the error, with the way to release a lock that the system will not release."""
    # A lock may just have been taken from a process that has ended.
    named = "" if owner is None or owner.gone else f" ({owner})"
    text = f"{what}: another process writes to this {kind}{named}; wait for it to end"
    if claim is not None and owner is None:
        text += f", or, if none does, delete {claim}"
    elif claim is not None and owner is not None and not owner.here:
        text += f"; if it has ended (ps -p {owner.process} on {owner.host}), delete {claim}"
    return InputError(text)


def _read_owner(file: Path) -> Owner | None:
    """Return the owner that a file names; None if it names none."""
    try:
        owner = Owner(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return owner if isinstance(owner.process, int) else None


def _place() -> str:
    """Return what identifies this machine and, in a container, its process ids."""
    parts = []
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _start_of(process: int) -> str | None:
    """Return boot and clock tick at which a process began, "" if unknown; None if it has ended."""
    if os.name == "nt":  # where the next line would send Ctrl-C
        return ""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:  # of another user
        pass
    try:
        # After the name in parentheses, which may hold blanks: state, ..., start (proc(5)).
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"
