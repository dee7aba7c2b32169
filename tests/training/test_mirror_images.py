"""Mirror images: states of the same outcomes in all bases, where each site lacks a letter."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from psiprune.core.exceptions import TrainingWarning
from psiprune.rbm.phase_likelihood import (
    basis_frequencies,
    vector_log_likelihood,
    vector_slope,
)
from psiprune.states.basis_rotation import rotate
from psiprune.states.blocks import joined, nearest_product
from psiprune.training.mirror_images import (
    Image,
    fidelity,
    likeliest_vector,
    likely_image,
    mirror_images,
)


def haar(sites: int, seed: int) -> NDArray[np.complex128]:
    generator = np.random.default_rng(seed)
    psi = generator.normal(size=(2**sites, 2)) @ [1, 1j]
    return np.asarray(psi / np.linalg.norm(psi))


def products(*letters: str) -> list[str]:
    """All bases of some letters on each site."""
    return ["".join(each) for each in product(*letters)]


@pytest.mark.parametrize(
    "letters", [("ZX", "ZX", "ZX"), ("ZY", "ZY", "ZY"), ("XY", "XY", "XY"), ("ZX", "ZY", "XY")]
)
def test_an_image_has_the_same_outcomes_in_bases_that_lack_a_letter_on_each_site(
    letters: tuple[str, ...],
) -> None:
    psi, bases = haar(3, 1), products(*letters)
    for image in mirror_images(psi, bases):
        assert abs(np.vdot(psi, image)) ** 2 < 0.9
        found, expected = (np.abs(rotate(each, bases)) for each in (image, psi))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_no_image_of_most_states_has_the_same_outcomes_in_all_bases() -> None:
    psi, bases = haar(3, 1), products("ZX", "ZX", "ZXY")
    for image in mirror_images(psi, bases):
        assert np.abs(np.abs(rotate(image, bases)) - np.abs(rotate(psi, bases))).max() > 0.1


def measured(psi: NDArray[np.complex128], letters: str) -> pp.Shots:
    """500 shots in each basis of these letters on two sites."""
    bases, state = products(letters, letters), pp.mps_from_vector(psi)
    return pp.sample(state, 500 * len(bases), bases=bases, progress=False)


def image_of(psi: NDArray[np.complex128], letters: str) -> Image | None:
    return likely_image(psi, basis_frequencies(measured(psi, letters).by_basis()), 2.0)


def test_an_image_counts_if_the_shots_do_not_tell_it_apart() -> None:
    psi = haar(2, 1)
    image = image_of(psi, "ZX")
    assert image is not None
    assert image.fidelity == pytest.approx(abs(np.vdot(psi, image.vector)) ** 2)
    assert image.fidelity < 0.9
    assert image_of(psi, "ZXY") is None
    of_real = image_of(np.abs(psi) + 0j, "ZXY")
    assert of_real is not None
    assert of_real.fidelity == pytest.approx(1.0)


def of_blocks(psi: NDArray[np.complex128], letters: tuple[str, ...]) -> Image | None:
    """The image of the likeliest vector of 400 shots in each basis, nearly a product."""
    bases, state = products(*letters), pp.mps_from_vector(psi)
    shots = pp.sample(state, 400 * len(bases), bases=bases, seed=1, progress=False)
    data = basis_frequencies(shots.by_basis())
    return likely_image(likeliest_vector(psi, data), data, 2.0)


def test_the_image_of_one_site_of_a_product_counts_where_that_site_lacks_a_letter() -> None:
    one, others = np.array([np.cos(0.7), np.exp(1.1j) * np.sin(0.7)]), haar(2, 4)
    psi = joined(one, others, (1,))
    image = of_blocks(psi, ("ZXY", "ZX", "ZXY"))
    assert image is not None
    assert image.sites == (1,)
    wrong = joined(one.conj(), others, (1,))
    assert fidelity(image.vector, wrong) > 0.98 > 0.3 > image.fidelity
    # All letters tell the two apart, and so does one basis that has the letter.
    assert of_blocks(psi, ("ZXY", "ZXY", "ZXY")) is None


def test_the_image_of_two_sites_that_are_no_neighbours_counts() -> None:
    psi = joined(haar(2, 1), haar(1, 2), (0, 2))
    image = of_blocks(psi, ("ZX", "ZXY", "ZX"))
    assert image is not None
    assert image.sites == (0, 2)


def test_an_entangled_site_has_no_image_of_its_own() -> None:
    psi = haar(3, 1)
    assert fidelity(psi, nearest_product(psi, (0,))[2]) < 0.95
    assert of_blocks(psi, ("ZX", "ZXY", "ZXY")) is None


def test_the_likeliest_vector_is_a_maximum() -> None:
    data = basis_frequencies(measured(haar(2, 1), "ZXY").by_basis())
    found = likeliest_vector(haar(2, 2), data)
    value, back = vector_slope(found, data)
    assert value == pytest.approx(vector_log_likelihood(found, data))
    np.testing.assert_allclose(back, found, atol=1e-3)


def test_all_fits_that_agree_on_one_of_two_images_are_warned_of() -> None:
    shots = measured(haar(2, 1), "ZX")
    with pytest.warns(TrainingWarning, match="mirror image of the state"):
        trained = pp.train_phases(shots, starts=1, progress=False)
    assert float(trained.provenance["mirror"]) < 0.9
    assert trained.provenance["agreement"] == trained.provenance["mirror"]
