"""Read an RBM from a file or dataset."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset
from psiprune.rbm.model import RBM


def rbm_from_dataset(dataset: xr.Dataset, name: object) -> RBM:
    """Return the RBM that `RBM.to_dataset` wrote.

    Raises:
        InputError: a variable is missing or invalid for `RBM`; the message starts with `name`.
    """
    variables = ("weights", "visible_bias", "hidden_bias", "mask")
    missing = [variable for variable in variables if variable not in dataset]
    if missing:
        raise InputError(f"{name}: not an RBM, it has no variable '{missing[0]}'")
    arrays = {variable: dataset[variable].values for variable in variables}
    arrays["mask"] = arrays["mask"].astype(bool)
    provenance = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in dataset.attrs.items()
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
    return rbm_from_dataset(read_dataset(path, "rbm"), path)
