"""Time and memory of a training before it begins, from a short probe on this machine.

How the time grows with the sizes is known: operations of each kind, at the seconds that each took
on one core of a recent x86-64 server. The probe takes a few steps of the training, of a smaller one
if a step is long, and measures how much slower or faster this machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from psiprune.core.exceptions import DivergenceError
from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.rbm.edges import product_work
from psiprune.rbm.init import check_hidden, initial_rbm
from psiprune.rbm.posterior import TRUE_STEPS
from psiprune.training.contrastive_divergence import ContrastiveDivergence
from psiprune.training.limits import Needs
from psiprune.training.method import Method
from psiprune.training.natural_gradient import VISITS, NaturalGradient, parts_of
from psiprune.training.natural_metric import (
    FIRST_PRODUCTS,
    MORE_PRODUCTS,
    MOST_DIRECTIONS,
    RECORDS,
    REPEATS,
    forms_fisher,
)

# Seconds of an operation, measured on one core.
VISIT = 1e-10  # of a weight in a Gibbs step
SINGLE, DOUBLE, FACTOR = 1e-11, 3.3e-11, 5e-11  # multiply-add: float32, float64, Cholesky
ENTRY = 6e-9  # of the table of derivatives [parameter, configuration] behind a Fisher matrix
STATE = 8e-9  # a unit of the larger layer in one of all states of the smaller layer
TRUE_STATE = 1.2e-8  # a hidden unit in one of all states of the true bits, with readout errors
#: Seconds of a step besides: calls of Python and of threads.
_CALLS = 5e-4
#: Steps of a training that converges, and steps between two Fisher matrices of the stochastic one.
_CONVERGED, _FISHER_AGE = 70, 16
_SAMPLE = 8192  # configurations behind the Fisher matrix of the exact method
_FEW_SHOTS = 500
#: Short steps are repeated for so many seconds, or so often.
_ENOUGH, _MOST_STEPS = 0.02, 20
#: Seconds that a probe may take, nominal, and the share of all the work.
_PROBE_SECONDS, _PROBE_SHARE = 0.3, 0.02
#: Returns time and processor time in seconds.
Clock = Callable[[], tuple[float, float]]


class Size(NamedTuple):
    """Sizes that time and memory depend on."""

    sites: int
    hidden: int
    shots: int
    weights: int
    readout: bool = False

    @classmethod
    def dense(cls, sites: int, hidden: int, shots: int, readout: bool = False) -> Size:
        """Return the size of a training of all weights, on shots with readout errors or without."""
        return cls(sites, hidden, shots, sites * hidden, readout)

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.sites + self.hidden

    @property
    def work(self) -> int:
        """Multiply-adds of a product of the weights with a configuration."""
        return product_work(self.weights, self.sites, self.hidden)

    @property
    def units(self) -> int:
        """Units of the smaller layer."""
        return min(self.sites, self.hidden)


@dataclass(frozen=True)
class Speed:
    """Seconds of this machine for a nominal second: elapsed, and of processor time."""

    elapsed: float = 1.0
    processor: float = 1.0


def clock() -> tuple[float, float]:
    """Return the time and the processor time of this process, in seconds."""
    return time.perf_counter(), time.process_time()


def step_seconds(method: Method, size: Size, first: bool = False) -> float:
    """Return the nominal seconds of a step; the mean over a training, or those of the first."""
    p, shots = float(size.parameters), float(size.shots)
    if isinstance(method, NaturalGradient):
        shots /= parts_of(size.shots, method.chains)
    true_bits = VISIT * shots * TRUE_STEPS * size.weights if size.readout else 0.0
    if isinstance(method, ContrastiveDivergence):
        return _CALLS + VISIT * shots * (method.steps + 1) * size.weights + true_bits
    if isinstance(method, NaturalGradient):
        rows, entries = method.chains, method.chains
        if size.readout:
            rows = min(round(shots), RECORDS)
            entries = REPEATS * rows
        age = 1 if first else _FISHER_AGE
        if forms_fisher(size.parameters, size.work):
            fisher = (SINGLE * p * rows + ENTRY * entries + FACTOR / 3 * p**2) * p / age
        else:
            products = MORE_PRODUCTS + (FIRST_PRODUCTS - MORE_PRODUCTS) / age
            work = size.sites * size.hidden if size.readout else size.work
            fisher = 2 * products * SINGLE * entries * work
        gibbs = VISIT * method.chains * method.steps * size.weights
        visits = min(VISITS, method.steps)
        scores = 3 * SINGLE * (visits * method.chains + shots) * size.work
        return 8 * _CALLS + gibbs + scores + true_bits + fisher
    if size.readout:
        states = 2.0**size.sites
        fisher = ((DOUBLE * p + ENTRY) * min(states, _SAMPLE) + FACTOR / 3 * p**2) * p
        return _CALLS + fisher + TRUE_STATE * states * size.hidden
    configurations = min(size.shots, 2**size.sites)
    fisher = ((DOUBLE * p + ENTRY) * min(configurations, _SAMPLE) + FACTOR / 3 * p**2) * p
    states = STATE * 2.0**size.units * max(size.sites, size.hidden)
    return _CALLS + fisher + states + 2 * DOUBLE * configurations * size.weights


def training_seconds(method: Method, size: Size) -> float:
    """Return the nominal seconds of a training from initial weights."""
    steps = min(method.epochs, _CONVERGED) if method.CONVERGES else method.epochs
    if isinstance(method, NaturalGradient) and steps:
        first, mean = (step_seconds(method, size, first) for first in (True, False))
        return first + (steps - 1) * mean
    return steps * step_seconds(method, size)


def training_bytes(method: Method, size: Size) -> float:
    """Return the bytes of the large arrays of a training, without the shots themselves."""
    p, shots = float(size.parameters), float(size.shots)
    if isinstance(method, ContrastiveDivergence):
        return 40 * size.weights + shots * size.sites / 8
    if isinstance(method, NaturalGradient):
        arrays = 4 * (method.chains + shots) * (size.sites + size.hidden)
        formed = forms_fisher(size.parameters, size.work)
        arrays += 16 * p * (p if formed else MOST_DIRECTIONS)
        drawn = 4 * REPEATS * min(shots, RECORDS) * (size.sites + size.hidden)
        return arrays + (drawn if size.readout else 0.0)
    if size.readout:
        states = 2.0**size.sites  # their bits, and eight tables over them
        fisher = 24 * p**2 + 16 * p * min(states, _SAMPLE)
        return fisher + 8 * states * (size.sites + 8)
    configurations = min(shots, 2**size.sites)
    fisher = 24 * p**2 + 16 * p * min(configurations, _SAMPLE)
    states = 16 * 2.0**size.units * max(size.sites, size.hidden)
    return fisher + states + 8 * configurations * (size.sites + size.hidden)


def training_needs(
    method: Method, shots: Shots, hidden: int, weights: int | None = None, now: Clock = clock
) -> Needs:
    """Return what a training of an RBM of these weights, by default all, takes on this machine.

    Raises:
        InputError: the RBM would have too many weights.
    """
    hidden = check_hidden(shots.sites, hidden)
    size = Size.dense(shots.sites, hidden, len(shots), shots.readout is not None)
    if weights is not None:
        size = size._replace(weights=weights)
    nominal = training_seconds(method, size)
    speed = probe(method, shots, hidden, nominal, now)
    return Needs(speed.elapsed * nominal, training_bytes(method, size) + shots.bits.nbytes)


def probe(method: Method, shots: Shots, hidden: int, planned: float, now: Clock = clock) -> Speed:
    """Return the speed of this machine, from steps of this training, or of a smaller one.

    They take less than a second or a few percent of the `planned` nominal seconds. Nothing of them
    remains: random streams follow from seeds.
    """
    size = Size.dense(shots.sites, hidden, len(shots), shots.readout is not None)
    size = _affordable(method, size, planned)
    if method.epochs == 0 or size.hidden == 0:
        return Speed()
    _steps(method, shots, size, 2)  # compiles all kernels for arrays of these shapes and layouts
    wanted = max(2, min(_MOST_STEPS, round(_ENOUGH / step_seconds(method, size))))
    begin = now()
    taken = _steps(method, shots, size, wanted)
    elapsed, processor = (after - before for before, after in zip(begin, now(), strict=True))
    nominal = sum(step_seconds(method, size, first=k == 0) for k in range(taken))
    return Speed(max(elapsed, 1e-9) / nominal, max(processor, 1e-9) / nominal)


def _affordable(method: Method, size: Size, planned: float) -> Size:
    """Return the largest of these sizes and their halves of which a probe may take two steps."""
    budget = min(_PROBE_SECONDS, _PROBE_SHARE * planned)
    while 2 * step_seconds(method, size, first=True) > budget:
        sites, hidden, shots, _, readout = size
        if shots > _FEW_SHOTS:
            size = Size.dense(sites, hidden, max(_FEW_SHOTS, shots // 2), readout)
        elif max(sites, hidden) > 4:
            smaller = (sites, hidden // 2) if hidden > sites else (sites // 2, hidden)
            size = Size.dense(*smaller, shots, readout)
        else:
            break
    return size


@single_blas_thread()
def _steps(method: Method, shots: Shots, size: Size, most: int) -> int:
    """Take steps of a training of this size on the first shots and sites; return how many."""
    bits = np.ascontiguousarray(shots.bits[: size.shots, : size.sites])
    readout = shots.readout and shots.readout.of_sites(range(size.sites))
    part = Shots(bits, source="probe", readout=readout)
    symmetry: str | None = getattr(method, "symmetry", None)
    if symmetry is not None:  # all take the same time, and some sites alone have no lattice
        name = "flip-mirror" if symmetry == "found" else symmetry.replace("lattice", "mirror")
        method = method.model_copy(update={"symmetry": name})
    state = method.init(initial_rbm(size.sites, size.hidden, 0), part, 0)
    for step in range(min(most, method.epochs)):
        try:
            state, _ = method.step(state)
        except DivergenceError:
            return step + 1
        if state.done:
            return step + 1
    return min(most, method.epochs)
