"""Equivalence tests of a model with held-out shots, all in nats per shot.

Whatever a model gets wrong is expressed in one unit: the log-likelihood per shot that it loses
relative to the distribution q of the shots, KL(q || p). It is estimated in three ways.

- *Likelihood.* The loss against other models on held-out shots, see `judge_mean`, plus what
  those models lose themselves because their training shots are few, see `training_loss`.
- *Observables.* To shift a mean by delta costs at least delta^2 / (2 V) nats per shot, V the
  variance of a single shot: of all distributions with the other mean an exponentially tilted one
  is nearest, to leading order in delta (Csiszar 1975).
- *Configurations.* By the data-processing inequality the KL divergence over cells of
  configurations is at most that over configurations.

With a tolerance T, a model passes if the loss is at most T and its 95 % confidence interval ends
below 2 T; it fails if the loss is above T with 95 % confidence over all families of tests
(Bonferroni). Otherwise the shots cannot tell, and the answer says how many could: an equivalence
test with an indifference zone from T to 2 T (Schuirmann 1987).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core import normal as norm
from psiprune.core.repr import one_line

Answer = Literal["pass", "fail", "undecided"]
#: A model with a loss of T fails at most this often, over all families of tests.
LEVEL = 0.05
#: A model with a loss of 2 T passes at most this often: the upper end of a 95 % interval.
#: For observables 5 %: the largest of many deviations is selected, and so is high by itself.
PASS_LEVEL, OBSERVABLE_LEVEL = 0.025, 0.05
#: Families of tests that share the level of failing: likelihood, independent bits, the best model,
#: observables, sites and pairs, configurations.
FAMILIES = 6
#: A faithful model passes with this probability if there are as many shots as needed.
POWER = 0.9
#: A configuration has a cell of its own if so many of the shots are expected to show it.
_CELL_SHOTS = 5.0
#: A basis has enough shots if such a loss in it would fail, two bits per shot.
_VISIBLE = 2 * math.log(2)
_Z_PASS, _Z_FAIL = float(norm.isf(PASS_LEVEL)), float(norm.isf(LEVEL / FAMILIES))
_Z_OBSERVABLE = float(norm.isf(OBSERVABLE_LEVEL))
_Z_NEEDED = _Z_PASS + float(norm.isf(1 - POWER))


@one_line
class LossTest(NamedTuple):
    """The answer of an equivalence test, and the loss behind it in nats per shot.

    Attributes:
        answer: "pass", "fail" or "undecided".
        loss, error: the estimate and its standard error.
        low, high: the confidence bounds that are compared with T and 2 T.
        shots_needed: with so many held-out shots a faithful model would pass with probability
            90 %; NaN unless undecided.
        which: of several observables, the one with the highest bound.
    """

    answer: Answer
    loss: float
    error: float
    low: float
    high: float
    shots_needed: float
    which: int = 0


def _decide(
    loss: float, error: float, low: float, high: float, tolerance: float, needed: float, index: int
) -> LossTest:
    passes = loss <= tolerance and high <= 2 * tolerance
    answer: Answer = "pass" if passes else "fail" if low > tolerance else "undecided"
    needed = needed if answer == "undecided" else float("nan")
    return LossTest(answer, loss, error, low, high, needed, index)


def judge_mean(
    loss: float, error: float, shots: float, tolerance: float, spread: float = 0.0
) -> LossTest:
    """Test a mean loss over `shots` shots with a standard error, and a spread that adds to it.

    The error is at least 1 / shots, since what none of n shots has shown may occur in one of n.
    With more shots the loss L of a faithful model and the spread s fall like 1 / n, and the error e
    like n^(-1/2): x^2 times fewer shots are needed, (L + z s) x^2 + z e x = 2 T and L x^2 <= T. A
    gain stays.
    """
    error = max(error, 1 / shots)
    both = math.hypot(error, spread)
    noise, falling = _Z_NEEDED * error, max(loss, 0.0) + _Z_NEEDED * spread
    room = 2 * tolerance - min(loss, 0.0)
    x = 2 * room / (noise + math.sqrt(noise**2 + 4 * room * falling))
    if loss > tolerance:
        x = min(x, math.sqrt(tolerance / loss))
    low, high = loss - _Z_FAIL * both, loss + _Z_PASS * both
    return _decide(loss, both, low, high, tolerance, float(shots / x**2), 0)


def training_loss(replicas: ArrayLike, parameters: int) -> tuple[float, float]:
    """Return what an RBM of P parameters loses because its training shots are few, and the error.

    Args:
        replicas: KL divergences from the RBM of others that were trained on draws of it,
            [replica]: how far they are from it is how far it is from the state (the parametric
            bootstrap, Efron 1979). With many shots n it is P / (2n) (Akaike 1974).
        parameters: P. Their spread is at least (2 / P)^(1/2) of the mean (Wilks 1938).
    """
    losses = np.maximum(np.asarray(replicas, float), 0.0)
    mean, least = float(losses.mean()), math.sqrt(2 / parameters)
    spread = float(losses.std(ddof=1)) if len(losses) > 1 else 0.0
    return mean, max(spread, least * mean) * math.sqrt(1 + 1 / len(losses))


def judge_observables(
    deviation: ArrayLike, error: ArrayLike, variance: ArrayLike, shots: float, tolerance: float
) -> LossTest:
    """Test the largest loss that deviations of observables imply, delta^2 / (2 V).

    Args:
        deviation: mean of the model minus that of the shots, delta [observable].
        error: standard error of the model's mean, [observable].
        variance: of a single shot, V [observable]; above 0 unless RBM and shots agree exactly.
        shots: number of shots n; the error of their mean is (V / n)^(1/2).
        tolerance: T.
    """
    delta, model, v = (np.atleast_1d(np.asarray(x, float)) for x in (deviation, error, variance))
    v = np.maximum(v, np.finfo(float).tiny)
    size, e = np.abs(delta), np.sqrt(v / shots + model**2)
    z = float(norm.isf(LEVEL / FAMILIES / (2 * size.size)))
    loss, lows, highs = (
        np.maximum(x, 0.0) ** 2 / (2 * v) for x in (size, size - z * e, size + _Z_OBSERVABLE * e)
    )
    k, low = int(np.argmax(highs)), float(lows.max())
    # The largest of K deviations that are noise reaches so many errors with probability 1 - POWER.
    noise = float(norm.isf((1 - POWER) / (2 * size.size)))
    room = math.sqrt(4 * tolerance) - math.sqrt(2 * min(low, tolerance))
    needed = ((_Z_OBSERVABLE + noise) / room) ** 2
    spread = float(size[k] * e[k] / v[k])
    return _decide(float(loss[k]), spread, low, float(highs[k]), tolerance, needed, k)


@one_line
class Cells(NamedTuple):
    """KL divergence over cells of configurations, nats per shot.

    Attributes:
        divergence: sum over cells of f log(f / p), f the frequency among the shots.
        cells: their number, counting those where less than one shot is expected by that number.
        unseen, expected: fraction of the shots whose configuration the training set does not
            contain, and its value by the model.
    """

    divergence: float
    cells: float
    unseen: float
    expected: float


def cell_divergence(log_p: ArrayLike, counts: ArrayLike, shots: int) -> Cells:
    """Return the KL divergence of shots from a model over cells of configurations.

    A configuration of the training set is a cell if the model expects at least 5 shots of it; its
    other configurations are one cell, and those that it does not contain another. So the cells do
    not depend on the shots that are tested.

    Args:
        log_p: log p(v) of each distinct configuration of the training set, [configuration].
        counts: how many of the shots show it, [configuration].
        shots: number of all shots n.
    """
    p, f = np.exp(np.asarray(log_p, float)), np.asarray(counts, float) / shots
    own = p * shots >= _CELL_SHOTS
    expected, unseen = max(1 - float(p.sum()), 0.0), max(1 - float(f.sum()), 0.0)
    cells_p = np.array([*p[own], p[~own].sum(), expected])
    cells_f = np.array([*f[own], f[~own].sum(), unseen])
    # The probability of a cell may be rounded to 0, but is never 0.
    cells_p = np.maximum(cells_p / cells_p.sum(), np.finfo(float).tiny)
    some = cells_f > 0
    divergence = float((cells_f[some] * np.log(cells_f[some] / cells_p[some])).sum())
    number = float(np.minimum(cells_p * shots, 1.0).sum())
    return Cells(divergence, number, unseen, expected)


def deviance(prob: ArrayLike, counts: ArrayLike) -> tuple[float, int]:
    """Return the deviance of shots from a model over cells of outcomes, and its freedom.

    2 sum_c n_c log(n_c / (n p_c)), over Williams' correction (1976), follows chi-squared with k =
    cells - 1 degrees of freedom if the model is right (Wilks 1938); non-central with 2 n KL if not.
    An outcome is a cell if the model expects at least one shot of it; the others fill cells in the
    order of their probability. For the rest, the model is given one shot.

    Args:
        prob: p(x) of all outcomes, [outcome].
        counts: how many of the n shots show each, [outcome].
    """
    p, seen = np.asarray(prob, float), np.asarray(counts, float)
    order = np.argsort(-p, kind="stable")
    shots = seen.sum()
    starts, filled = [0], 0.0
    for place, expected in enumerate((p[order] * shots).tolist()):
        if filled >= 1:
            starts.append(place)
            filled = 0.0
        filled += expected
    cells_p, cells = (np.add.reduceat(each[order], starts) for each in (p, seen))
    cells_p = np.maximum(cells_p, 1 / shots)
    cells_p /= cells_p.sum()
    freedom = len(cells) - 1
    if freedom == 0:
        return 0.0, 0
    some = cells > 0
    raw = 2 * float((cells[some] * np.log(cells[some] / (shots * cells_p[some]))).sum())
    return raw / (1 + (float((1 / cells_p).sum()) - 1) / (6 * shots * freedom)), freedom


def judge_bases(
    deviances: ArrayLike, freedoms: ArrayLike, shots: ArrayLike, tolerance: float
) -> tuple[Answer, int, float, float]:
    """Test each basis on its own, in nats per shot of that basis.

    "fail" if a loss of at most T explains a deviance with less than 5 % over all families and
    bases. "undecided" if no loss explains it so rarely and it may be above 2 T, or if a basis has
    so few shots that a loss of two bits per shot would not fail.

    Args:
        deviances, freedoms: see `deviance`, [basis].
        shots: in each basis, [basis].
        tolerance: T.

    Returns:
        The answer, the basis that decides it, how likely so large a deviance is in it if the model
        is right, and how many times as many shots are needed; NaN unless undecided.
    """
    from scipy.special import chdtrc, chndtr, chndtrix

    found, k, n = (np.asarray(each, float) for each in (deviances, freedoms, shots))
    level = LEVEL / FAMILIES / found.size
    some = np.maximum(k, 1)
    chance = np.where(k > 0, chdtrc(some, found), 1.0)
    within = np.where(k > 0, 1 - chndtr(found, some, 2 * n * tolerance), 1.0)
    worst = int(np.argmin(within))
    if within[worst] < level:
        return "fail", worst, float(chance[worst]), float("nan")
    open_ = (chance < level) & (chndtr(found, some, 4 * n * tolerance) > PASS_LEVEL)
    if open_.any():
        worst = int(np.argmin(np.where(open_, chance, 1.0)))
        return "undecided", worst, float(chance[worst]), 2.0
    seen = chndtrix(1 - level, some, 2 * n * tolerance)
    short = np.where(k > 0, seen / (2 * n * _VISIBLE), 4.0)
    if short.max() > 1:
        worst = int(np.argmax(short))
        return "undecided", worst, float(chance[worst]), 1.2 * float(short[worst])
    worst = int(np.argmin(chance))
    return "pass", worst, float(chance[worst]), float("nan")


def judge_cells(cells: Cells, shots: float, tolerance: float) -> LossTest:
    """Test the divergence over cells.

    2 n times the divergence of a perfect model follows chi-squared with k = cells - 1 degrees of
    freedom (Wilks 1938), so k / (2n) is subtracted. The variance is that of a non-central
    chi-squared, (k + 4 n D) / (2 n^2).

    Where few shots repeat a training shot, that says little of the others. But if they repeat r
    times as often as the model expects, the model lacks structure, and log r is what it loses on
    these: if that is above 2 T^(1/2) with 95 % confidence, the answer is not "pass". So much is the
    standard deviation of log q / p for a loss of 2 T, to leading order.
    """
    freedom = max(cells.cells - 1, 0.5)
    loss = max(cells.divergence - freedom / (2 * shots), 0.0)
    error = math.sqrt(freedom / 2 + 2 * shots * loss) / shots
    needed = _Z_NEEDED * math.sqrt(freedom / 2) / (2 * tolerance)
    low, high = loss - _Z_FAIL * error, loss + _Z_PASS * error
    found = _decide(loss, error, low, high, tolerance, needed, 0)
    if found.answer == "pass" and _repeats_beyond(cells, shots) > 2 * math.sqrt(tolerance):
        # With four times the shots the training set contains four times as many configurations.
        return found._replace(answer="undecided", shots_needed=4 * shots)
    return found


def _repeats_beyond(cells: Cells, shots: float) -> float:
    """Return the lower bound of log(observed / expected) of shots that repeat training shots."""
    seen, expected = (1 - cells.unseen) * shots, (1 - cells.expected) * shots
    if seen <= 0 or expected <= 0:
        return 0.0
    return math.log(seen / expected) - _Z_OBSERVABLE / math.sqrt(seen)
