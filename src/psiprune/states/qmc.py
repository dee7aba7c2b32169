"""Shots of ground states beyond the reach of DMRG, by projector quantum Monte Carlo.

Ising models in a transverse field, with any couplings between pairs of sites, on any graph. Without
fields along Z, clusters of operator strings are sampled (`qmc_clusters`), with them, as for Rydberg
arrays, paths in imaginary time (`qmc_worldlines`). Neither has a time step. Both project states
|+...+> from either side, and shots come from the middle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import ConvergenceError, InputError
from psiprune.core.progress import count, expect, progress_bar
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots
from psiprune.kernels.qmc import SLICES
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.ising_terms import Ising, ising_terms
from psiprune.states.qmc_clusters import ClusterChain, Clusters
from psiprune.states.qmc_worldlines import WorldlineChain, Worldlines
from psiprune.states.signs import positive_frame
from psiprune.states.spin_models import SpinModel
from psiprune.states.tfim import TFIM

Float64 = NDArray[np.float64]
Block = TypeVar("Block")
_LOG = logging.getLogger(__name__)
#: Independent chains, so that results do not depend on the number of threads.
CHAINS = 4
#: Configurations of a chain in a test run, and sweeps before it.
PILOT, _UNMEASURED = 800, 200
#: Blocks of a chain whose means give errors and autocorrelation times, 18 % accurate with 64.
_BLOCKS = 16
#: Smallest length of a block in autocorrelation times.
_LEAST_LENGTH = 5.0
#: Largest number of sweeps between two configurations of a test run.
_MOST_THINNED = 64
#: Components of the configurations of largest variance that are watched.
_COMPONENTS = 2
#: Largest change where the projection is halved, beyond its error: of the order parameter,
#: relative, and of the energy along Z, in units of the sum of all h_i. Errors fall exponentially:
#: the chosen projection is twice the first that passes, so what remains is about the fourth power
#: of the change.
_LARGEST_CHANGE = np.array([0.05, 0.005])
#: Errors of these changes above which a test run is repeated with twice as many sweeps.
_LARGEST_ERROR = np.array([0.05, 0.0025])


@one_line
class QMCSample(NamedTuple):
    """Shots of a ground state by quantum Monte Carlo, and what is known of their quality.

    The order parameter is the square of the component of the configurations, as +-1, of largest
    variance: m^2 of a ferromagnet, the staggered one of an antiferromagnet.

    Attributes:
        shots: shots of |psi|^2 in the Z basis, nearly independent.
        energy, energy_error: <H> and its standard error, total, in the units of the model. Without
            statistical errors it is an upper bound.
        projection: number of terms of H on either side of the shots, an int; with fields along Z,
            the imaginary time on either side, a float.
        thin: number of sweeps from a shot to the next one.
        autocorrelation_time: the longest one of the energy, and of the two components of largest
            variance and their squares, 1 + 2 sum_t rho(t), in sweeps.
        halved, halved_error: relative change of the order parameter at half the projection. Errors
            of the shots are about the square of it, as they fall exponentially with the projection.
    """

    shots: Shots
    energy: float
    energy_error: float
    projection: float
    thin: int
    autocorrelation_time: float
    halved: float
    halved_error: float

    def summary(self) -> dict[str, float]:
        """Return all numbers by name."""
        return {name: value for name, value in self._asdict().items() if name != "shots"}


@single_blas_thread()
def quantum_monte_carlo(
    model: TFIM | SpinModel | Hamiltonian,
    shots: int,
    seed: int = 0,
    *,
    projection: float | None = None,
    progress: bool = True,
) -> QMCSample:
    """Sample the ground state of an Ising model in a transverse field on any graph.

    The same seed gives the same shots with any number of threads.

    Args:
        model: a sum of fields along X on all sites, and of fields along Z and couplings Z Z of
            pairs of any sign and range; a Rydberg array is one.
        shots: number of shots.
        seed: of the four chains.
        projection: number of terms of H on either side of the shots; with fields along Z, the
            imaginary time on either side. By default that of an imaginary time of 1 / max h_i,
            doubled until the order parameter changes by less than 5 %, and the energy along Z by
            less than 0.5 % of sum_i h_i, where it is halved, and then once more.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: a term is no field and no coupling Z Z, a site has no field along X, or a number
            is out of range.
        ConvergenceError: the chains do not mix, as in ordered phases.
    """
    check_count("shots", shots, 1)
    check_seed(seed)
    hamiltonian = model if isinstance(model, Hamiltonian) else model.hamiltonian()
    terms = ising_terms(positive_frame(hamiltonian))
    updates = Worldlines(terms) if terms.longitudinal.any() else Clusters(terms)
    per_chain = -(-shots // CHAINS)
    with progress_bar(None, "Monte Carlo", "sweeps", progress):
        if projection is None:
            projection = _projection(updates, terms, seed)
        else:
            projection = updates.checked(projection)
        chains = _chains(updates, projection, seed)
        pilot = next(_pilots(chains))
        time = pilot.autocorrelation_time
        thin = int(np.ceil(2 * time))
        expect("sweeps", CHAINS * per_chain * thin)
        order = pilot.components[0]
        run = _blocks(
            *(chains, per_chain, thin),
            lambda slices, energies: (
                slices[:, SLICES // 2],
                energies.mean(),
                _order(slices, order).mean(axis=0),
            ),
        )
    bits, energies, orders = zip(*(block for blocks in run for block in blocks), strict=True)
    changes = _changes(np.array(orders))
    energy, error = updates.energy(projection, np.array(energies), _error(np.array(energies)))
    numbers: dict[str, Any] = {
        "energy": energy + hamiltonian.offset,
        "energy_error": error,
        "projection": projection,
        "thin": thin,
        "autocorrelation_time": time,
        "halved": float(changes.mean()),
        "halved_error": _error(changes),
    }
    _LOG.info("quantum Monte Carlo: %s", numbers)
    provenance: dict[str, Any] = {"sampler": "qmc", "seed": seed, **numbers}
    provenance["model"] = hamiltonian.summary()
    if hamiltonian.positions is not None:
        provenance["positions"] = [*map(list, hamiltonian.positions)]
    drawn = np.concatenate(bits)[:shots]
    drawn.setflags(write=False)
    source = "psiprune.quantum_monte_carlo"
    return QMCSample(Shots(drawn, source=source, provenance=provenance), **numbers)


def _projection(updates: Clusters | Worldlines, terms: Ising, seed: int) -> float:
    """Return twice the first projection that is long enough, see `quantum_monte_carlo`.

    At short times changes from one slice to another are of second order, so the energies along Z
    are also compared with those of the projection before.
    """
    projection, before = updates.least, np.inf
    while 2 * projection <= updates.largest:
        for pilot in _pilots(_chains(updates, projection, seed)):
            energies = terms.diagonal(pilot.slices) / terms.transverse.sum()
            orders = _order(pilot.slices, pilot.components[0])
            tested = _changes(orders.mean(axis=2)), _change(energies.mean(axis=2))
            sizes, errors = np.transpose([(abs(each.mean()), _error(each)) for each in tested])
            middle = energies[..., SLICES // 2].mean(axis=2)
            fallen = before - middle.mean() > 2 * _LARGEST_CHANGE[1] + 3 * _error(middle)
            too_short = fallen or (sizes > _LARGEST_CHANGE + 2 * errors).any()
            if too_short or (errors <= _LARGEST_ERROR).all():
                break
        if not too_short and (sizes <= _LARGEST_CHANGE + errors).all():
            return 2 * projection
        projection, before = 2 * projection, middle.mean()
    raise InputError(
        f"projection: with {projection / 2:,.6g} the order parameter still depends on it, and "
        "twice as much does not fit in memory; give a projection"
    )


def _chains(
    updates: Clusters | Worldlines, projection: float, seed: int
) -> list[ClusterChain | WorldlineChain]:
    return [updates.chain(projection, seed, number) for number in range(CHAINS)]


class _Pilot(NamedTuple):
    """A test run, with as many configurations in each block of each chain.

    Attributes:
        slices: bits [chain, block, shot, slice, site].
        energies: [chain, block, sweep].
    """

    slices: NDArray[np.uint8]
    energies: Float64

    @property
    def components(self) -> Float64:
        """The directions in which configurations have the largest variance, [component, site]."""
        z = 1.0 - 2.0 * self.slices.reshape(-1, self.slices.shape[-1])
        z -= z.mean(axis=0)
        vectors: Float64 = np.linalg.eigh(z.T @ z)[1][:, ::-1].T
        return vectors[:_COMPONENTS]

    @property
    def autocorrelation_time(self) -> float:
        """The longest integrated autocorrelation time in sweeps, at least 1.

        The variance of the mean of a block of n sweeps is that of a sweep times tau / n.
        """
        along = (1.0 - 2.0 * self.slices[..., SLICES // 2, :]) @ self.components.T
        series = [self.energies, *np.moveaxis(np.concatenate([along, along**2], axis=-1), -1, 0)]
        times = [
            self.length * each.mean(axis=2).var(ddof=1) / each.var()
            for each in series
            if each.var() > 0
        ]
        return float(max(1.0, *times))

    @property
    def length(self) -> int:
        """The number of sweeps of a block."""
        return self.energies.shape[2]


def _pilots(chains: list[ClusterChain | WorldlineChain]) -> Iterator[_Pilot]:
    """Yield test runs that are long enough for their autocorrelation time, each twice the last.

    Raises:
        ConvergenceError: the longest is too short.
    """
    map_threads(lambda chain: chain.sweep(_UNMEASURED, 1), chains)
    mixed, thin = False, 1
    while thin <= _MOST_THINNED:
        blocks = _blocks(chains, PILOT, thin, lambda slices, energies: (slices, energies))
        slices, energies = (
            np.array([[block[k] for block in chain] for chain in blocks]) for k in range(2)
        )
        pilot = _Pilot(slices, energies)
        if mixed or _LEAST_LENGTH * pilot.autocorrelation_time <= pilot.length:
            mixed = True
            yield pilot
        thin *= 2
    if not mixed:
        longest = PILOT * _MOST_THINNED / _BLOCKS / _LEAST_LENGTH
        raise ConvergenceError(
            "quantum Monte Carlo does not mix: the autocorrelation time of its four chains exceeds "
            f"{longest:g} sweeps, as deep in ordered phases; use ground_state and sample, or a "
            "model closer to the disordered phase"
        )


def _blocks(
    chains: list[ClusterChain | WorldlineChain],
    shots: int,
    thin: int,
    of_block: Callable[[NDArray[np.uint8], Float64], Block],
) -> list[list[Block]]:
    """Draw shots from each chain in blocks, and return what `of_block` makes of each."""
    parts = np.diff(np.linspace(0, shots, min(_BLOCKS, shots) + 1).astype(int)).tolist()

    def of_chain(chain: ClusterChain | WorldlineChain) -> list[Block]:
        found = []
        for part in parts:
            found.append(of_block(*chain.sweep(part, thin)))
            count("sweeps", part * thin)
        return found

    return map_threads(of_chain, chains)


def _order(slices: NDArray[np.uint8], component: Float64) -> Float64:
    """Return the square of a component, [..., slice]."""
    squares: Float64 = ((1.0 - 2.0 * slices) @ component) ** 2
    return squares


def _change(values: Float64) -> Float64:
    """Return the change at half the projection of values [..., slice]."""
    change: Float64 = values[..., ::2].mean(axis=-1) - values[..., SLICES // 2]
    return change


def _changes(orders: Float64) -> Float64:
    """Return the relative change of the order parameter [..., slice] at half the projection."""
    changes: Float64 = _change(orders) / orders[..., SLICES // 2].mean()
    return changes


def _error(values: Float64) -> float:
    """Return the standard error of the mean of blocks."""
    return float(np.std(values, ddof=1) / np.sqrt(values.size))
