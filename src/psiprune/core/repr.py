"""One-line representations of objects that hold arrays."""

from __future__ import annotations

import dataclasses
import reprlib
from typing import Any, TypeVar

T = TypeVar("T")
#: Characters of a representation.
WIDTH = 110


class _Repr(reprlib.Repr):
    """Shorten values: arrays to dtype and shape, floats to six digits."""

    def repr_ndarray(self, array: Any, level: int) -> str:
        return f"{array:.6g}" if array.ndim == 0 else f"{array.dtype}{list(array.shape)}"

    def repr_float(self, number: Any, level: int) -> str:
        return f"{number:.6g}"

    repr_float64 = repr_float32 = repr_float


_REPR = _Repr()


def one_line(cls: type[T]) -> type[T]:
    """Make a dataclass or named tuple print as Type(field=value, ...), at most `WIDTH` long."""

    def represent(self: Any) -> str:
        names = getattr(self, "_fields", None) or [item.name for item in dataclasses.fields(self)]
        shown = ", ".join(f"{name}={_REPR.repr(getattr(self, name))}" for name in names)
        line = f"{cls.__name__}({' '.join(shown.split())})"
        return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]}...)"

    cls.__repr__ = represent  # type: ignore[method-assign]
    return cls
