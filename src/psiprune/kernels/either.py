"""Compile a kernel twice: with loops over neighbours, and with tables of sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from psiprune.kernels import tables
from psiprune.kernels.simd import compiled


def compiled_with_either(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs a kernel by tables where its argument `graph` has them.

    The kernel takes all it does with neighbours from `layer`; by tables, from `tables`. What else
    it calls must be defined above it.
    """
    place = function.__code__.co_varnames.index("graph")
    loops, looked_up = compiled(function), compiled(tables.rebound(function))

    @wraps(function)
    def kernel(*arguments: Any) -> Any:
        return (looked_up if arguments[place].tables else loops)(*arguments)

    return kernel
