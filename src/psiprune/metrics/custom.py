"""A user's own observables: Python functions of bits, loaded from a file and called with care."""

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
#: bits [shot, site] -> a value for each shot, whose mean is meant, or one for all of them.
Observable = Callable[[Bits], ArrayLike]


def load_observable(place: str) -> tuple[str, Observable]:
    """The name and the function that FILE.py:function means. The file is run, as an import would.

    While it runs, modules beside it can be imported.

    Raises:
        InputError: there is no such file or function in it, or running the file raises.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier() or keyword.iskeyword(name):
        raise InputError(f"observable: must be FILE.py:function, found {place!r}")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"observable: there is no file {file}; give the FILE.py of {place}")
    # Two files of one name in different folders are two modules.
    unique = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"psiprune_own_{unique}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look it up there
    try:
        with _neighbours(path.resolve().parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InputError(f"observable: running {file} raised {_told(error)}") from None
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if _is_own(key, value, module.__name__)]
        raise InputError(
            f"observable: {file} has no function {name!r}; it has {', '.join(known) or 'none'}"
        )
    return name, function


def check_names(observables: Mapping[str, Observable], taken: tuple[str, ...]) -> None:
    """Raise InputError unless all names are identifiers that mean nothing else, all functions."""
    for name, function in observables.items():
        if not str(name).isidentifier():
            raise InputError(f"observables: a name must be an identifier, found {name!r}")
        if name in taken:
            raise InputError(f"observables: {name!r} means one of psiprune's; give another name")
        if not callable(function):
            raise InputError(f"observables: {name!r} must be a function, found {function!r}")


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Modules in a folder can be imported, and are forgotten after; another folder may have such.

    Its files could hide those of libraries from what is imported later, so it does not stay.
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
    """Whether a module or package that is loaded is a file or folder right there."""
    place = getattr(sys.modules.get(name), "__file__", None)
    if place is None:
        return False
    file = Path(place)
    return folder == (file.parent.parent if file.name == "__init__.py" else file.parent)


def observe(name: str, function: Observable, bits: Bits) -> Float64:
    """What the function says of bits [shot, site]: float64 [shot], or a scalar of shape ().

    Raises:
        InputError: it raises, or gives another shape, no real numbers or some that are not finite.
    """
    bits = bits.view()
    bits.flags.writeable = False
    try:
        given = function(bits)
        found = np.asarray(given)
    except (Exception, SystemExit) as error:  # whatever a user's function raises
        raise InputError(
            f"observable {name!r}: raised {_told(error)} for bits {list(bits.shape)}"
        ) from None
    if found.dtype.kind not in "biuf":
        kind = f"an array of {found.dtype}" if found.ndim else type(given).__name__
        raise InputError(f"observable {name!r}: must give numbers, found {kind}")
    values = found.astype(np.float64)
    if values.shape not in ((), (len(bits),)):
        raise InputError(
            f"observable {name!r}: must give a number, or one for each of {len(bits)} shots, found "
            f"shape {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"observable {name!r}: must be finite, found {_odd(values)}")
    return values


def _odd(values: Float64) -> str:
    if values.ndim == 0:
        return f"{values}"
    first = int(np.argmin(np.isfinite(values)))
    return f"{values[first]} for shot {first}"


def _told(error: BaseException) -> str:
    """Type and message of an exception, and the line that raised it unless that is ours."""
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


def _is_own(key: str, value: object, module: str) -> bool:
    return callable(value) and key[0] != "_" and getattr(value, "__module__", None) == module
