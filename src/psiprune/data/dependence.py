"""Whether the shots of a record are independent, and the blocks that take their place if not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.repr import one_line
from psiprune.data.diagnostics import DataWarning, ShotsDescription, describe_shots
from psiprune.data.repetition import gather_copies
from psiprune.data.shots import Shots

#: Shots of a block, in inefficiencies. Correlations over its ends make errors a few percent too
#: small; longer blocks are fewer, which makes errors less certain.
_BLOCK = 5
#: A record has at least so many blocks.
_BLOCKS = 10
#: Warnings that shots are not independent, the most specific first.
_DEPENDENT = ("repetition", "dependent", "repeats", "memory")
#: Warnings that bear on every use of shots, not only on training.
_SERIOUS = ("constant", "readout", *_DEPENDENT, "drift")


class Blocks(NamedTuple):
    """Blocks of consecutive shots that are independent of each other.

    Attributes:
        length: shots of a block; 1 if shots are independent.
        inefficiency: shots per independent shot.
    """

    length: int = 1
    inefficiency: float = 1.0

    def effective(self, shots: int) -> float:
        """Return how many independent shots have the errors of so many shots."""
        return shots / self.inefficiency


#: One shot each.
INDEPENDENT = Blocks()


@one_line
@dataclass(frozen=True, eq=False)
class Dependence:
    """What a record of shots says about their independence.

    Attributes:
        shots: their number.
        ordered: whether their order is known; it is lost in counts, whose shots are taken as
            independent.
        repetition: an exact repetition in words, or "".
        blocks: their length, and shots per independent shot.
        order: rows of the record, [shot], in the order in which blocks are consecutive: that of the
            record, unless copies of a shot are not adjacent, which belong to one block.
        problem: why the shots are not independent, and a way out; "" if nothing is significant.
        drift: what drifts, and a way out; "" if nothing is significant.
        rates: which readout error rates the shots exclude, and a way out; "" if none.
        warnings: all that bears on every use of the shots, as `describe_shots` words it.
    """

    shots: int
    ordered: bool
    repetition: str
    blocks: Blocks
    order: NDArray[np.int64]
    problem: str
    drift: str
    rates: str
    warnings: tuple[DataWarning, ...]

    @property
    def effective(self) -> float:
        """How many independent shots have the same errors."""
        return self.blocks.effective(self.shots)

    @property
    def assumption(self) -> str:
        """What cannot be tested where the order of the shots is unknown; "" where it is known."""
        if self.ordered:
            return ""
        unknown = "the order of the shots is unknown, as equal configurations are adjacent"
        if self.repetition:  # so the counts are not those of independent shots
            return unknown
        return (
            f"{unknown}: taken as counts of independent shots. In a file of single shots this "
            "means that many were recorded several times"
        )


def find_dependence(shots: Shots, description: ShotsDescription | None = None) -> Dependence:
    """Judge the record of shots by the diagnostics of `describe_shots`.

    Shots count as independent unless an exact repetition, repeats or memory are significant at
    `LEVEL`, or if their order is unknown.

    Args:
        shots: the whole record, in the order of measurement.
        description: of these shots, if known.
    """
    found = describe_shots(shots) if description is None else description
    repetition, order = found.repetition, np.arange(len(shots))
    length = _block_length(found.inefficiency, len(shots))
    if repetition is not None and not repetition.rows:
        order, length = gather_copies(shots.bits, repetition.copies), repetition.copies
    elif repetition is not None:
        once = find_dependence(replace(shots, bits=repetition.once(shots.bits), provenance={}))
        copies = np.arange(repetition.copies)
        step = repetition.copies if repetition.apart == 1 else 1
        order = (step * once.order[:, None] + repetition.apart * copies).ravel()
        order = order[order < len(shots)]  # the last shot may lack copies
        length = repetition.copies * once.blocks.length
    lines = {each.name: each.line for each in found.warnings}
    problems = [lines[name] for name in _DEPENDENT if name in lines]
    return Dependence(
        len(shots),
        not found.grouped,
        "" if repetition is None else repetition.found,
        Blocks(length, found.inefficiency),
        order,
        problems[0] if problems else "",
        lines.get("drift", ""),
        lines.get("readout", ""),
        tuple(each for each in found.warnings if each.name in _SERIOUS),
    )


def _block_length(inefficiency: float, shots: int) -> int:
    if inefficiency == 1:
        return 1
    return max(1, math.ceil(min(_BLOCK * inefficiency, shots / _BLOCKS)))
