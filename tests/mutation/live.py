"""Put a mutant into the running process: give live functions the code of the mutated source.

A function keeps its identity, so all who imported it, wrapped it or made it a property call the
mutant. Compiled kernels are compiled anew from it, and are read from no cache.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

from numba.core.dispatcher import Dispatcher

from psiprune.kernels.cache import KernelCache


def put(source: ast.Module | str, file: Path, *functions: str) -> None:
    """Replace the code of functions and methods by that in a changed source of their file.

    Args:
        source: the changed text, or its syntax tree.
        file: where the source is.
        functions: the qualified names of what changes.

    Raises:
        LookupError: no such function is in use.
    """
    codes = {code.co_qualname: code for code in _codes(compile(source, str(file), "exec"))}
    for function in functions:
        live = [
            each
            for each in gc.get_objects()
            if type(each) is FunctionType  # isinstance asks proxies, which may be dead
            and each.__code__.co_qualname == function
            and each.__code__.co_filename == str(file)
        ]
        if not live:
            raise LookupError(f"{file}: {function} is not in use")
        for each in live:
            each.__code__ = codes[function]
    if file.parent.name == "kernels":
        _compile_anew()


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _compile_anew() -> None:
    KernelCache.load_overload = lambda *_: None  # type: ignore[method-assign]
    KernelCache.save_overload = lambda *_: None  # type: ignore[method-assign]
    for each in gc.get_objects():
        if issubclass(type(each), Dispatcher) and each.py_func.__module__.startswith("psiprune."):
            each._make_finalizer()()  # type: ignore[attr-defined]
            each._reset_overloads()  # type: ignore[attr-defined]
