"""Entanglement entropies as observables: of an RBM and of a state, not of shots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.validation import check_count
from psiprune.metrics.draws import Draws
from psiprune.metrics.entanglement import entanglement, exact_entanglement, swap_estimate
from psiprune.metrics.observables import Estimate
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class EntropyObservable:
    """An entanglement entropy of the first `cut` sites with the others, in nats.

    Attributes:
        kind: entropy for von Neumann's, renyi2 for the Renyi-2 entropy.
        cut: number of sites on the left.
    """

    kind: Literal["entropy", "renyi2"]
    cut: int

    def __call__(self, bits: Bits) -> NoReturn:
        """Raise InputError, as configurations do not determine an entropy."""
        self.check_diagonal("observable")

    @property
    def is_diagonal(self) -> bool:
        """Whether shots in the Z basis determine it: never."""
        return False

    def check_diagonal(self, name: str) -> NoReturn:
        """Raise InputError, as shots in the Z basis do not determine an entropy."""
        raise InputError(
            f"{name}: is an entanglement entropy, which shots in the Z basis do not determine; "
            "measure an RBM or a state"
        )

    def exact(self, prob: Float64) -> float:
        """Return the entropy of psi = sqrt(p), p [2^N]."""
        return self._of(np.sqrt(prob))

    def of_state(self, state: MPS) -> float:
        """Return the entropy of a state, exact at any size."""
        return self._of(state)

    def _of(self, state: MPS | Float64) -> float:
        measure = getattr(entanglement(state, self.cut), self.kind)
        return float(measure.value)

    def estimate(self, rbm: RBM, bits: Bits) -> Estimate:
        """Return the entropy of an RBM from its draws, bits [chain, draw, site].

        That of von Neumann has no estimator and is that of all states, without error. The deviation
        is that of one of the two draws of each pair.
        """
        if self.kind == "entropy":
            found = exact_entanglement(rbm, self.cut).entropy
            assert found is not None
            return Estimate(np.float64(found.value), np.float64(0), np.float64(0))
        swapped = swap_estimate(rbm, Draws(bits, "", ""), self.cut)
        spread = np.sqrt(2.0 * max(0.0, np.expm1(2.0 * swapped.value)))
        return Estimate(np.float64(swapped.value), np.float64(swapped.error), np.float64(spread))


def entropies_at(cuts: Iterable[int], sites: int) -> list[str]:
    """Return the names of the entropies of an RBM at these numbers of sites on the left.

    Raises:
        InputError: a cut leaves a side empty.
    """
    cuts = [check_count("cut", cut, 1, sites - 1) for cut in cuts]
    kinds = ("entropy", "renyi2") if sites <= EXACT_SITES else ("renyi2",)
    return [f"{kind}({cut})" for cut in cuts for kind in kinds]


def is_determined(observable: object) -> bool:
    """Return whether shots in the Z basis determine an observable: functions of bits, Z strings."""
    if isinstance(observable, PauliObservable | EntropyObservable):
        return observable.is_diagonal
    return True


def is_entropy_of_report(name: str, observable: object, sites: int) -> bool:
    """Return whether an observable is the `entropy` or `renyi2` that each `Report` has."""
    return isinstance(observable, EntropyObservable) and (
        (observable.kind, observable.cut) == (name, sites // 2)
    )


def check_rbm_size(observables: Mapping[str, object], sites: int) -> None:
    """Raise InputError if an observable is unknown for RBMs of so many sites."""
    for name, each in observables.items():
        if isinstance(each, EntropyObservable) and each.kind == "entropy" and sites > EXACT_SITES:
            raise InputError(
                f"observable: {name}: the von Neumann entropy of an RBM is known up to "
                f"{EXACT_SITES} sites, found {sites}; use renyi2({each.cut}), which is lower"
            )
