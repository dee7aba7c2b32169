"""Assertions on the facts of a refusal: the name, the value, the limit, the way out; no prose."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from psiprune.core.exceptions import InputError


@contextlib.contextmanager
def refuses(
    name: object, *facts: object, error: type[Exception] = InputError
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Assert that the body raises this error with a line as in `check_refusal`."""
    with pytest.raises(error) as caught:
        yield caught
    check_refusal(str(caught.value), name, *facts)


def check_refusal(line: str, name: object, *facts: object) -> None:
    """Assert that a line begins with the name of an argument or file and states these facts.

    A file may be named without its folder.
    """
    assert re.match(rf"(\S*/)?{re.escape(str(name))}: ", line), f"not on {name}: {line}"
    check_facts(line, *facts)


def check_facts(line: str, *facts: object) -> None:
    """Assert that one line states each fact.

    A fact is a string (a name, a command, a value as it is written) or any other value, which
    stands there as its `repr`. It stands by itself: 1 is neither in 10 nor in 0.1 or -1. Integers
    may have separators (20,000). A fact given twice, a limit and the value found, stands twice.
    """
    assert "\n" not in line
    for pattern, times in Counter(map(_pattern, facts)).items():
        assert len(re.findall(pattern, line)) >= times, f"{pattern} is missing: {line}"


def _pattern(fact: object) -> str:
    if isinstance(fact, str):
        before = r"(?<!\w)" if fact[0].isalnum() else ""
        after = r"(?!\w)" if fact[-1].isalnum() else ""
        return before + re.escape(fact) + after
    text = re.escape(repr(fact))
    if isinstance(fact, int) and not isinstance(fact, bool):
        text = f"(?:{text}|{fact:,})"
    return rf"(?<![\w.-]){text}(?!\w|[.,]\d)"


def refused(words: str, call: Callable[..., object], *arguments: object, **named: object) -> str:
    """Assert that a call raises InputError with one line in which the regex is found; return it."""
    with pytest.raises(InputError, match=words) as caught:
        call(*arguments, **named)
    line = str(caught.value)
    assert "\n" not in line
    return line
