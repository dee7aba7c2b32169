"""What `evaluate` returns for a reference state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from psiprune.core.repr import html_table, one_line
from psiprune.metrics.measure import Measure
from psiprune.metrics.observables import Observables
from psiprune.metrics.observed import ObservedAgainstState


@one_line
class MetricValues(NamedTuple):
    """The values alone; names as in `Report`."""

    kl: float
    infidelity: float
    energy_bias: float
    abs_magnetization_bias: float
    correlation_mse: float
    magnetization: float
    abs_magnetization: float


def _sampled_error(measure: Measure) -> float | str:
    """Return the error, or "exact": an error of 0 may also be that of draws that all agree."""
    return "exact" if measure.effective_sample_size is None else measure.error


@dataclass(frozen=True)
class Report:
    """How far an RBM is from a reference state.

    Attributes:
        kl: D(q || p) = sum_v q log(q / p) in nats, q the reference (paper, Eq. 3).
        fidelity: `|<psi|Psi>|^2` = (sum_v sqrt(p q))^2 (Eq. 4).
        energy_roe, abs_magnetization_roe: relative observable error with its confidence interval,
            the larger of |O_ref - (O -/+ 2.576 error)| / |O_ref| (Eq. 6).
        energy_bias, abs_magnetization_bias: the same without the interval, |O_ref - O| / |O_ref|.
        correlation_mse: mean over d of (C(d) - C_ref(d))^2 (after Eq. 8).
        energy: <H> of the samples of the RBM; its floor is the energy of the reference.
        energy_variance: <H^2> - <H>^2 of the samples; 0 for an eigenstate, whatever the reference.
        observables: m, |m|, C(d) and the energy of the RBM's samples.
        exact: the metrics by sums over all states, up to 20 sites; else None.
        entropy: von Neumann entropy of the first N // 2 sites in nats, up to 20 sites, else None;
            its floor is that of the reference.
        entropy_loss: that of the reference minus that of the RBM.
        renyi2, renyi2_loss: the same for the Renyi-2 entropy, at any size; above 20 sites from the
            samples, see `swap_estimate`.
        custom: further observables by name.
    """

    kl: Measure
    fidelity: Measure
    energy_roe: Measure
    energy_bias: Measure
    abs_magnetization_roe: Measure
    abs_magnetization_bias: Measure
    correlation_mse: Measure
    energy: Measure
    energy_variance: Measure
    observables: Observables
    exact: MetricValues | None
    entropy: Measure | None = None
    entropy_loss: Measure | None = None
    renyi2: Measure | None = None
    renyi2_loss: Measure | None = None
    custom: Mapping[str, ObservedAgainstState] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the main values in one line."""
        names = ("kl", "fidelity", "energy_bias", "abs_magnetization_bias")
        return f"Report({', '.join(f'{name}={getattr(self, name).value:.5g}' for name in names)})"

    def _repr_html_(self) -> str:
        """Return a row for each metric and observable, for notebooks."""
        rows: list[tuple[object, ...]] = [
            (name, each.value, _sampled_error(each), each.floor) for name, each in self
        ]
        rows += [
            (name, each.value, each.error, None, each.reference)
            for name, each in self.custom.items()
        ]
        return html_table(("Report", "value", "error", "floor", "reference"), rows)

    def __iter__(self) -> Iterator[tuple[str, Measure]]:
        """Yield (name, measure) of each metric; further observables are in `custom`."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return ((name, value) for name, value in values if isinstance(value, Measure))
