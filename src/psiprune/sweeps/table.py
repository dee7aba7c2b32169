"""Sweep results as rows: Parquet and DuckDB."""

from __future__ import annotations

import glob
import io
import itertools
import math
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.statistics import crossing
from psiprune.experiments.settings import StudySettings
from psiprune.io.netcdf import read_dataset, write_bytes
from psiprune.states.tfim import TFIM
from psiprune.sweeps.points import AnyPoint, Outcome

#: What a table has even if no point is done, so that it can be asked.
_ALWAYS = ("point", "level")
#: The table's name in its folder, and in SQL.
TABLE, VIEW = "sweep.parquet", "levels"
#: What the configuration calls otherwise, as `seed` is an RBM's everywhere else.
_NAMES = {"seed": "shots_seed", "rbm_seed": "seed"}


class Rows(NamedTuple):
    """The answer to a query."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]


def check_tools() -> None:
    """Find out whether a table can be written before anything is computed.

    Raises:
        InputError: pyarrow is not installed.
    """
    _arrow()


def write_table(points: Sequence[AnyPoint], root: Path) -> list[Outcome]:
    """Write the rows of each point that is done: configuration, then measures.

    One for each level of each RBM of a study. Of other experiments as `rows_of` gives them.

    Columns: `point`, the hash; every setting, `train_method` for train.method, with `seed` that of
    the RBM and `shots_seed` that of its training set; `level` and all measures of a study, those
    over `distance` and `ones` as lists; `prunable`, the fraction of the weights that can go before
    the KL of this RBM has doubled (interpolated; the last level if it never does, as `prunable_all`
    then says; NaN where the KL of the dense RBM, estimated above 20 sites, is not above 0), and
    `correlation_length` of the endless chain, both the same at every level. Points whose files are
    damaged are left out.

    Returns:
        The points left out, each with the reason.

    Raises:
        InputError: pyarrow is not installed.
        OSError: the table cannot be written; the old one is then untouched.
    """
    arrow, parquet = _arrow()
    rows: list[dict[str, Any]] = []
    settings: dict[str, None] = {}  # of all points before all measures
    unread = []
    for point in points:
        if point.last.done(root):
            try:
                config = {"point": point.last.key, **dict(columns_of(point.columns))}
                rows += [{**config, **row} for row in _rows(point, root)]
                settings |= dict.fromkeys(config)
            except InputError as error:
                unread.append(Outcome(point, f"{point.last.kind}: {error}"))
    named = settings | dict.fromkeys(name for row in rows for name in row)
    names = named or dict.fromkeys(_ALWAYS)
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer, compression="zstd")
    write_bytes(root / TABLE, buffer.getvalue())
    return unread


def _column(values: list[Any]) -> Any:
    """Values as Arrow has them; settings that no point has are numbers that none has."""
    arrow, _ = _arrow()
    empty = all(value is None for value in values)
    return arrow.array(values, arrow.float64() if empty else None)


def read_table(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of a sweep's table.

    Raises:
        InputError: there is no such table, or it cannot be read.
    """
    _, parquet = _arrow()
    file = _table(folder)
    try:
        rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None
    return rows


def query(sql: str, folder: str | os.PathLike[str]) -> Rows:
    """Ask a sweep's table, called `levels`, in DuckDB's SQL.

    Raises:
        InputError: DuckDB is not installed, there is no table, or the query is wrong.
    """
    try:
        import duckdb
    except ImportError:
        raise InputError("query: needs DuckDB: pip install 'psiprune[sweep]'") from None
    file = _table(folder)
    with duckdb.connect() as connection:
        try:
            # Nothing but reading: COPY would write files.
            kinds = [each.type for each in connection.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise InputError(f"query: must be one SELECT, found {sql!r}")
            # DuckDB takes a name for a pattern.
            connection.read_parquet(glob.escape(str(file))).create_view(VIEW)
            found = connection.execute(sql)
            return Rows(_apart([column[0] for column in found.description]), found.fetchall())
        except duckdb.Error as error:
            raise InputError(f"query: {error}") from None


def _apart(names: Sequence[str]) -> list[str]:
    """The names, those that stand there a second time with a number: kl, kl_2."""
    found: list[str] = []
    for name in names:
        counted = (name if k == 1 else f"{name}_{k}" for k in itertools.count(1))
        found.append(next(each for each in counted if each not in found))
    return found


def _table(folder: str | os.PathLike[str]) -> Path:
    file = Path(folder) / TABLE
    if not file.exists():
        raise InputError(f"{file}: is not there; `psiprune sweep` writes it")
    return file


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("sweep: its table needs pyarrow: pip install 'psiprune[sweep]'") from None
    return pyarrow, pyarrow.parquet


def _rows(point: AnyPoint, root: Path) -> Iterator[dict[str, Any]]:
    """The rows of one point, but for its settings."""
    result = point.last.result(root)
    dataset = read_dataset(result, result.stem)
    if not isinstance(point.settings, StudySettings):
        yield from rows_of(dataset)
        return
    for field in range(dataset.sizes["field"]):
        for seed in range(dataset.sizes["seed"]):
            yield from _levels(dataset.isel(field=field, seed=seed), point.settings)


def _levels(study: xr.Dataset, settings: StudySettings) -> Iterator[dict[str, Any]]:
    """The rows of one RBM of a study."""
    field = float(study["field"])
    fraction, whole = prunable(study["fraction_pruned"].values, study["kl"].values)
    last = {
        "prunable": fraction,
        "prunable_all": whole,
        "correlation_length": TFIM(
            sites=settings.sites, field=field, coupling=settings.coupling
        ).correlation_length,
    }
    own = study.drop_dims("epoch").drop_vars(["field", "seed", "distance", "ones"])
    for level in range(own.sizes["level"]):
        here = own.isel(level=level, drop=True)
        measures = {str(name): _plain(values) for name, values in here.items()}
        yield {"field": field, "seed": int(study["seed"]), "level": level, **measures, **last}


def prunable(pruned: NDArray[np.float64], kl: NDArray[np.float64]) -> tuple[float, bool]:
    """The fraction pruned at which KL has doubled, and whether it never does.

    If not, that of the last level; NaN if the first KL, an estimate maybe, is not above 0, as twice
    that is no limit.
    """
    if not kl[0] > 0:
        return math.nan, False
    doubled = crossing(pruned, kl, 2.0 * kl[0])
    return min(doubled, float(pruned[-1])), math.isinf(doubled)


def columns_of(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a point by the names of the table's columns."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from columns_of(value, f"{prefix}{key}_")
        else:
            yield _NAMES.get(key, key) if not prefix else f"{prefix}{key}", value


def _plain(values: xr.DataArray) -> Any:
    """A number, or a list of numbers."""
    array = np.asarray(values.values)
    return array.item() if array.ndim == 0 else array.tolist()


def rows_of(dataset: xr.Dataset) -> Iterator[dict[str, Any]]:
    """One row for each combination of coordinates that single numbers have, NaN alone left out.

    Measures over field, seed and variant have rows of their own, and so have those over epoch
    besides, and so on; the coordinates that a row does not have are missing in it. What no seed has
    a part in, such as a floor over count, stands in every row of a seed that has its coordinates,
    and only if there is none in rows of its own. Arrays over sites and hidden units are left out.
    """
    groups: dict[frozenset[Hashable], list[Hashable]] = {}
    for name, values in dataset.items():
        if all(dim in dataset.coords for dim in values.dims):
            groups.setdefault(frozenset(values.dims), []).append(name)
    of_seeds = [dims for dims in groups if "seed" in dims]
    order_of = {dims: (dims not in of_seeds, len(dims)) for dims in groups}
    for dims, names in sorted(groups.items(), key=lambda group: order_of[group[0]]):
        if dims not in of_seeds and any(dims <= other for other in of_seeds):
            continue
        beside = [
            name
            for other, others in groups.items()
            if dims in of_seeds and other not in of_seeds and other <= dims
            for name in others
        ]
        order = [dim for dim in dataset.sizes if dim in dims]
        frame = dataset[[*names, *beside]].to_dataframe(dim_order=order).reset_index()
        kept = frame.dropna(how="all", subset=names)
        for row in kept.to_dict("records"):
            yield {str(name): value for name, value in row.items()}
