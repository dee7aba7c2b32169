"""Text and JSON tables of metrics: against a state, against shots, of a search, of clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import RATES_ERROR_PARAMETERS
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_summary import assumed_at_zero, summarize_readout
from psiprune.metrics.measure import Measure
from psiprune.metrics.measured import Measured
from psiprune.metrics.observed import ObservedAgainstState
from psiprune.metrics.readout import SMALL_FLIP, ReadoutSensitivity
from psiprune.metrics.shots_report import Comparison, ShotsReport
from psiprune.metrics.state_report import Report
from psiprune.pruning.search import Smallest
from psiprune.reporting.tables import Column, number, table, warning_lines, wrap

if TYPE_CHECKING:
    import xarray as xr


_STATE: tuple[Column, ...] = (
    ("measure", "measure", ""),
    ("value", "value", ".6g"),
    ("error", "error", ".1e"),
    ("floor", "floor", ".4g"),
    ("reference", "reference", ".6g"),
    ("ESS", "effective_sample_size", ".0f"),
    ("method", "method", ""),
)
#: Quantities of the RBM whose `floor` is the value of the reference.
_OF_REFERENCE = ("energy", "entropy", "renyi2")
_OBSERVED: tuple[Column, ...] = (
    ("observable", "observable", ""),
    ("value", "value", ".6g"),
    ("error", "error", ".1e"),
    ("exact", "exact", ".6g"),
    ("reference", "reference", ".6g"),
    ("error", "reference_error", ".1e"),
)
_MEASURED: tuple[Column, ...] = (
    *_OBSERVED[:3],
    ("true bits", "corrected", ".6g"),
    ("error", "corrected_error", ".1e"),
)
#: What observables with X or Y are without a state to rotate them for.
OF_THE_RBM_ALONE = (
    "of psi = sqrt(p) >= 0, in the frame where psi is not negative; shots do not test it"
)
#: Values of a further observable that are all shown.
_ALL = 12
_SHOTS: tuple[Column, ...] = (
    *_STATE[:3],
    ("shots", "shots_value", ".6g"),
    ("error", "shots_error", ".1e"),
    ("sigmas", "sigmas", "+.1f"),
    *(column for column in _STATE[3:] if column[0] != "reference"),
)
#: Further errors of the RBM, each shown after that of the draws if it is known.
_FURTHER: tuple[Column, ...] = (
    ("rates", "rates_error", ".1e"),
    ("training", "training_error", ".1e"),
)


def state_answer(report: Report) -> str:
    """Return fidelity and KL divergence in one line."""
    return (
        f"fidelity {_with_error(report.fidelity, '.4f')}, KL divergence "
        f"{_with_error(report.kl, '.3g')} nat"
    )


def shots_answer(report: ShotsReport) -> str:
    """Return the log-likelihood of the shots, also relative to independent bits, in one line."""
    gain = report.log_likelihood_gain
    return (
        f"log-likelihood {_with_error(report.log_likelihood, '.4f')} nats per shot, "
        f"{_with_error(gain, '+.3g')} relative to independent bits"
    )


def _with_error(measure: Measure, form: str) -> str:
    """Return a value, with its standard error where it is sampled."""
    error = f" ± {number(measure.error, '.1g')}" if measure.effective_sample_size else ""
    return f"{number(measure.value, form)}{error}"


def report_text(report: Report) -> str:
    """Return a line for each measure: value, standard error, floor, effective sample size.

    Energy and entropies have the value of the reference in place of a floor.
    A table of further observables follows, beside those of the reference.
    """
    rows = [{"measure": name, **vars(measure)} for name, measure in report]
    for row in rows:
        row["reference"] = row["floor"] if row["measure"] in _OF_REFERENCE else None
        if row["reference"] is not None:
            row["floor"] = None
        # An error of 0 does not imply this: samples without spread have it too.
        if row["effective_sample_size"] is None:
            row["error"] = "exact"
    warnings = warning_lines((name, measure.warning) for name, measure in report)
    further = [row for name, each in report.custom.items() for row in _observed_rows(name, each)]
    text = "\n".join([table(_STATE, rows), *warnings])
    if not further:
        return text
    doubts = warning_lines((name, each.warning) for name, each in report.custom.items())
    return "\n".join([f"{text}\n\n{table(_OBSERVED, further)}", *doubts])


def measured_text(measured: Mapping[str, Measured]) -> str:
    """Return a line for each value of observables of shots or of a state alone."""
    rows = [row for name, each in measured.items() for row in _observed_rows(name, each)]
    columns = [each for each in _MEASURED if any(row[each[1]] is not None for row in rows)]
    return table(columns, rows)


def measured_numbers(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Return the same for JSON, by name."""
    return {name: each.numbers for name, each in measured.items()}


def _observed_rows(name: str, observed: ObservedAgainstState | Measured) -> list[dict[str, Any]]:
    labels = [name]
    if np.ndim(observed.value):
        size = np.size(observed.value)
        labels = _labels(name, observed.dimension, observed.coordinates, size)
    columns = {
        key: of for key, of in vars(observed).items() if of is None or np.size(of) == len(labels)
    }
    rows = [
        {"observable": label}
        | {key: None if of is None else np.ravel(of)[k].item() for key, of in columns.items()}
        for k, label in enumerate(labels)
    ]
    for row in rows:
        # Draws without spread have an error of 0 as well.
        value: Any = row["value"]
        exact: Any = row.get("exact")
        known = exact is not None and math.isclose(value, exact, rel_tol=1e-9)
        sampled = "draws" in row and not known
        for key, found in (("error", not sampled), ("reference_error", True)):
            if found and row.get(key) == 0:
                row[key] = "exact"
    return rows


def report_numbers(report: Report) -> dict[str, Any]:
    """Return the same for JSON: name -> value, error, floor, method, warning, ...

    Further observables are in "observables", by name.
    """
    numbers = {name: vars(measure) for name, measure in report}
    if report.custom:
        numbers["observables"] = {name: each.numbers for name, each in report.custom.items()}
    return numbers


def shots_report_text(report: ShotsReport) -> str:
    """Return a line for each measure: of the RBM, of the shots, their difference in sigmas.

    C(d) is shown at d = 1, 2, 4, 8, ..., at the end, and where it differs most. Warnings about the
    shots follow, and how many of them are independent, if not all are.
    """
    rows = [row for name, measure in report for row in _rows(name, measure)]
    warnings = warning_lines((name, measure.warning) for name, measure in report)
    warnings += warning_lines((each.name, each.line) for each in report.shots_warnings)
    notes = [wrap(f"note: {note(report)}")]
    if report.block > 1:
        independent = (
            f"{report.shots} shots count as {report.effective_shots:.0f} independent ones; errors "
            f"are those of blocks of {report.block} shots"
        )
        notes.insert(0, wrap(f"note: {independent}"))
    further = [column for column in _FURTHER if any(row[column[1]] is not None for row in rows)]
    shown = [key for _, key, _ in further]
    if "rates_error" in shown:
        notes.append(
            wrap(
                "note: column rates: the error of value from that of the readout error rates, for "
                "an RBM trained with these; the error before it is that of the draws"
            )
        )
    if "training_error" in shown:
        notes.append(
            wrap(
                "note: column training: the error of value from the noise of the shots that the "
                "RBM was trained on, to first order"
            )
        )
        if report.training_note:
            notes.append(wrap(f"note: {report.training_note}"))
    elif report.training_note:
        notes.append(
            wrap(f"note: the noise of the training shots is unknown: {report.training_note}")
        )
    alone = [name for name, x in report.custom.items() if np.isnan(x.shots_value).all()]
    if alone:
        notes.append(wrap(f"note: {', '.join(alone)}: {OF_THE_RBM_ALONE}"))
    if report.boundary_note:
        notes.append(wrap(f"note: {report.boundary_note}"))
    columns = (*_SHOTS[:3], *further, *_SHOTS[3:])
    return "\n".join([table(columns, rows), *warnings, *notes])


def _rows(name: str, measure: Measure | Comparison) -> list[dict[str, Any]]:
    compared = ("shots_value", "shots_error", "sigmas")
    further = [key for _, key, _ in _FURTHER]
    if isinstance(measure, Measure):
        return [{"measure": name, **vars(measure), **dict.fromkeys((*compared, *further))}]
    values = {key: np.atleast_1d(getattr(measure, key)) for key in ("value", "error", *compared)}
    for key in further:
        if (error := getattr(measure, key)) is not None:
            values[key] = np.atleast_1d(error)
    labels = [name]
    if np.ndim(measure.value):
        labels = _labels(
            name, measure.dimension or "d", measure.coordinates, np.size(measure.value)
        )
    chosen = measure.dimension == "" or len(labels) > _ALL
    return [
        {
            **vars(measure),
            **{key: float(value[d]) for key, value in values.items()},
            "measure": labels[d],
            "floor": None,
        }
        for d in (_shown(values["sigmas"]) if chosen and len(labels) > 1 else range(len(labels)))
    ]


def _labels(name: str, dimension: str, coordinates: Sequence[float], size: int) -> list[str]:
    """Return a label for each value of an array: structure_factor k=0.628."""
    return [f"{name} {dimension}={each:.4g}" for each in coordinates or range(size)]


def _shown(sigmas: NDArray[np.float64]) -> list[int]:
    last = len(sigmas) - 1
    powers = [1 << k for k in range(last.bit_length())]
    return sorted({*powers, last, int(np.argmax(np.abs(sigmas)))})


def shots_report_numbers(report: ShotsReport) -> dict[str, Any]:
    """Return the same for JSON, with C(d) at every d, and the note."""
    numbers: dict[str, Any] = {"shots": report.shots}
    for name, measure in report:
        sigmas = {"sigmas": measure.sigmas} if isinstance(measure, Comparison) else {}
        numbers[name] = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in (vars(measure) | sigmas).items()
        }
    return numbers | {
        "training_excess": report.training_excess,
        "effective_shots": report.effective_shots,
        "block": report.block,
        "shots_warnings": [each._asdict() for each in report.shots_warnings],
        "readout_warning": report.readout_warning,
        "training_note": report.training_note,
        "boundary_note": report.boundary_note,
        "note": note(report),
    }


def note(report: ShotsReport) -> str:
    """Explain the bias of the log-likelihood if the shots are the training set."""
    per = "independent shots" if report.block > 1 else "shots"
    excess = "far too high: it has more parameters than there are shots"
    if math.isfinite(report.training_excess):
        excess = f"too high by about {report.training_excess:.2g} nat (parameters / {per})"
    return (
        "use shots that the RBM was not trained on; its file does not record the training shots. "
        f"If it was trained on these {report.shots}, the log-likelihood is {excess}"
    )


def modelled_text(readout: ReadoutError) -> str:
    """Return a line about the readout errors that a report on shots takes into account."""
    return wrap(f"readout: {modelled_sentence(readout)}")


def modelled_sentence(readout: ReadoutError) -> str:
    """Return the rates behind a result, their source, and what is known of their uncertainty."""
    summary, more = summarize_readout(readout), ""
    zero, one = readout.rates.mean(axis=0)
    negligible = summary.negligible
    states = "psiprune reconstruct states how much F and <ZZ> would"
    if negligible.all():
        more = f"; {states} change with {SMALL_FLIP:.0%} flips"
    elif not summary.measured:
        allowed = summary.uncertainty.rstrip(",")
        more = f"; errors of the true bits allow for {allowed}, and {states} then change"
        if negligible.any():
            more += f", with {SMALL_FLIP:.0%} flips at {assumed_at_zero(negligible)}"
    return (
        f"errors modelled, mean p(1|0) = {zero:.3g}, p(0|1) = {one:.3g}, {summary.origin}; rows "
        f"state_... compare the true bits with estimates from the records alone{more}"
    )


def no_rates_text() -> str:
    """Return a line for a report without the error from that of the readout error rates."""
    return wrap(f"note: {no_rates_sentence()}")


def no_rates_sentence() -> str:
    """Return why a report on an RBM trained with these rates lacks that error."""
    return (
        "no column rates: the error of value from that of the readout error rates is computed for "
        f"at most {RATES_ERROR_PARAMETERS:,} parameters; psiprune reconstruct states how much F "
        "and <ZZ> depend on the rates"
    )


def assumed_text(readout: ReadoutSensitivity) -> str:
    """Return a line with what is assumed as no shots can test it, with warnings where due."""
    named = [("infidelity", readout.infidelity), ("kl", readout.kl)]
    warnings = warning_lines((f"readout {name}", each.warning) for name, each in named)
    return "\n".join([wrap(readout.sentence), *warnings])


def assumed_numbers(readout: ReadoutSensitivity) -> dict[str, Any]:
    """Return the same for JSON: the sentence, and the measures by name."""
    numbers = {"sentence": readout.sentence, "flip": readout.flip}
    return {
        "assumed": {
            "readout": numbers | {"infidelity": vars(readout.infidelity), "kl": vars(readout.kl)}
        }
    }


def smallest_text(smallest: Smallest, name: str, best: Measure, shots: int | None = None) -> str:
    """Return a sentence with weights, density, the measure, and the next smaller RBM that fails.

    A warning follows if the measure has one, or if its error exceeds the limit. `shots` is the
    number of shots it was measured against, None for a reference state.
    """
    rbm = smallest.rbm
    total = smallest.trials[0].rbm.number_of_weights
    exact = best.effective_sample_size is None and best.error == 0
    error = "exact" if exact else f"error {best.error:.2g}"
    if smallest.fewer is None:
        end = "the path ended there"
    else:
        value = next(t.value for t in smallest.trials if t.rbm.number_of_weights == smallest.fewer)
        end = f"with {smallest.fewer} it is {value:.3g}"
    text = wrap(
        f"{rbm.number_of_weights} of {total} weights (density {rbm.density:.1%}) keep {name} at "
        f"{best.value:.3g} ({error}), limit {smallest.limit:.3g}; {end}."
    )
    return "\n".join([text, *warning_lines([(name, _warning(smallest, best, shots))])])


def smallest_numbers(
    smallest: Smallest, name: str, best: Measure, shots: int | None = None
) -> dict[str, Any]:
    """Return the same for JSON, with all trials."""
    return {
        "weights": smallest.rbm.number_of_weights,
        "density": smallest.rbm.density,
        "measure": name,
        **vars(best),
        "warning": _warning(smallest, best, shots),
        "limit": smallest.limit,
        "fewer": smallest.fewer,
        "trials": [
            {"name": trial.name, "weights": trial.rbm.number_of_weights, "value": trial.value}
            for trial in smallest.trials
        ],
    }


def _warning(smallest: Smallest, best: Measure, shots: int | None) -> str:
    """Return the warning of the measure, and whether its error exceeds the limit."""
    doubts = [best.warning] if best.warning else []
    if best.error > smallest.limit:
        by = "these draws" if shots is None else f"these {shots:,} shots"
        doubt = f"its error of {best.error:.2g} exceeds the limit of {smallest.limit:.3g}, so {by} "
        doubt += "cannot decide whether it is within the limit"
        if shots is not None and smallest.limit > 0:
            # Errors fall with 1/sqrt(shots); two digits, as the error itself is an estimate.
            needed = shots * (best.error / smallest.limit) ** 2
            unit = 10 ** max(0, math.floor(math.log10(needed)) - 1)
            doubt += f"; it would take about {math.ceil(needed / unit) * unit:,} shots"
        doubts.append(doubt)
    return "; ".join(doubts)


_CLUSTERS: tuple[Column, ...] = (
    ("unit", "unit", "d"),
    ("sites", "sites", ""),
    ("share of |W|", "share", ".2f"),
    ("p", "p_value", ".2g"),
    ("cluster", "found", {True: "yes", False: "no"}.__getitem__),
)


def clusters_text(clusters: xr.Dataset) -> str:
    """Return the number of clusters, and a line for each hidden unit with its strongest window."""
    numbers = clusters_numbers(clusters)
    width, units = numbers["width"], numbers["units"]
    rows = [{**u, "sites": f"{u['first_site']} to {u['first_site'] + width - 1}"} for u in units]
    return (
        f"{numbers['found']} of {len(units)} units with a cluster of {width} sites (p <= "
        f"{numbers['threshold']:g})\n\n{table(_CLUSTERS, rows)}"
    )


def clusters_numbers(clusters: xr.Dataset) -> dict[str, Any]:
    """Return the same for JSON; units and sites count from 0."""
    names = ["first_site", "strength", "share", "p_value", "found"]
    units = clusters[names].to_dataframe()[names].rename_axis("unit").reset_index()
    return {
        "width": int(clusters.attrs["width"]),
        "threshold": float(clusters.attrs["threshold"]),
        "found": int(clusters["found"].sum()),
        "units": units.to_dict("records"),
    }
