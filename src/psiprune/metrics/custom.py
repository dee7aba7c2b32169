"""Custom observables: Python functions of bits, loaded from a file and called with checks."""

from __future__ import annotations

import hashlib
import importlib.util
import keyword
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: bits [shot, site] -> a value for each shot (the observable is their mean), or one for all shots.
Observable = Callable[[Bits], ArrayLike]


def load_observable(place: str) -> tuple[str, Observable]:
    """Return the name and the function of FILE.py:function. The file is run, as by an import.

    While it runs, it can import modules from its own folder.

    Raises:
        InputError: the file or the function in it does not exist, or running the file raises.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier() or keyword.iskeyword(name):
        raise InputError(f"observable: must be FILE.py:function, found {place!r}")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"observable: there is no file {file}; give the FILE.py of {place}")
    # Files of the same name in different folders are different modules.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"psiprune_own_{digest}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look it up there
    try:
        with _importable(path.resolve().parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InputError(f"observable: running {file} raised {_describe(error)}") from None
    function = getattr(module, name, None)
    if not callable(function):
        known = [
            key
            for key, value in vars(module).items()
            if callable(value)
            and key[0] != "_"
            and getattr(value, "__module__", None) == module.__name__
        ]
        raise InputError(
            f"observable: {file} has no function {name!r}; it has {', '.join(known) or 'none'}"
        )
    return name, function


def check_names(observables: Mapping[str, Observable], taken: tuple[str, ...]) -> None:
    """Raise InputError unless all names are free identifiers and all values functions."""
    for name, function in observables.items():
        if not str(name).isidentifier():
            raise InputError(f"observables: a name must be an identifier, found {name!r}")
        if name in taken:
            raise InputError(f"observables: {name!r} is built in; give it another name")
        if not callable(function):
            raise InputError(f"observables: {name!r} must be a function, found {function!r}")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, and unload them afterwards.

    The folder does not stay on the path, as its files could hide modules of libraries that are
    imported later, or those of another folder of custom observables.
    """
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        loaded = set(sys.modules) - before
        for name in [name for name in loaded if _lies_in(folder, name.partition(".")[0])]:
            del sys.modules[name]


def _lies_in(folder: Path, name: str) -> bool:
    """Return whether a loaded module or package is a file or folder directly in `folder`."""
    place = getattr(sys.modules.get(name), "__file__", None)
    if place is None:
        return False
    file = Path(place)
    return folder == (file.parent.parent if file.name == "__init__.py" else file.parent)


def observe(name: str, function: Observable, bits: Bits) -> Float64:
    """Return the function's values for bits [shot, site]: float64 [shot], or a scalar of shape ().

    Raises:
        InputError: it raises, or returns another shape, or values that are not finite numbers.
    """
    bits = bits.view()
    bits.flags.writeable = False
    try:
        returned = function(bits)
        array = np.asarray(returned)
    except (Exception, SystemExit) as error:  # whatever a user's function raises
        raise InputError(
            f"observable {name!r}: raised {_describe(error)} for bits {list(bits.shape)}"
        ) from None
    if array.dtype.kind not in "biuf":
        kind = f"an array of {array.dtype}" if array.ndim else type(returned).__name__
        raise InputError(f"observable {name!r}: must return numbers, found {kind}")
    values = array.astype(np.float64)
    if values.shape not in ((), (len(bits),)):
        raise InputError(
            f"observable {name!r}: must return a number, or one for each of {len(bits)} shots, "
            f"found shape {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        first = int(np.argmin(np.isfinite(values)))
        which = f"{values[first]} for shot {first}" if values.ndim else f"{values}"
        raise InputError(f"observable {name!r}: must be finite, found {which}")
    return values


def _describe(error: BaseException) -> str:
    """Return type, message and line of an exception; no line if it was raised in this file."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    line = ""
    if last is not None and last.tb_frame.f_code.co_filename != __file__:
        line = f" ({Path(last.tb_frame.f_code.co_filename).name} line {last.tb_lineno})"
    words = str(error)
    if isinstance(error, SyntaxError):
        words, line = error.msg, f" (line {error.lineno})"
    return f"{type(error).__name__}: {' '.join(words.split())}{line}"
