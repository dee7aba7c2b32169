"""State dictionaries that `torch.nn.utils.prune` has pruned, with stand-ins for tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from machines import random_rbm
from psiprune.core.exceptions import InputError
from psiprune.rbm.model import RBM


class Tensor:
    """What `RBM.from_torch` asks of a tensor, so that the tests need no torch.

    Torch has no arrays of tensors with gradients or on a GPU, nor of bfloat16 (here float16).
    """

    def __init__(self, values: Any, *done: str) -> None:
        """Hold the values, and which methods were called."""
        self.values, self.done = np.asarray(values), done

    def detach(self) -> Tensor:
        """Return it without gradients."""
        return Tensor(self.values, *self.done, "detach")

    def cpu(self) -> Tensor:
        """Return it in main memory."""
        return Tensor(self.values, *self.done, "cpu")

    def double(self) -> Tensor:
        """Return it in float64."""
        return Tensor(self.values.astype(float), *self.done)

    def resolve_conj(self) -> Tensor:
        """Return it as it is."""
        return self

    def is_floating_point(self) -> bool:
        """Whether the values are real numbers."""
        return self.values.dtype.kind == "f"

    def numpy(self) -> Any:
        """Return the values."""
        assert {*self.done} == {"detach", "cpu"}
        assert self.values.dtype != np.float16
        return self.values


WEIGHTS = np.array([[1.5, -2.0, 0.5], [3.0, np.nan, -1.0]])
MASK = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def state(**changes: Any) -> dict[str, Tensor]:
    arrays: dict[str, Any] = {
        "visible_bias": [0.1, 0.2, 0.3],
        "hidden_bias": [1.0, 2.0],
        "weights_orig": WEIGHTS,
        "weights_mask": MASK,
    }
    return {
        name: Tensor(values) for name, values in (arrays | changes).items() if values is not None
    }


def test_the_product_and_the_mask() -> None:
    rbm = RBM.from_torch(state(hidden_bias=np.array([1, 2], np.float16)))
    np.testing.assert_array_equal(rbm.hidden_bias, [1, 2])
    np.testing.assert_array_equal(rbm.weights, [[1.5, 0, 0.5], [3, 0, 0]])
    np.testing.assert_array_equal(rbm.mask, MASK.astype(bool))
    assert rbm.number_of_weights == 3
    np.testing.assert_array_equal(rbm.visible_bias, [0.1, 0.2, 0.3])


def test_values_are_taken_bit_by_bit() -> None:
    values = {"weights": [[-0.0, 5e-324]], "visible_bias": [1.7e308, -0.0], "hidden_bias": [1e-310]}
    rbm = RBM.from_torch({name: Tensor(each) for name, each in values.items()})
    for name, each in values.items():
        assert getattr(rbm, name).tobytes() == np.array(each).tobytes()


def test_a_further_mask_prunes_more() -> None:
    mask = np.array([[True, True, True], [False, True, True]])
    rbm = RBM.from_torch(state(), mask=mask)
    np.testing.assert_array_equal(rbm.mask, MASK.astype(bool) & mask)
    whole = state(weights=np.ones((2, 3)), weights_orig=None, weights_mask=None)
    np.testing.assert_array_equal(RBM.from_torch(whole, mask=mask).mask, mask)


def test_a_pruned_bias_is_its_product() -> None:
    pruned = state(hidden_bias=None, hidden_bias_orig=[1.0, 2.0], hidden_bias_mask=[0.0, 1.0])
    rbm = RBM.from_torch(pruned)
    np.testing.assert_array_equal(rbm.hidden_bias, [0, 2])
    whole = {"weights": Tensor(np.ones((2, 3))), **pruned}
    del whole["weights_orig"], whole["weights_mask"]
    assert RBM.from_torch(whole).mask.all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights_mask": None}, "must hold weights, .*found visible_bias, .*weights_orig$"),
        ({"weights": WEIGHTS}, "must hold weights"),
        ({"weights_mask": 0.5 * MASK}, "weights_mask: must be 0 or 1 .*to 0.5"),
        ({"weights_mask": MASK[:1]}, r"weights_mask: .*shape \(2, 3\), found shape \(1, 3\)"),
        ({"other": 1.0}, "must hold weights"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RBM.from_torch(state(**changes))


def test_torch_itself_writes_these_names() -> None:
    torch = pytest.importorskip("torch", reason="pip install '.[torch]' runs torch itself")
    rbm = random_rbm(4, 3)
    module = torch.nn.Module()
    for name, tensor in rbm.to_torch().items():
        module.register_parameter(name, torch.nn.Parameter(tensor))
    torch.nn.utils.prune.l1_unstructured(module, "weights", amount=5)
    again = RBM.from_torch(module.state_dict())
    assert again.number_of_weights == 7
    np.testing.assert_array_equal(again.weights, np.where(again.mask, rbm.weights, 0))
