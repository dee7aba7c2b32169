"""Functions that fail in place of others, and a record of what a function is called with."""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest


def failing(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises this error, whatever its arguments."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def arguments_of(monkeypatch: pytest.MonkeyPatch, target: str, name: str) -> list[Any]:
    """Return a list that grows by the argument of this name in each call of `package.module.f`."""
    function, found = pkgutil.resolve_name(target), list[Any]()
    signature = inspect.signature(function)

    @functools.wraps(function)
    def recorded(*given: Any, **named: Any) -> Any:
        found.append(signature.bind(*given, **named).arguments[name])
        return function(*given, **named)

    monkeypatch.setattr(target, recorded)
    return found
