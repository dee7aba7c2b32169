"""What `evaluate_on_shots` returns: an RBM's log-likelihood and observables beside the shots'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from psiprune.core.repr import html_table, one_line
from psiprune.data.diagnostics import DataWarning
from psiprune.metrics.measure import Measure

Float64 = NDArray[np.float64]


@one_line
@dataclass(frozen=True, eq=False)
class Comparison:
    """An observable, scalar or an array, of the RBM and of the shots.

    What the shots do not determine, such as strings with X, has NaN for them.

    Attributes:
        value, error: the mean over the RBM's draws and its standard error.
        shots_value, shots_error: the mean over the shots and its standard error by bootstrap.
        method: how the RBM's value was computed.
        warning: why it cannot be trusted; empty if no problem was detected.
        effective_sample_size: how many independent draws of the RBM would give the same error.
        variance: of a single shot, the larger of what the shots and the RBM's draws show.
        shots_sampling_error: the part of `shots_error` that is independent of the RBM. Less where
            the RBM and the estimate from the shots rest on the same calibration, whose error
            cancels in their difference; None where it is all of it.
        rates_error: standard error of `value` from that of the readout error rates that the RBM was
            trained with, beside `error`; None where it is not known. See `errors_from_rates`.
        training_error: standard error of `value` from the noise of the RBM's training shots, beside
            `error`; None where it is not known. See `psiprune.metrics.training_error`.
        dimension, coordinates: what distinguishes the values, such as k; empty for a scalar, and
            for C(d), whose values are those of d = 0, 1, ...
    """

    value: Float64 | np.float64
    error: Float64 | np.float64
    shots_value: Float64 | np.float64
    shots_error: Float64 | np.float64
    method: str
    warning: str
    effective_sample_size: float
    variance: Float64 | np.float64
    shots_sampling_error: Float64 | np.float64 | None = None
    rates_error: Float64 | np.float64 | None = None
    training_error: Float64 | np.float64 | None = None
    dimension: str = ""
    coordinates: tuple[float, ...] = ()

    @property
    def loss(self) -> Measure:
        """The largest distance from the shots, |O - O_shots|, with its error.

        The floor is what a perfect model would show on average with the same errors.
        """
        distance = np.atleast_1d(np.abs(self.value - self.shots_value))
        k = int(np.argmax(distance))
        error = float(np.atleast_1d(np.hypot(self.error, self.shots_error))[k])
        # E|z| of a normal deviate is sqrt(2 / pi).
        floor = float(np.sqrt(2 / np.pi)) * error
        size = self.effective_sample_size
        return Measure(float(distance[k]), error, floor, self.method, self.warning, size)

    @property
    def sigmas(self) -> Float64:
        """(value - shots_value) over the combined error; 0 where the values are equal."""
        gap = np.asarray(self.value - self.shots_value)
        of_shots = self.shots_sampling_error
        error = np.hypot(self.error, self.shots_error if of_shots is None else of_shots)
        with np.errstate(divide="ignore"):  # a difference with error 0 is infinite
            return np.divide(gap, error, out=np.zeros(gap.shape), where=gap != 0)


@dataclass(frozen=True, eq=False)
class ShotsReport:
    """How well an RBM describes shots. Log-likelihoods in nats per shot, mean over the shots.

    Attributes:
        shots: number of shots.
        effective_shots: how many independent shots have the same errors.
        block: shots that the bootstrap resamples together; 1 if shots are independent.
        shots_warnings: what `describe_shots` says against the shots themselves.
        log_likelihood: mean log p(v). Its error combines the bootstrap error of the shots with the
            error of log Z. On the RBM's training set it is biased upwards, see `training_excess`.
        product_log_likelihood: the same of a product model (independent bits) with the means of
            these shots, as a baseline.
        log_likelihood_gain: log_likelihood - product_log_likelihood, shot by shot.
        abs_magnetization_roe: relative error of `<|m|>` with its confidence interval, Eq. (6) of
            the paper with the shots as the reference. The floor is what a perfect model would show
            on average, with the noise of as many draws and as many shots.
        magnetization, abs_magnetization: `<m>` and `<|m|>`, m = sum_i Z_i / N.
        neighbours: <Z_i Z_{i+1}>, mean over the bonds; NaN for one site.
        correlation: C(d) = <Z_i Z_j> - <Z_i><Z_j> from site i = N/2 to j = N/2 + d, [distance].
        training_excess: estimated upward bias of the log-likelihood if the RBM was trained on these
            shots: parameters / effective shots (Akaike 1974), without parameters that change
            nothing. Half of it was gained on the training shots, half lost on others. NaN with
            fewer shots than parameters, as the formula holds for many shots.
        custom: custom observables by name. Those with X or Y are of the state, not of the records.
        state: for shots with readout errors the magnetization, neighbours and correlation of the
            true bits, and custom sums of Z strings: of the RBM, and estimated from the records by
            inverting the confusion matrices (`psiprune.metrics.corrected`). `shots_error` includes
            that of the calibration; that of the RBM is `rates_error`.
            `sigmas` leaves out both, which cancel, if the RBM was trained with the same matrices
            (`readout_sha256` in its provenance). All other metrics are those of the records.
        readout_warning: whether the RBM was trained through other readout errors than those of the
            shots, or is not known to be trained through them; empty if it was, or neither has any.
        training_note: why no observable has a `training_error`, or that it is an upper estimate, as
            training ended early; else empty.
        boundary_note: where bits of the state have a probability of 0 within its error, so that
            first order does not hold; there `rates_error` and `training_error` are at least those
            of the estimate from the records (`psiprune.metrics.boundary`). Empty if nowhere.
    """

    shots: int
    log_likelihood: Measure
    product_log_likelihood: Measure
    log_likelihood_gain: Measure
    abs_magnetization_roe: Measure
    magnetization: Comparison
    abs_magnetization: Comparison
    neighbours: Comparison
    correlation: Comparison
    training_excess: float
    effective_shots: float
    block: int
    shots_warnings: tuple[DataWarning, ...] = ()
    custom: Mapping[str, Comparison] = field(default_factory=dict)
    state: Mapping[str, Comparison] = field(default_factory=dict)
    readout_warning: str = ""
    training_note: str = ""
    boundary_note: str = ""

    def __repr__(self) -> str:
        """Return the number of shots and the log-likelihoods in one line."""
        values = (
            f"{name}={measure.value:.5g} +- {measure.error:.2g}"
            for name, measure in self
            if name in ("log_likelihood", "log_likelihood_gain")
        )
        return f"ShotsReport(shots={self.shots}, {', '.join(values)})"

    def _repr_html_(self) -> str:
        """Return a row for each metric and observable, for notebooks."""
        columns = {
            **{"value": "value", "error": "error", "rates_error": "rates"},
            **{"training_error": "training", "shots_value": "shots", "shots_error": "error"},
            "sigmas": "sigmas",
        }
        rows = [(name, *(getattr(each, key, None) for key in columns)) for name, each in self]
        return html_table((f"{self.shots} shots", *columns.values()), rows)

    def __iter__(self) -> Iterator[tuple[str, Measure | Comparison]]:
        """Yield (name, measure or comparison) of each metric; "state_..." of the true bits."""
        values = {item.name: getattr(self, item.name) for item in fields(self)} | dict(self.custom)
        values |= {f"state_{name}": comparison for name, comparison in self.state.items()}
        for name, value in values.items():
            if isinstance(value, Measure | Comparison):
                yield name, value

    def comparison(self, name: str) -> Comparison:
        """Return the observable of that name, a custom one too."""
        comparison: Comparison = self.custom[name] if name in self.custom else getattr(self, name)
        return comparison


#: Names that a custom observable cannot have.
TAKEN = tuple(item.name for item in fields(ShotsReport))
