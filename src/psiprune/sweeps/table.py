"""The table of a sweep, a Parquet file."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.settings import flat
from psiprune.core.statistics import crossing
from psiprune.experiments.settings import StudySettings
from psiprune.io.netcdf import read_dataset, write_bytes
from psiprune.states.tfim import TFIM
from psiprune.sweeps.points import AnyPoint, Outcome

#: The table's name in its folder.
TABLE = "sweep.parquet"


def check_folder(folder: object) -> None:
    """Raise InputError unless this is a path."""
    if not isinstance(folder, str | os.PathLike):
        raise InputError(f"folder: must be a path, found {folder!r}")


def import_arrow() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet; raise InputError if not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("sweep: its table needs pyarrow: pip install 'psiprune[sweep]'") from None
    return pyarrow, pyarrow.parquet


def write_table(points: Sequence[AnyPoint], root: Path) -> list[Outcome]:
    """Write the rows of all points that are done: settings, then measures.

    RBMs of a study have a row for each level, other experiments those of `rows_of`.

    Columns: `point`, the hash; every setting, such as `train_method` for train.method, with `seed`
    that of the RBM and `shots_seed` that of its training set; `level` and all measures of a study,
    those over `distance` and `ones` as lists. Three are the same at every level: `prunable`, the
    fraction of the weights that can be removed before the KL divergence of this RBM has doubled
    (interpolated between levels; NaN if the KL of the dense RBM is an estimate not above 0);
    `prunable_all`, whether it never doubles, so that `prunable` is that of the last level; and
    `correlation_length` of the infinite chain, NaN for other models.

    Returns:
        The points left out because their files are damaged, each with its cause.

    Raises:
        InputError: pyarrow is not installed.
        OSError: the table cannot be written; the old one stays.
    """
    arrow, parquet = import_arrow()
    rows: list[dict[str, Any]] = []
    settings: dict[str, None] = {}  # of all points, to come before all measures
    damaged = []
    for point in points:
        if point.last.done(root):
            try:
                config = {"point": point.last.key, **columns_of(point.columns)}
                rows += [{**config, **row} for row in _rows(point, root)]
                settings |= dict.fromkeys(config)
            except InputError as error:
                damaged.append(Outcome(point, f"{point.last.kind}: {error}"))
    names = settings | dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names or ("point", "level"):  # so that an empty table can be queried
        values = [row.get(name) for row in rows]
        empty = all(value is None for value in values)
        columns[name] = arrow.array(values, arrow.float64() if empty else None)
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns), buffer, compression="zstd")
    write_bytes(root / TABLE, buffer.getvalue())
    return damaged


def read_table(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a sweep's table.

    Raises:
        InputError: the table does not exist or cannot be read.
    """
    rows: list[dict[str, Any]] = arrow_table(folder).to_pylist()
    return rows


def arrow_table(folder: str | os.PathLike[str]) -> Any:
    """Return a sweep's table as a `pyarrow.Table`; raises as `read_table`."""
    _, parquet = import_arrow()
    file = Path(folder) / TABLE
    if not file.exists():
        raise InputError(f"{file}: does not exist; `psiprune sweep` writes it")
    try:
        return parquet.read_table(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None


def columns_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a point under the names of the table's columns."""
    # In the settings, `seed` is that of the shots.
    names = {"seed": "shots_seed", "rbm_seed": "seed"}
    return {names.get(key, key): value for key, value in flat(config, "_")}


def _rows(point: AnyPoint, root: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of one point without its settings."""
    result = point.last.result(root)
    dataset = read_dataset(result, result.stem)
    if not isinstance(point.settings, StudySettings):
        yield from rows_of(dataset)
        return
    for field in range(dataset.sizes["field"]):
        for seed in range(dataset.sizes["seed"]):
            yield from _levels(dataset.isel(field=field, seed=seed), point.settings)


def _levels(study: xr.Dataset, settings: StudySettings) -> Iterator[dict[str, Any]]:
    """Yield the rows of one RBM of a study."""
    field = float(study["field"])
    model = settings.model_at(field)
    fraction, never_doubled = prunable(study["fraction_pruned"].values, study["kl"].values)
    common = {
        "prunable": fraction,
        "prunable_all": never_doubled,
        "correlation_length": model.correlation_length if isinstance(model, TFIM) else math.nan,
    }
    measures = study.drop_dims("epoch").drop_vars(["field", "seed", "distance", "ones"])
    for level in range(measures.sizes["level"]):
        values = measures.isel(level=level, drop=True).items()
        row = {str(name): np.asarray(value.values).tolist() for name, value in values}
        yield {"field": field, "seed": int(study["seed"]), "level": level, **row, **common}


def prunable(pruned: NDArray[np.float64], kl: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the fraction pruned at which KL has doubled, and whether it never does.

    If it never does, the fraction is that of the last level. It is NaN if the first KL, which may
    be an estimate, is not above 0, as twice that is no limit.
    """
    if not kl[0] > 0:
        return math.nan, False
    doubled = crossing(pruned, kl, 2.0 * kl[0])
    return min(doubled, float(pruned[-1])), math.isinf(doubled)


def rows_of(dataset: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Yield one row for each combination of coordinates, without rows of NaN alone.

    Measures over field, seed and variant have rows of their own, as have those over epoch in
    addition, and so on; a row lacks the coordinates that it does not have. A measure without seed,
    such as a floor over count, is in every row of a seed with its coordinates, and has rows of its
    own only if there are none. Arrays over sites and hidden units are left out.
    """
    groups: dict[frozenset[Hashable], list[Hashable]] = {}
    for name, values in dataset.items():
        if all(dim in dataset.coords for dim in values.dims):
            groups.setdefault(frozenset(values.dims), []).append(name)
    with_seed = [dims for dims in groups if "seed" in dims]
    for dims in sorted(groups, key=lambda dims: ("seed" not in dims, len(dims))):
        names = groups[dims]
        if dims in with_seed:
            others = [group for group in groups if "seed" not in group and group <= dims]
            added = [name for group in others for name in groups[group]]
        elif any(dims <= other for other in with_seed):
            continue
        else:
            added = []
        order = [dim for dim in dataset.sizes if dim in dims]
        frame = dataset[[*names, *added]].to_dataframe(dim_order=order).reset_index()
        for row in frame.dropna(how="all", subset=names).to_dict("records"):
            yield {str(name): value for name, value in row.items()}
