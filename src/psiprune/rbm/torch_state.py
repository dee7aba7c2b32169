"""Arrays of a torch state dictionary, also of one that `torch.nn.utils.prune` has pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError


def arrays_of_state(
    state: Mapping[str, Any], names: Sequence[str]
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_] | None]:
    """Return the parameters, and the mask of the first one; None if it was not pruned.

    A pruned parameter is stored as NAME_orig and NAME_mask, and is their product.

    Raises:
        InputError: an entry is missing, unknown or not a tensor, or a mask does not fit.
    """
    pruned = [name for name in names if f"{name}_orig" in state]
    expected = {name for name in names if name not in pruned}
    expected |= {f"{name}_{part}" for name in pruned for part in ("orig", "mask")}
    if set(state) != expected:
        hint = "; pass its entry 'rbm_am'" if "rbm_am" in state else ""
        found = ", ".join(map(str, state))
        raise InputError(f"state: must hold {', '.join(names)}, found {found}{hint}")
    arrays: dict[str, NDArray[Any]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    for name in names:
        if name not in pruned:
            arrays[name] = _array(name, state[name])
            continue
        values = _array(f"{name}_orig", state[f"{name}_orig"])
        mask = _array(f"{name}_mask", state[f"{name}_mask"])
        if mask.shape != values.shape or not np.isin(mask, (0, 1)).all():
            raise InputError(
                f"{name}_mask: must be 0 or 1 for each entry of {name}_orig, of shape "
                f"{values.shape}, found shape {mask.shape} with values from {mask.min(initial=0):g}"
                f" to {mask.max(initial=0):g}"
            )
        masks[name] = mask.astype(bool)
        arrays[name] = np.where(masks[name], values, 0)
    return arrays, masks.get(names[0])


def _array(name: str, tensor: Any) -> NDArray[Any]:
    if not hasattr(tensor, "detach"):
        raise InputError(f"{name}: must be a tensor, found {type(tensor).__name__}")
    tensor = tensor.detach().cpu()
    array: NDArray[Any] = (
        tensor.double() if tensor.is_floating_point() else tensor.resolve_conj()
    ).numpy()
    return array
