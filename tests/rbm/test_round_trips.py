"""What is written is read again bit by bit: -0.0, denormals and the limits of float64 included."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import psiprune as pp
from anything import bits_of
from psiprune.rbm.masks import read_mask, write_mask
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.states.mps import MPS, load_mps
from psiprune.states.tfim import TFIM

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
few = settings(max_examples=5)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file without a suffix, which may be written again and again."""
    return tmp_path_factory.mktemp("trips") / "file"


def same_bits(ours: Any, theirs: Any) -> None:
    a, b = np.asarray(ours), np.asarray(theirs)
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@st.composite
def any_rbms(draw: Any) -> RBM:
    """Any finite parameters, any mask."""
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    weights, visible_bias, hidden_bias = (
        draw(arrays(np.float64, size, elements=NUMBERS)) for size in (shape, shape[1], shape[0])
    )
    return RBM(weights, visible_bias, hidden_bias, draw(arrays(np.bool_, shape)))


def netcdf(rbm: RBM, path: Path) -> RBM:
    return load_rbm(rbm.save(path))


def exported(rbm: RBM, path: Path, form: str) -> RBM:
    with np.load(pp.export_rbm(rbm, path.with_suffix(".npz"), form)) as file:
        return RBM(**{"mask": rbm.mask, **file})


@pytest.mark.parametrize(
    "trip", [netcdf, partial(exported, form="numpy"), partial(exported, form="qucumber")]
)
@few
@given(rbm=any_rbms())
def test_rbms(trip: Callable[[RBM, Path], RBM], path: Path, rbm: RBM) -> None:
    again = trip(rbm, path)
    for name in ("weights", "visible_bias", "hidden_bias", "mask"):
        same_bits(getattr(again, name), getattr(rbm, name))


@few
@given(
    signs=st.lists(st.sampled_from([1.0, -1.0]), min_size=2, max_size=5),
    small=st.sampled_from([0.0, -0.0, 5e-324, -1e-310, 1e-9]),
    swap=st.booleans(),
    numbers=st.tuples(*[st.floats(allow_infinity=False)] * 3),
    hamiltonian=st.none() | st.tuples(NUMBERS.filter(lambda field: field > 0), NUMBERS),
)
def test_states(
    path: Path,
    signs: list[float],
    small: float,
    swap: bool,
    numbers: tuple[float, float, float],
    hamiltonian: tuple[float, float] | None,
) -> None:
    rows = [[small, sign] if swap else [sign, small] for sign in signs]
    model = None
    if hamiltonian is not None:
        model = TFIM(sites=len(signs), field=hamiltonian[0], coupling=hamiltonian[1])
    state = MPS(tuple(np.array(row).reshape(1, 2, 1) for row in rows), *numbers, model)
    again = load_mps(state.save(path))
    assert again.model == state.model
    for ours, theirs in zip(again.tensors, state.tensors, strict=True):
        same_bits(ours, theirs)
    for name in ("energy", "energy_variance", "truncation_error"):
        same_bits(getattr(again, name), getattr(state, name))


@few
@given(bits=st.integers(1, 9).flatmap(bits_of), basis=st.sampled_from("XYZ"), seed=NUMBERS)
def test_shots_and_masks(path: Path, bits: Any, basis: str, seed: float) -> None:
    shots = pp.Shots(bits, basis, provenance={"seed": seed})
    again = pp.read_shots(shots.save(path.with_suffix(".nc")))
    same_bits(again.bits, shots.bits)
    assert again.basis == basis
    same_bits(again.provenance["seed"], seed)
    for suffix in (".npy", ".txt"):
        mask = bits.astype(bool)
        same_bits(read_mask(write_mask(mask, path.with_suffix(suffix))), mask)
