"""Read an RBM from a file or dataset."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset
from psiprune.rbm.model import RBM


def rbm_from_dataset(dataset: xr.Dataset, name: object) -> RBM:
    """The RBM that `RBM.to_dataset` wrote.

    Raises:
        InputError: a variable is missing or breaks a rule of RBM; the line begins with `name`.
    """
    wanted = ("weights", "visible_bias", "hidden_bias", "mask")
    missing = [variable for variable in wanted if variable not in dataset]
    if missing:
        raise InputError(f"{name}: not an RBM, it has no '{missing[0]}'")
    arrays = {variable: dataset[variable].values for variable in wanted}
    arrays["mask"] = arrays["mask"].astype(bool)
    own = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in dataset.attrs.items()
        if not key.startswith("psiprune_")
    }
    try:
        return RBM(**arrays, provenance=own)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def load_rbm(path: str | os.PathLike[str]) -> RBM:
    """Read an RBM written by `RBM.save`.

    Raises:
        InputError: the file is missing, damaged, of another kind, or breaks a rule of RBM.
    """
    return rbm_from_dataset(read_dataset(path, "rbm"), path)
