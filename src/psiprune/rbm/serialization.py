"""Read an RBM from a file or dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
    return rbm_from_stored(Stored(variables, dataset.attrs), name)


def rbm_of_arrays(
    arrays: Mapping[str, NDArray[Any]], provenance: Mapping[str, str | int | float], name: object
) -> RBM:
    """Return the RBM of the arrays that `RBM.to_arrays` named.

    Raises:
        InputError: an array is missing or invalid for `RBM`; the message starts with `name`.
    """
    names = ("weights", "visible_bias", "hidden_bias", "mask")
    missing = [each for each in names if each not in arrays]
    if missing:
        raise InputError(f"{name}: not an RBM, it has no variable '{missing[0]}'")
    values = {each: arrays[each] for each in names}
    values["mask"] = values["mask"].astype(bool)
    try:
        return RBM(**values, provenance=provenance)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def provenance_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a file that were the provenance of its RBM."""
    return {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in attributes.items()
        if not key.startswith("psiprune_")
    }


def rbm_from_stored(stored: Stored, name: object) -> RBM:
    """Return the RBM of a file.

    Raises:
        InputError: as `rbm_from_dataset`.
    """
    arrays = {variable: values for variable, (_, values) in stored.variables.items()}
    return rbm_of_arrays(arrays, provenance_of(stored.attributes), name)


def load_rbm(path: str | os.PathLike[str]) -> RBM:
    """Read an RBM written by `RBM.save`.

    Raises:
        InputError: the file is missing, damaged, of another kind, or invalid for `RBM`.
    """
    return rbm_from_stored(read_arrays(path, "rbm"), path)
