"""Compiled kernels on disk: where they are stored, and how damaged ones are found.

numba's own cache fails where it can write neither beside the source nor below the home folder,
hands damaged files to LLVM, and does not notice changes of inlined code. Here each compiled
function is one file: the SHA-256 of the rest, then a pickle. Its name is a hash of everything that
the code depends on: all sources of this package, the types of the arguments and the CPU. A file
that is missing, cut short or changed is compiled again and replaced.

The files are code: they are read only from the user's own folders.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import secrets
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.environment import Environment, lookup_environment
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from platformdirs import user_cache_path

from psiprune.core.exceptions import CacheWarning

_DIGEST = 32  # bytes of a SHA-256


class KernelCache(NullCache):  # type: ignore[misc]
    """Machine code of one function for each combination of types that it was called with."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Take a function of this package."""
        self._function = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"

    @property
    def cache_path(self) -> str:
        """The folder that is tried first."""
        return str(chosen_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function for these types, or None."""
        # All that machine code needs of numba; `target_context.refresh()` would also import what
        # compiles Python, which takes a quarter of a second.
        rtsys.initialize(target_context)
        name = self._file_name(sig, target_context.codegen())
        for folder in _trusted_folders():
            try:
                content = (folder / name).read_bytes()
            except OSError:
                continue
            digest, data = content[:_DIGEST], content[_DIGEST:]
            if hashlib.sha256(data).digest() == digest:
                types, parts = _Unpickler(io.BytesIO(data)).load()
                if types == sig:
                    return CompileResult._rebuild(target_context, *parts)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled function, in a temporary folder if the chosen one cannot be written."""
        name = self._file_name(sig, data.codegen)
        content = dumps((sig, data._reduce()))
        content = hashlib.sha256(content).digest() + content
        try:
            _write(chosen_folder() / name, content)
        except OSError as error:
            _write_temporary(name, content, error)

    def _file_name(self, sig: Any, codegen: Any) -> str:
        everything = f"{_sources()} {sig} {codegen.magic_tuple()}"
        return f"{self._function}-{hashlib.sha256(everything.encode()).hexdigest()[:20]}"


class _Unpickler(pickle.Unpickler):
    """Loads a kernel without the modules that define the parts of NumPy that it calls."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numba.core.environment", "_rebuild_env"):
            return _environment
        return super().find_class(module, name)


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """Return what machine code of a function refers to.

    numba would import the module of the function, such as `numba.np.arrayobj`, for its globals,
    which takes another quarter of a second; but only code in object mode looks them up.
    """
    found = lookup_environment(name)
    if found is None:
        found = Environment({"__name__": module})
        found.consts[:] = constants
        found.env_name = name
        Environment._memo[name] = found
    return found


@cache
def _sources() -> str:
    """Return a digest of this package's source files."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def _versions() -> str:
    parts = [f"{name}-{version(name)}" for name in ("psiprune", "numba", "llvmlite")]
    return "-".join([*parts, str(sys.implementation.cache_tag)])


def chosen_folder() -> Path:
    """Return the folder for compiled kernels: in NUMBA_CACHE_DIR, else in the user's cache."""
    parent = Path(config.CACHE_DIR) if config.CACHE_DIR else user_cache_path("psiprune")
    return parent / _versions()


def temporary_folder() -> Path:
    """Return the folder that is used if the chosen one cannot be written.

    Raises:
        OSError: the machine has no folder for temporary files.
    """
    return Path(tempfile.gettempdir()) / f"psiprune-{os.getuid()}" / _versions()


def _trusted_folders() -> Iterator[Path]:
    yield chosen_folder()
    try:
        if _is_private(temporary_folder().parent):
            yield temporary_folder()
    except OSError:  # it does not exist
        return


def _is_private(folder: Path) -> bool:
    """Return whether only this user can write to a folder; anybody may create one in /tmp."""
    status = folder.lstat()
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return mine and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write_temporary(name: str, content: bytes, problem: OSError) -> None:
    instead = "each start compiles it again"
    with suppress(OSError):
        folder = temporary_folder()
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        if _is_private(folder.parent):
            _write(folder / name, content)
            instead = f"it is stored in {folder.parent}, which may not last"
    if parent_process() is None:  # workers of a sweep would repeat it
        warnings.warn(
            f"compiled code cannot be stored in {chosen_folder()} ({problem.strerror}), so "
            f"{instead}; set NUMBA_CACHE_DIR to a folder that you can write to",
            CacheWarning,
            stacklevel=2,
        )


def _write(file: Path, content: bytes) -> None:
    """Write a file under another name, then rename it: other processes may read or write it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
