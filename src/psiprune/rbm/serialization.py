"""Read an RBM from a file or dataset."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import Stored, read_arrays
from psiprune.rbm.model import RBM

if TYPE_CHECKING:
    import xarray as xr


def rbm_from_dataset(dataset: xr.Dataset, name: object) -> RBM:
    """Return the RBM that `RBM.to_dataset` wrote.

    Raises:
        InputError: a variable is missing or invalid for `RBM`; the message starts with `name`.
    """
    variables = {
        str(variable): (tuple(map(str, each.dims)), each.values)
        for variable, each in dataset.data_vars.items()
    }
    return rbm_from_arrays(Stored(variables, dataset.attrs), name)


def rbm_from_arrays(stored: Stored, name: object) -> RBM:
    """Return the RBM of a file.

    Raises:
        InputError: as `rbm_from_dataset`.
    """
    names = ("weights", "visible_bias", "hidden_bias", "mask")
    missing = [each for each in names if each not in stored.variables]
    if missing:
        raise InputError(f"{name}: not an RBM, it has no variable '{missing[0]}'")
    arrays = {each: stored.variables[each][1] for each in names}
    arrays["mask"] = arrays["mask"].astype(bool)
    provenance = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in stored.attributes.items()
        if not key.startswith("psiprune_")
    }
    try:
        return RBM(**arrays, provenance=provenance)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def load_rbm(path: str | os.PathLike[str]) -> RBM:
    """Read an RBM written by `RBM.save`.

    Raises:
        InputError: the file is missing, damaged, of another kind, or invalid for `RBM`.
    """
    return rbm_from_arrays(read_arrays(path, "rbm"), path)
