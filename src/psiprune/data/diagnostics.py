"""Diagnostics of measured shots: statistics, and warnings about suspicious data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core import normal as norm
from psiprune.data.entropy import Entropy, estimate_entropy
from psiprune.data.ordering import Ordering, find_order
from psiprune.data.readout_range import contradicted_rates
from psiprune.data.readout_summary import ReadoutSummary, summarize_readout
from psiprune.data.repeats import Repeats, count_repeats
from psiprune.data.repetition import Repetition, find_repetition, is_grouped
from psiprune.data.serial import FAR_APART, inefficiency
from psiprune.data.shots import Shots
from psiprune.data.sums import compare_halves, sum_up

Float64 = NDArray[np.float64]
#: A warning based on a test appears in at most this fraction of sound data sets.
LEVEL = 1e-4
#: What to do about shots that repeat earlier ones.
RESET = "is the reset incomplete, was anything read out twice? wait longer between shots"
#: A site whose rarer value is rarer than this is biased.
RARE = 0.01
#: The command that keeps a slice of the shots.
_IMPORT = "psiprune import auto FILE --rows {} -o OUT"
_LISTED = 4  # most frequent configurations


class DataWarning(NamedTuple):
    """Something to know before using the data: a name and one line of text."""

    name: str
    line: str


@dataclass(frozen=True, eq=False, repr=False)
class ShotsDescription:
    """The result of `describe_shots`; m is the mean of Z over the sites of a shot.

    Attributes:
        source, basis, provenance: those of the shots.
        shots, sites: their numbers.
        distinct: number of different configurations.
        unique: number of shots whose configuration occurs once.
        frequent: the most frequent configurations, site 0 first, and their counts.
        entropy: of the sampled distribution, in nats.
        magnetization, magnetization_error: <Z_i>, [site]; here and below Z is the measured
            operator, errors grow with the root of the inefficiency, and the error of a single shot
            is NaN.
        abs_magnetization: mean of |m|.
        constant: sites with the same value in every shot.
        up, down: number of shots with more zeros than ones, and with more ones than zeros, over the
            sites that vary.
        z2_p_value: the probability of such a difference if flipped configurations are equally
            probable; exact, binomial.
        neighbours, neighbours_error: C_{i,i+1} = <Z_i Z_{i+1}> - <Z_i><Z_{i+1}>, [bond].
        grouped: whether equal configurations are adjacent, as in counts or in each of several
            joined files of counts, so that the order of the shots has no meaning.
        repeats: configurations followed by themselves.
        memory: the rarer value of a site followed by itself, [site].
        repetition: each shot, or the whole record, repeated exactly, in whatever order; None if it
            is not.
        inefficiency: shots per independent shot: 1 unless repeats, memory or a repetition are
            significant, see `data.serial`.
        halves: <Z_i>, then |m| and the mean of Z_i Z_{i+1}, in the first and in the second half of
            the shots, [half, site + 2].
        drift: their difference in standard deviations of random orders, [site + 2].
        ordering: a chain order found from the correlations; None if there is too little data.
        parameters: of an RBM with N/2 hidden units.
        readout: the readout errors that the shots carry, if any. Only a warning that the shots
            contradict them depends on these; all else is of the recorded bits.
        warnings: what to know before using the data.
    """

    source: str
    basis: str
    provenance: Mapping[str, Any]
    shots: int
    sites: int
    distinct: int
    unique: int
    frequent: tuple[tuple[str, int], ...]
    entropy: Entropy
    magnetization: Float64
    magnetization_error: Float64
    abs_magnetization: float
    constant: tuple[int, ...]
    up: int
    down: int
    z2_p_value: float
    neighbours: Float64
    neighbours_error: Float64
    grouped: bool
    repeats: Repeats
    memory: Repeats
    repetition: Repetition | None
    inefficiency: float
    halves: Float64
    drift: Float64
    ordering: Ordering | None
    parameters: int
    readout: ReadoutSummary | None = None
    warnings: tuple[DataWarning, ...] = ()

    def __repr__(self) -> str:
        """Return the sizes and the names of the warnings in one short line."""
        names = ", ".join(warning.name for warning in self.warnings)
        return f"ShotsDescription(shots={self.shots}, sites={self.sites}, warnings=[{names}])"

    @property
    def memory_p_value(self) -> float:
        """The smallest p-value of all sites, times their number (Bonferroni)."""
        return min(1.0, self.sites * float(self.memory.p_value.min()))

    @property
    def drift_p_value(self) -> float:
        """The p-value of the largest drift, times the number of comparisons (Bonferroni).

        Dependent shots vary more: their standard deviation is that of random orders times the root
        of the inefficiency.
        """
        return min(1.0, float(self._drift_p_values.min()))

    @property
    def _drift_p_values(self) -> Float64:
        sigmas = np.abs(self.drift) / np.sqrt(self.inefficiency)
        return np.asarray(2 * len(self.drift) * norm.sf(sigmas))


def describe_shots(shots: Shots) -> ShotsDescription:
    """Return sizes, entropy, means and correlations of shots, and warnings with their numbers.

    Repeats and drift are compared with random orders of the same shots, so they need no model of
    the state; the symmetry is tested by an exact binomial test, the order of the sites as in
    `find_order`. Each kind of warning appears in at most `LEVEL` of all data sets of independent
    shots (Bonferroni over its comparisons). Without a model, no test can detect that the chain is
    reversed, or that all bits of a symmetric state are inverted.
    """
    bits = shots.bits
    number, sites = bits.shape
    sums = sum_up(bits)
    packed = np.packbits(bits, axis=1)
    rows, counts = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_LISTED]
    listed = np.unpackbits(rows[most].view(np.uint8).reshape(len(most), -1), axis=1, count=sites)
    repeats = count_repeats([counts], [int((packed[1:] == packed[:-1]).all(axis=1).sum())], number)
    rarer = np.minimum(sums.ones, number - sums.ones)
    twice = np.where(2 * sums.ones <= number, sums.ones_twice, sums.zeros_twice)
    m = 1 - 2 * sums.by_shot / sites
    mean = 1 - 2 * sums.ones / number
    # Only varying sites: a dead qubit would always count on one side.
    varying, ones = np.count_nonzero(rarer), sums.by_shot - np.count_nonzero(sums.ones == number)
    up, down = int((2 * ones < varying).sum()), int((2 * ones > varying).sum())
    neighbours, neighbours_error = _neighbours(1 - 2 * sums.walls / number, mean, number)
    halves, drift = compare_halves(sums, number)
    hidden = max(1, sites // 2)
    memory = count_repeats([[count] for count in rarer.tolist()], twice.tolist(), number)
    joined = shots.provenance.get("joined", ())
    parts = max(1, len(joined)) if isinstance(joined, list) else 1
    grouped = bool(repeats.p_value[0] < LEVEL) and is_grouped(packed, parts)
    # Joined counts have no order, even if they are equal.
    repetition = None if grouped and parts > 1 else find_repetition(packed, counts, LEVEL)
    shots_per_independent = 1.0
    if repetition is not None:
        shots_per_independent = float(repetition.copies)
        if repetition.rows:
            once = describe_shots(Shots(repetition.once(bits)))
            shots_per_independent *= once.inefficiency
    elif not grouped and min(repeats.p_value[0], sites * memory.p_value.min()) < LEVEL:
        shots_per_independent = inefficiency(bits)
    wider = math.sqrt(shots_per_independent)
    description = ShotsDescription(
        source=shots.source,
        basis=str(shots.basis),
        provenance=shots.provenance,
        shots=number,
        sites=sites,
        distinct=len(counts),
        unique=int((counts == 1).sum()),
        frequent=tuple(
            ("".join(map(str, row)), int(counts[k]))
            for row, k in zip(listed.tolist(), most, strict=True)
        ),
        entropy=estimate_entropy(counts),
        magnetization=mean,
        magnetization_error=_error(1 - mean**2, number) * wider,
        abs_magnetization=float(np.abs(m).mean()),
        constant=tuple(np.flatnonzero(rarer == 0).tolist()),
        up=up,
        down=down,
        z2_p_value=_fair_coin(up, down, shots_per_independent),
        neighbours=neighbours,
        neighbours_error=neighbours_error * wider,
        grouped=grouped,
        repeats=repeats,
        memory=memory,
        repetition=repetition,
        inefficiency=shots_per_independent,
        halves=halves,
        drift=drift,
        ordering=find_order(bits),
        parameters=sites * hidden + sites + hidden,
        readout=None if shots.readout is None else summarize_readout(shots.readout),
    )
    contradiction = contradicted_rates(shots, shots_per_independent)
    others = [DataWarning("readout", contradiction)] if contradiction else []
    return replace(description, warnings=(*_warnings(description), *others))


def _fair_coin(up: int, down: int, inefficiency: float) -> float:
    """Return the p-value of so many shots, of which fewer are independent."""
    from scipy.special import bdtr

    fewer, more = sorted(round(count / inefficiency) for count in (up, down))
    return min(1.0, 2 * float(bdtr(fewer, fewer + more, 0.5)))


def _neighbours(product: Float64, mean: Float64, number: int) -> tuple[Float64, Float64]:
    """Return C_{i,i+1} from <Z_i Z_{i+1}> and <Z_i>, and its standard error."""
    a, b = mean[:-1], mean[1:]
    value = product - a * b
    # <(Z_i - a)^2 (Z_j - b)^2>, as Z^2 = 1
    square = (1 - a**2) * (1 - b**2) - 4 * a * b * (a * b - product)
    return value, _error(np.maximum(square - value**2, 0.0), number)


def _error(variance: Float64, number: int) -> Float64:
    """Return the standard error of a mean of `number` values; NaN for a single one."""
    if number < 2:
        return np.full(variance.shape, np.nan)
    return np.sqrt(variance / (number - 1))


def _warnings(data: ShotsDescription) -> Iterator[DataWarning]:
    from scipy.special import bdtr

    number, sites, in_z = data.shots, data.sites, data.basis == "Z"
    if not in_z:
        yield DataWarning(
            "basis",
            f"measured in {data.basis} alone, but an RBM needs shots in Z, or in several bases, Z "
            "among them",
        )
    if number < data.parameters:
        yield DataWarning(
            "few",
            f"{number} shots, but an RBM with N/2 hidden units has {data.parameters} parameters; "
            "measure more, or take fewer hidden units",
        )
    # A fair coin shows the same side n times with probability 2^(1-n).
    if data.constant and sites * 2.0 ** (1 - number) < LEVEL:
        ones = [k for k in data.constant if data.magnetization[k] < 0]
        hint = "a dead qubit, or one without readout? leave these sites out"
        if len(ones) == sites:
            hint = "spins of +1 that were read as bits? then read them as spins (--spin)"
        yield DataWarning(
            "constant", f"{_named(data.constant)}: the same value in every shot; {hint}"
        )
    rarer = np.rint((1 - np.abs(data.magnetization)) / 2 * number)
    biased = (bdtr(rarer, number, RARE) < LEVEL / sites) & (rarer > 0)
    if biased.any():
        k = int(np.argmax(np.where(biased, np.abs(data.magnetization), 0)))
        yield DataWarning(
            "bias",
            f"{_named(np.flatnonzero(biased))}: one of the values in less than {RARE:.0%} of the "
            f"shots, at site {k} in {rarer[k] / number:.2%}; is that the state, or the readout?",
        )
    share = data.up / max(1, data.up + data.down)
    # A state far from symmetric is not meant to be symmetric.
    if in_z and data.z2_p_value < LEVEL and 0.25 <= share <= 0.75:
        word = "zeros than ones" if share > 0.5 else "ones than zeros"
        hint = "" if share > 0.5 else "; as relaxation makes zeros, the bits may be inverted"
        way_out = f"correct the readout{hint}"
        if data.readout is not None:
            way_out = "the readout errors that the shots carry may be the reason"
        yield DataWarning(
            "symmetry",
            f"{max(share, 1 - share):.1%} of the shots have more {word} (p = "
            f"{data.z2_p_value:.1g}): nearly, but not symmetric under a flip of all bits; if the "
            f"state is, {way_out}",
        )
    yield from _order_warnings(data)
    other = data.ordering
    if other is not None and other.p_value < LEVEL:
        yield DataWarning(
            "order",
            f"in the order {_named(other.order, '')} neighbours are correlated by "
            f"{other.found_strength:.3f} on average, in the order given by {other.strength:.3f} "
            f"({other.sigmas:.1f} sigma): if the sites are a chain, the register is permuted; "
            "reorder its columns",
        )


def _order_warnings(data: ShotsDescription) -> Iterator[DataWarning]:
    """Yield the warnings that depend on the order of the shots."""
    if data.repetition is not None:
        way_out = "analyse the original record, before it was copied"
        if data.repetition.rows:
            way_out = f"keep each once: {_IMPORT.format(data.repetition.rows)}"
        yield DataWarning(
            "repetition",
            f"{data.repetition.found}; at most {data.shots // data.repetition.copies} of the "
            f"{data.shots} shots are independent; {way_out}",
        )
    elif data.grouped:
        yield DataWarning(
            "grouped",
            "equal configurations are adjacent, as in counts: the order of the shots is lost; "
            "shuffle them before you split them",
        )
    else:
        yield from _serial_warnings(data)
    if data.drift_p_value < LEVEL and not data.grouped:
        k, p = int(np.argmax(np.abs(data.drift))), data.basis
        names = [f"<{p}> of site {site}" for site in range(data.sites)]
        names += ["|m|", f"the mean of {p} {p}"]
        beyond = data._drift_p_values < LEVEL
        yield DataWarning(
            "drift",
            f"{names[k]} is {data.halves[0, k]:.4f} in the first half of the shots and "
            f"{data.halves[1, k]:.4f} in the second ("
            f"{abs(data.drift[k]) / np.sqrt(data.inefficiency):.1f} sigma; so drift "
            f"{beyond.sum()} of {len(beyond)} means); calibrate again, or keep "
            f"the sound part, such as the first half: {_IMPORT.format(f':{data.shots // 2}')}",
        )


def _serial_warnings(data: ShotsDescription) -> Iterator[DataWarning]:
    """Yield the warnings that a shot depends on the one before."""
    if data.repeats.p_value[0] < LEVEL:
        yield DataWarning(
            "repeats",
            f"{data.repeats.observed[0]} shots equal the one before, by chance it would be "
            f"{data.repeats.expected[0]:.1f}; {RESET}",
        )
    if data.memory_p_value < LEVEL:
        sites = np.flatnonzero(data.memory.p_value < LEVEL / data.sites)
        k = int(np.argmin(data.memory.p_value))
        yield DataWarning(
            "memory",
            f"{_named(sites)}: the value of the shot before repeats too often, at site {k} the "
            f"rarer one {data.memory.observed[k]} times, by chance it would be "
            f"{data.memory.expected[k]:.1f}; {RESET}",
        )
    if data.inefficiency > 1:
        step = math.ceil(FAR_APART * data.inefficiency)
        yield DataWarning(
            "dependent",
            f"consecutive shots are correlated: the {data.shots} shots count as about "
            f"{data.shots / data.inefficiency:.0f} independent ones; keep one in {step}: "
            f"{_IMPORT.format(f'::{step}')}",
        )


def _named(sites: Sequence[int] | NDArray[np.intp], word: str = "site") -> str:
    """Return "site 3", "sites 3, 5" or "sites 0, 1, ... (20)"; without a word only the numbers."""
    numbers = ", ".join(str(k) for k in sites[:12]) + (f", ... ({len(sites)})" * (len(sites) > 12))
    return f"{word}{'s' * (len(sites) > 1)} {numbers}" if word else numbers
