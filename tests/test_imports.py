"""Every module of the package can be imported."""

from __future__ import annotations

import importlib
import pkgutil

import psiprune

#: Modules that need an optional extra, which may be absent.
EXTRAS = {"sklearn", "torch", "dask", "distributed", "dask_jobqueue", "duckdb", "pyarrow", "bokeh"}


def test_every_module_is_imported() -> None:
    names = [each.name for each in pkgutil.walk_packages(psiprune.__path__, "psiprune.")]
    assert len(names) > 100
    for name in names:
        if name.endswith("__main__"):  # runs the command
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in EXTRAS:
                raise
