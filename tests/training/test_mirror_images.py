"""Mirror images: states of the same outcomes in all bases, where each site lacks a letter."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from psiprune.core.exceptions import TrainingWarning
from psiprune.rbm.phase_likelihood import basis_frequencies
from psiprune.states.basis_rotation import rotate
from psiprune.training.mirror_images import Image, likely_image, mirror_images, part_images


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


def test_all_fits_that_agree_on_one_of_two_images_are_warned_of() -> None:
    shots = measured(haar(2, 1), "ZX")
    with pytest.warns(TrainingWarning, match="mirror image of the state"):
        trained = pp.train_phases(shots, starts=1, progress=False)
    assert float(trained.provenance["mirror"]) < 0.9
    assert trained.provenance["agreement"] == trained.provenance["mirror"]


def test_a_factor_has_an_image_of_its_own() -> None:
    site, pair = np.array([np.cos(0.7), np.exp(1.1j) * np.sin(0.7)]), haar(2, 1)
    letters = ["XYZ", "ZX", "XYZ"]
    psi = np.einsum("ac,b->abc", pair.reshape(2, 2), site).ravel()
    bases = products(*letters)
    found = [image for image, _ in part_images(psi, bases)]
    assert len(found) == 1
    assert abs(np.vdot(psi, found[0])) ** 2 < 0.3
    np.testing.assert_allclose(
        np.abs(rotate(found[0], bases)), np.abs(rotate(psi, bases)), atol=1e-12
    )


@pytest.mark.parametrize(("entangled", "warned"), [(False, True), (True, False)])
def test_an_image_of_a_factor_counts_if_the_state_may_be_a_product(
    entangled: bool, warned: bool
) -> None:
    site = np.array([np.cos(0.7), np.exp(1.1j) * np.sin(0.7)])
    psi = haar(2, 3) if entangled else np.kron(haar(1, 1), site)
    bases = products("ZX", "XYZ")
    shots = pp.sample(pp.mps_from_vector(psi), 6000, bases=bases, progress=False)
    found = pp.identifiability(shots, hidden=2, progress=False)
    assert (found.agreement < 0.9) == warned
