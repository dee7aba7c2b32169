"""Sequences of named tuples that print as tables: the checks and the RBMs of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

from psiprune.core.repr import html_table
from psiprune.rbm.model import RBM
from psiprune.reconstruction.checks import Check
from psiprune.reconstruction.text import checks_table, levels_table

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", bound=NamedTuple)


class SearchLevel(NamedTuple):
    """An RBM of the search.

    Attributes:
        name: of its file in path/.
        weights: their number.
        loss, error: relative to the chosen unpruned RBM, on the shots that ended the search, in
            nats per shot; or of the observable that ended it, relative to the mean of the unpruned
            RBMs.
        allowed: the largest loss that is accepted.
        accepted: whether the loss is.
        rbm: the RBM.
    """

    name: str
    weights: int
    loss: float
    error: float
    allowed: float
    accepted: bool
    rbm: RBM


class Records(tuple[T, ...]):
    """An immutable sequence that prints as a table."""

    __slots__ = ()
    #: Columns that notebooks show.
    _shown: ClassVar[tuple[str, ...]] = ()

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row for each entry; RBMs are left out."""
        import pandas as pd

        names = list(self[0]._fields) if self else []
        return pd.DataFrame(list(self), columns=names).drop(columns="rbm", errors="ignore")

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""
        rows = [[getattr(each, name) for name in self._shown] for each in self]
        return html_table(self._shown, rows)


class Checks(Records[Check]):
    """The checks of a reconstruction."""

    __slots__ = ()
    _shown = ("name", "answer", "loss", "at_most", "found")

    def __repr__(self) -> str:
        """Return an aligned table."""
        return checks_table(self)


class Levels(Records[SearchLevel]):
    """Every RBM of a search in the order of the search, the unpruned one first."""

    __slots__ = ()
    _shown = SearchLevel._fields[:-1]

    def __repr__(self) -> str:
        """Return an aligned table."""
        return levels_table(self)
