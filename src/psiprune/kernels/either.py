"""Compile a kernel for each way to sum: with loops over neighbours, and with tables of sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any

from psiprune.kernels import layer, pairs, tables
from psiprune.kernels.simd import compiled


def compiled_with_either(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs a kernel in the way for which its argument `graph` has tables.

    The kernel takes all it does with neighbours from `layer`; by tables, from `tables`, and the
    gradient of all pairs from `pairs`. What else it calls must be defined above it. A kernel that
    forms no gradient gets graphs without the order of its sums, lest it be compiled for each.
    """
    place = function.__code__.co_varnames.index("graph")
    loops, looked_up, all_pairs = (
        compiled(rebound(function, *modules)) for modules in ((), (tables,), (tables, pairs))
    )

    gradient = layer.add_gradient in function.__globals__.values()

    @wraps(function)
    def kernel(*arguments: Any) -> Any:
        graph = arguments[place]
        if not graph.tables:
            return loops(*arguments)
        if gradient:
            return (all_pairs if graph.tables.sums else looked_up)(*arguments)
        graph = graph._replace(tables=graph.tables._replace(sums=()))
        return looked_up(*arguments[:place], graph, *arguments[place + 1 :])

    return kernel


def rebound(function: Callable[..., Any], *modules: ModuleType) -> Callable[..., Any]:
    """Return a copy of a function that calls namesakes, in the last module with one, of `layer`."""
    used = {
        name for name, value in function.__globals__.items() if value is getattr(layer, name, None)
    }
    names = {name: vars(module)[name] for module in modules for name in used & vars(module).keys()}
    return FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
