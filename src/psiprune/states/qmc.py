"""Shots of ground states beyond the reach of DMRG, by projector quantum Monte Carlo.

For an Ising model in a transverse field, with any couplings between pairs of sites, all terms of
H' = sum_i h_i (1 + X_i) + sum_b |J_b| (1 + s_b Z Z) have elements that are not negative, so

    |psi|^2(v) = lim_M <+| H'^M |v> <v| H'^M |+> / <+| H'^(2M) |+>

is a sum of positive weights of strings of 2 M terms, which are sampled by cluster updates. There is
no discretisation error; that of a finite M falls as (lambda_1 / lambda_0)^M, with the two largest
eigenvalues of H' of even parity. Constants h_i make up the share sum_i h_i / lambda_0 of all terms,
up to an error of (lambda_1 / lambda_0)^(2 M): this gives the energy.

Source: A. W. Sandvik, Phys. Rev. E 68, 056701 (2003), and with projection S. Inglis and
R. G. Melko, New J. Phys. 15, 073048 (2013).
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import count, expect, progress_bar
from psiprune.core.random import Stream, stream_key
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots
from psiprune.kernels.qmc import SLICES, Operators, projector_sweeps
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.signs import positive_frame
from psiprune.states.spin_models import SpinModel
from psiprune.states.tfim import TFIM

Float64 = NDArray[np.float64]
_LOG = logging.getLogger(__name__)
#: Independent chains, so that results do not depend on the number of threads.
CHAINS = 4
#: Sweeps of a chain before its first shot; the first of them are not measured.
PILOT, _UNMEASURED = 1000, 200
#: Blocks of a chain whose means give errors and autocorrelation times, 18 % accurate with 64.
_BLOCKS = 16
#: Largest relative change of <m^2>, and of the number of satisfied bonds, where the projection is
#: halved, beyond twice its error. Errors fall exponentially: the chosen projection is twice the
#: first that passes, so what remains is about the fourth power of the change.
_LARGEST_CHANGE = np.array([0.05, 0.005])
#: Largest number of terms of a string. Memory: 20 bytes each, for each chain.
_MOST_TERMS = 1 << 26


@one_line
class QMCSample(NamedTuple):
    """Shots of a ground state by quantum Monte Carlo, and what is known of their quality.

    Attributes:
        shots: shots of |psi|^2 in the Z basis, nearly independent.
        energy, energy_error: <H> and its standard error, total, in the units of the model. Without
            statistical errors it is an upper bound.
        projection: M, number of terms on either side of the shots.
        thin: number of sweeps from a shot to the next one.
        autocorrelation_time: the longer one of m^2 and the energy, 1 + 2 sum_t rho(t), in sweeps.
        halved, halved_error: relative change of `<m^2>` at half the projection. Errors of the shots
            are about the square of it, as they fall exponentially with the projection.
    """

    shots: Shots
    energy: float
    energy_error: float
    projection: int
    thin: int
    autocorrelation_time: float
    halved: float
    halved_error: float

    def summary(self) -> dict[str, float]:
        """Return all numbers by name."""
        return {name: value for name, value in self._asdict().items() if name != "shots"}


def quantum_monte_carlo(
    model: TFIM | SpinModel | Hamiltonian,
    shots: int,
    seed: int = 0,
    *,
    projection: int | None = None,
    progress: bool = True,
) -> QMCSample:
    """Sample the ground state of an Ising model in a transverse field on any graph.

    The same seed gives the same shots with any number of threads.

    Args:
        model: a sum of fields along X on all sites and couplings Z Z of pairs, of either sign.
        shots: number of shots.
        seed: of the four chains.
        projection: M, number of terms on either side of the shots. By default that of an imaginary
            time of 1 / max h_i, doubled until `<m^2>` changes by less than 5 % and the number of
            satisfied bonds by less than 0.5 % where it is halved, and then once more.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: a term is no field along X and no coupling Z Z, a site has no field, or a
            number is out of range.
    """
    check_count("shots", shots, 1)
    check_seed(seed)
    hamiltonian = model if isinstance(model, Hamiltonian) else model.hamiltonian()
    fields, couplings = _parts(positive_frame(hamiltonian))
    operators, total = _operators(fields, couplings), fields.sum() + np.abs(couplings.values).sum()
    per_chain = -(-shots // CHAINS)
    with progress_bar(None, "Monte Carlo", "sweeps", progress):
        if projection is None:
            projection = _projection(operators, fields, couplings.values, seed)
        else:
            check_count("projection", projection, 1, _MOST_TERMS // 2)
        chains = _chains(operators, len(fields), projection, seed)
        pilot = _run(chains, PILOT - _UNMEASURED, 1, _UNMEASURED)
        time = _autocorrelation_time(pilot)
        thin = int(np.ceil(2 * time))
        expect("sweeps", CHAINS * per_chain * thin)
        run = _run(chains, per_chain, thin)
    constants, (changes, _) = run.constants, _halved(run)
    largest = fields.sum() * 2 * projection / constants.mean()  # lambda_0
    numbers: dict[str, Any] = {
        "energy": float(total - largest + hamiltonian.offset),
        "energy_error": float(largest * _error(constants) / constants.mean()),
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
    bits = run.bits[:shots]
    bits.setflags(write=False)
    source = "psiprune.quantum_monte_carlo"
    return QMCSample(Shots(bits, source=source, provenance=provenance), **numbers)


class _Couplings(NamedTuple):
    pairs: NDArray[np.int32]  # [bond, end]
    values: Float64  # J_b, [bond]


def _parts(model: Hamiltonian) -> tuple[Float64, _Couplings]:
    """Return h [site] and J [bond] of -sum_i h_i X_i - sum_b J_b Z Z, and refuse other terms."""
    fields, pairs, values = np.zeros(model.sites), [], []
    for term in model.terms:
        sites = list(term.letters)
        if term.signs == 0 and len(sites) == 1:
            fields[sites[0]] = -term.coefficient
        elif term.flips == 0 and len(sites) == 2:
            pairs.append(sites)
            values.append(-term.coefficient)
        elif sites:
            raise InputError(
                f"hamiltonian: quantum Monte Carlo takes fields along X and couplings Z Z of pairs,"
                f" found {term.string}; use ground_state and sample"
            )
    if not fields.all():
        raise InputError(
            f"hamiltonian: quantum Monte Carlo needs a field along X on each site, found none on "
            f"site {int((fields == 0).argmax())}; use ground_state and sample"
        )
    table = np.array(pairs, np.int32).reshape(-1, 2)
    return fields, _Couplings(table, np.array(values, np.float64))


def _operators(fields: Float64, couplings: _Couplings) -> Operators:
    """Return the terms, with Walker's alias table of their weights h_i and 2 |J_b|."""
    weights = np.concatenate([fields, 2 * np.abs(couplings.values)])
    cells = len(weights)
    share, other = weights * (cells / weights.sum()), np.arange(cells, dtype=np.int32)
    small, large = ([*np.flatnonzero(some)] for some in (share < 1, share >= 1))
    while small and large:
        less, more = small.pop(), large[-1]
        other[less] = more
        share[more] -= 1 - share[less]
        if share[more] < 1:
            small.append(large.pop())
    threshold = np.minimum(share * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    threshold[other == np.arange(cells)] = 2**32 - 1
    first, second = np.ascontiguousarray(couplings.pairs.T)
    return Operators(threshold, other, first, second, (couplings.values < 0).astype(np.uint8))


class _Chain:
    """A string of operators and the bits before it, which sweeps change in place."""

    def __init__(self, operators: Operators, sites: int, projection: int, seed: int, number: int):
        """Start with all bits 0 and constants in turn."""
        self.operators, self.seed, self.number, self.calls = operators, seed, number, 0
        self.start = np.zeros(sites, np.uint8)
        self.string = (np.arange(2 * projection) % sites).astype(np.int32)

    def sweep(self, shots: int, thin: int) -> tuple[NDArray[np.uint8], Float64, Float64]:
        """Sweep thin times for each shot.

        Returns:
            Bits [shot, site], the mean number of constants [sweep], and [sweep, measure, slice] m^2
            and the number of satisfied bonds.
        """
        sites, sweeps = len(self.start), shots * thin
        key = stream_key(self.seed, Stream.QMC, len(self.string), self.number, self.calls)
        self.calls += 1
        bits, constants = np.empty((shots, sites), np.uint8), np.empty(sweeps)
        satisfied, ones = (np.empty((sweeps, SLICES), np.int32) for _ in range(2))
        projector_sweeps(
            self.start, self.string, self.operators, thin, key, bits, constants, satisfied, ones
        )
        count("sweeps", sweeps)
        return bits, constants, np.stack([(1 - 2 * ones / sites) ** 2, satisfied], axis=1)


def _chains(operators: Operators, sites: int, projection: int, seed: int) -> list[_Chain]:
    return [_Chain(operators, sites, projection, seed, number) for number in range(CHAINS)]


class _Run(NamedTuple):
    """Shots, and means over blocks of sweeps of each chain.

    Attributes:
        bits: [shot, site], chain by chain.
        constants: mean number of constants in the string, [chain, block].
        measures: m^2 and the number of satisfied bonds, [measure, chain, block, slice].
        length: number of sweeps of a block.
        variances: of the number of constants, and of m^2 in the middle, over sweeps.
    """

    bits: NDArray[np.uint8]
    constants: Float64
    measures: Float64
    length: float
    variances: tuple[float, float]


def _run(chains: list[_Chain], shots: int, thin: int, unmeasured: int = 0) -> _Run:
    """Draw shots from each chain, after some sweeps that are not measured."""
    parts = np.diff(np.linspace(0, shots, min(_BLOCKS, shots) + 1).astype(int)).tolist()

    def of_chain(chain: _Chain) -> list[tuple[NDArray[np.uint8], Float64, Float64]]:
        if unmeasured:
            chain.sweep(unmeasured, 1)
        return [chain.sweep(part, thin) for part in parts]

    runs = map_threads(of_chain, chains)
    bits, constants, measures = zip(*(block for run in runs for block in run), strict=True)
    shape = (CHAINS, len(parts))
    means = np.array([each.mean(axis=0) for each in measures])  # [block, measure, slice]
    squares = np.concatenate([each[:, 0, SLICES // 2] for each in measures])
    return _Run(
        np.concatenate(bits),
        np.array([each.mean() for each in constants]).reshape(shape),
        np.moveaxis(means.reshape(*shape, 2, SLICES), 2, 0),
        shots * thin / len(parts),
        (float(np.var(np.concatenate(constants))), float(np.var(squares))),
    )


def _halved(run: _Run) -> Float64:
    """Return relative changes at half the projection, [measure, chain, block]."""
    middle = run.measures[..., SLICES // 2]
    change: Float64 = run.measures[..., ::2].mean(axis=-1) - middle
    return change / middle.mean(axis=(1, 2), keepdims=True)


def _error(values: Float64) -> float:
    """Return the standard error of the mean of blocks [chain, block]."""
    return float(np.std(values, ddof=1) / np.sqrt(values.size))


def _autocorrelation_time(run: _Run) -> float:
    """Return the longer integrated autocorrelation time in sweeps, at least 1.

    The variance of the mean of a block of n sweeps is that of a sweep times tau / n.
    """
    times = [1.0]
    blocks = run.constants, run.measures[0, ..., SLICES // 2]
    for means, variance in zip(blocks, run.variances, strict=True):
        if variance > 0:
            times.append(float(run.length * np.var(means, ddof=1) / variance))
    return max(times)


def _projection(operators: Operators, fields: Float64, couplings: Float64, seed: int) -> int:
    """Return twice the first projection that is long enough, see `quantum_monte_carlo`.

    At short times changes from one slice to another are of second order, so the bonds are also
    compared with those of the projection before.
    """
    projection = int(np.ceil((fields.sum() + 2 * np.abs(couplings).sum()) / fields.max()))
    before = 0.0
    while 4 * projection <= _MOST_TERMS:
        run = _run(
            _chains(operators, len(fields), projection, seed), PILOT - _UNMEASURED, 1, _UNMEASURED
        )
        changes = _halved(run)
        large = [
            abs(change.mean()) > limit + 2 * _error(change)
            for change, limit in zip(changes, _LARGEST_CHANGE, strict=True)
        ]
        bonds = run.measures[1, ..., SLICES // 2]
        grown = bonds.mean() - before > 2 * _LARGEST_CHANGE[1] * bonds.mean() + 3 * _error(bonds)
        if not any(large) and not grown:
            return 2 * projection
        projection, before = 2 * projection, bonds.mean()
    raise InputError(
        f"projection: with {projection // 2:,} terms <m^2> still depends on it, and twice as many "
        "do not fit in memory; give a projection"
    )
