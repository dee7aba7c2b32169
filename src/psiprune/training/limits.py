"""Limits of time and memory: what is estimated to exceed them is not begun, with a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from psiprune.core.durations import show_bytes, show_duration
from psiprune.core.exceptions import InputError
from psiprune.core.memory import free_memory

#: Estimated time above which nothing is begun.
DEFAULT_MAX_TIME = "1h"
# What is advised takes at most this share of the limit and of the free memory, as the next probe
# may measure a slower machine.
_SHARE = 0.5
_ROUND = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
# Misread shots per parameter above which cross-validation gained less than a fifth of the KL.
_MANY_SHOTS = 100


class Needs(NamedTuple):
    """What something is estimated to take: seconds, and bytes beyond those in use."""

    seconds: float
    memory: float

    def __str__(self) -> str:
        """Return "20 min and 3.2 GB"."""
        return f"{show_duration(self.seconds)} and {show_bytes(self.memory)}"

    def fit(self, limit: float, share: float = 1.0) -> bool:
        """Return whether they are within a share of the seconds and of the free memory."""
        return self.seconds <= share * limit and self.memory <= share * free_memory()


class Advice(NamedTuple):
    """A number of hidden units that fits, and the seconds it is estimated to take."""

    hidden: int
    seconds: float


class Spelling(NamedTuple):
    """How a message writes arguments."""

    hidden: str
    unlimited: str
    limit: str


PYTHON = Spelling("hidden=({},)", "max_time=None", "max_time='{}'")
OPTIONS = Spelling("--hidden {}", "--yes", "--max-time {}")


def check_needs(
    what: str, needs: Needs, limit: float, advice: Advice | None, spell: Spelling
) -> None:
    """Raise InputError if something takes more than `limit` seconds, or more than the memory."""
    if needs.fit(limit):
        return
    reasons, free = [], free_memory()
    ways = [f"{spell.unlimited} runs it regardless"]
    if needs.seconds > limit:
        reasons.append(
            f"estimated {show_duration(needs.seconds)} on this machine, the limit is "
            f"{show_duration(limit)}"
        )
    if needs.memory > free:
        reasons.append(
            f"estimated {show_bytes(needs.memory)} of memory, {show_bytes(free)} are free"
        )
    else:
        ways.append(f"{spell.limit.format(_with_room(needs.seconds))} raises the limit")
    raise InputError(
        f"{what}: {'; '.join(reasons)}; {as_way_out(advice, spell)}; {', '.join(ways)}"
    )


def as_way_out(advice: Advice | None, spell: Spelling) -> str:
    """Return an advice in words."""
    if advice is None:
        return "no smaller number of hidden units fits, so give fewer shots or epochs"
    return f"{spell.hidden.format(advice.hidden)} takes about {show_duration(advice.seconds)}"


def advise(needs_of: Callable[[int], Needs], below: int, limit: float) -> Advice | None:
    """Return the largest round number of hidden units that fits well within the limits.

    `needs_of` estimates what a number of hidden units needs; it raises InputError where that number
    is impossible.
    """
    for hidden in _round_numbers(below):
        try:
            needs = needs_of(hidden)
        except InputError:
            continue
        if needs.fit(limit, _SHARE):
            return Advice(hidden, needs.seconds)
    return None


def few_shots(parameters: int, shots: int) -> str:
    """Return a line about more parameters than training shots, or ""."""
    if parameters <= shots:
        return ""
    return (
        f"{parameters:,} parameters are more than {shots:,} training shots can determine; use "
        "fewer hidden units, or more shots"
    )


def fits_noise(parameters: int, shots: int, flips: bool) -> str:
    """Return a line about misread shots that are few for so many parameters, or "".

    `flips` says whether the shots have readout errors, which amplify their noise.
    """
    if not flips or shots >= _MANY_SHOTS * parameters:
        return ""
    return f"{shots:,} misread shots for {parameters:,} parameters: training to the end fits noise"


def _round_numbers(below: int) -> Iterator[int]:
    """Yield round numbers below a number, in decreasing order, down to 1."""
    found = {round(factor * 10**power) for power in range(len(str(below))) for factor in _ROUND}
    yield from sorted((each for each in found if each < below), reverse=True)


def _with_room(seconds: float) -> str:
    """Return a limit that leaves room for the next estimate: "3h", "2d"."""
    hours = int(1.5 * seconds / 3600) + 1
    return f"{hours}h" if hours <= 48 else f"{hours // 24 + 1}d"
