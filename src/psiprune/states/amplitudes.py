"""States given by all their amplitudes in a text file, as QuCumber's `*_psi.txt`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.data.formats.base import SourceFile, read_content
from psiprune.data.formats.lines import numbered_lines
from psiprune.states.mps import MPS, mps_from_vector

_PHASE_TOLERANCE = 1e-6  # files hold about ten digits
_NORM_TOLERANCE = 1e-3


def read_amplitudes(
    path: str | os.PathLike[str],
    first_site: Literal["highest", "lowest"] = "highest",
    modulus: bool = False,
) -> MPS:
    """Read a state from text with one amplitude per line: real and imaginary part, or real alone.

    Line k, counted from 0, is the amplitude of the configuration whose bits spell k.

    Args:
        path: the file, of 2^N lines with N from 2 to 20.
        first_site: whether site 0 is the highest bit of k, as QuCumber writes, or the lowest.
        modulus: whether to take |psi|, which has the same probabilities.

    Returns:
        The state, normalised. A phase that all amplitudes share within 1e-6 is removed, which
        makes it real.

    Raises:
        InputError: a line is not one or two numbers, there are not 2^N lines, or the squared moduli
            do not add up to 1 within 0.001.
    """
    if first_site not in ("highest", "lowest"):
        raise InputError(f"first_site: must be 'highest' or 'lowest', found {first_site!r}")
    file = SourceFile(Path(path), read_content(path))
    psi = _amplitudes(file)
    sites = len(psi).bit_length() - 1
    if len(psi) != 2**sites or not 2 <= sites <= EXACT_SITES:
        raise InputError(
            f"{path}: must hold 2^N amplitudes with N from 2 to {EXACT_SITES}, found {len(psi)}; "
            "the file may be truncated"
        )
    norm = float((np.abs(psi) ** 2).sum())
    if not abs(norm - 1) <= _NORM_TOLERANCE:
        raise InputError(
            f"{path}: the squared moduli must add up to 1, found {norm:.6g}; divide the amplitudes "
            f"by {norm**0.5:.6g}"
        )
    vector = np.abs(psi) if modulus else _without_common_phase(psi)
    if first_site == "highest":
        vector = vector.reshape((2,) * sites).transpose().ravel()
    return mps_from_vector(vector)


def _amplitudes(file: SourceFile) -> NDArray[np.complex128]:
    psi = []
    for number, line in numbered_lines(file, 0):
        try:
            real, imaginary = [*map(float, line.replace(",", " ").split()), 0.0][:2]
        except ValueError:
            real = imaginary = np.nan
        if len(line.replace(",", " ").split()) > 2 or not np.isfinite([real, imaginary]).all():
            raise InputError(
                f"{file.path}: line {number}: must be the real and the imaginary part of an "
                f"amplitude, found {line[:40]!r}; density matrices cannot be read"
            )
        psi.append(complex(real, imaginary))
    return np.array(psi, dtype=np.complex128)


def _without_common_phase(psi: NDArray[np.complex128]) -> NDArray[Any]:
    """Return the amplitudes turned so that the largest is positive; real if all phases agree."""
    largest = psi[np.argmax(np.abs(psi))]
    turned = psi * (largest.conj() / abs(largest))
    return turned.real if np.abs(turned.imag).max() <= _PHASE_TOLERANCE else turned
