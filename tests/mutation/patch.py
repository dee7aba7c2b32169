"""Patch the running process with a mutant: replace the code objects of functions in use.

The function objects stay the same, so every import, decorator and property that refers to one runs
the mutant. Kernels are recompiled, bypassing the cache.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

from numba.core.dispatcher import Dispatcher

from psiprune.kernels.cache import KernelCache


def patch(source: ast.Module | str, file: Path, *functions: str) -> None:
    """Replace the code of functions and methods by that of a modified source file.

    Args:
        source: the modified text or syntax tree.
        file: path of the source file.
        functions: qualified names of the functions to replace.

    Raises:
        LookupError: a function is not in use.
    """
    codes = {code.co_qualname: code for code in _codes(compile(source, str(file), "exec"))}
    for function in functions:
        in_use = [
            each
            for each in gc.get_objects()
            if type(each) is FunctionType  # isinstance raises for dead weak proxies
            and each.__code__.co_qualname == function
            and each.__code__.co_filename == str(file)
        ]
        if not in_use:
            raise LookupError(f"{file}: {function} is not in use")
        for each in in_use:
            each.__code__ = codes[function]
    if file.parent.name == "kernels":
        _recompile_kernels()


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _recompile_kernels() -> None:
    KernelCache.load_overload = lambda *_: None  # type: ignore[method-assign]
    KernelCache.save_overload = lambda *_: None  # type: ignore[method-assign]
    for each in gc.get_objects():
        if issubclass(type(each), Dispatcher) and each.py_func.__module__.startswith("psiprune."):
            each._make_finalizer()()
            each._reset_overloads()
