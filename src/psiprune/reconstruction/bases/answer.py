"""The answer of `psiprune reconstruct` on shots in several bases: sentences, text and JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from psiprune.reconstruction.advice import Step, shots_needed
from psiprune.reconstruction.bases.checks import FITS, INFORMATION, basis_deviations, make_checks
from psiprune.reconstruction.bases.request import BasesRequest
from psiprune.reconstruction.checks import RATES, Check, verdict_of
from psiprune.reconstruction.summary import (
    FILE,
    Summary,
    cause_of,
    larger_loss,
    likelihood_of,
    loss_sentence,
    phrase,
    reason_for,
)
from psiprune.reconstruction.text import answer_text, checks_table
from psiprune.reporting.tables import Column, table
from psiprune.reporting.traced import Named, Number, Sentence, one, say

#: States of the search around the smallest one, and bases, that are printed.
_TRIALS, _BASES = 6, 8
#: Fidelity to expect below which the estimate, of small changes, says only that it is unknown.
_LEAST = 0.5
_SEARCH: tuple[Column, ...] = (
    ("weights", "weights", "d"),
    ("amplitude", "amplitude_weights", "d"),
    ("phase", "phase_weights", "d"),
    ("loss", "loss", "+.2g"),
    ("error", "error", ".1g"),
    ("allowed", "allowed", ".2g"),
    ("F with unpruned", "fidelity", ".4f"),
    ("accepted", "accepted", ""),
)
_HELD_OUT: tuple[Column, ...] = (
    ("basis", "basis", ""),
    ("shots", "shots", ",d"),
    ("nats", "log_likelihood", ".4f"),
    ("of the state", "expected", ".4f"),
    ("σ", "deviation", "+.1f"),
)
_OBSERVABLES: tuple[Column, ...] = (
    ("observable", "observable", ""),
    ("shots", "shots", ".4f"),
    ("error", "shots_error", ".1g"),
    ("unpruned", "dense", ".4f"),
    ("smallest", "value", ".4f"),
)


def summarize_bases(dataset: xr.Dataset, request: BasesRequest) -> Summary:
    """Phrase the findings of a run, from its dataset."""
    checks = make_checks(dataset)
    return Summary(
        verdict_of(checks),
        reason_for(dataset, checks),
        cause_of(checks),
        phrase(
            dataset,
            "{weights} of {dense_weights} weights, {amplitude_weights} for the amplitudes and "
            "{phase_weights} for the phases",
        ),
        loss_sentence(dataset, checks),
        (),
        _assumptions(dataset),
        _method(dataset),
        tuple(_steps(dataset, checks, request)),
        checks,
        _state(dataset, checks),
    )


def _state(dataset: xr.Dataset, checks: Sequence[Check]) -> list[Sentence]:
    """Phrase fidelities: with the true state only where the shots determine one."""
    of = Named(FILE, dataset)
    replicas = 1 - float(dataset["training_infidelity"].mean())
    expected = 1 - float(dataset["infidelity"])
    apart = any(each.name == FITS and each.answer == "fail" for each in checks)
    if apart or min(expected, replicas) < _LEAST:
        return [
            say(
                "fidelity {f} with the unpruned state; that with the true state is unknown, as the "
                "shots do not determine it",
                f=one(of, "fidelity_with_unpruned", {}, lambda x: f"{x:.4f}"),
            )
        ]
    return [
        say(
            "fidelity {f} with the unpruned state; {expected} to expect of that one with the true "
            "state if the model is right, {replicas} by replicas",
            f=one(of, "fidelity_with_unpruned", {}, lambda x: f"{x:.4f}"),
            expected=Number(expected, f"{expected:.4f}", f"{FILE}: 1 - infidelity"),
            replicas=Number(replicas, f"{replicas:.4f}", f"{FILE}: 1 - training_infidelity"),
        )
    ]


def _assumptions(dataset: xr.Dataset) -> list[Sentence]:
    independent = "" if dataset.attrs["ordered"] else "; shots independent, as their order is lost"
    return [
        say("a pure state, the same in all bases" + independent),
        say("{sentence}", sentence=str(dataset["readout_sentence"].item())),
    ]


def _method(dataset: xr.Dataset) -> Sentence:
    ending = "converged" if dataset.attrs["converged"] else "not converged"
    decay = dataset.attrs["weight_decay"]
    return phrase(
        dataset,
        f"natural gradient in all bases, {{starts}} starts, {{epochs_done}} steps, {ending}; "
        "{hidden} + {phase_hidden} hidden units; pruned by "
        + str(dataset.attrs["criterion"])
        + ", weight decay {decay}",
        decay=Number(decay, f"{decay:g}", f"{FILE}: attribute weight_decay"),
    )


_CALIBRATION = Step(
    "measure the readout errors next to the shots, and repeat with --readout; if they are as "
    "given, the state is mixed",
    "psiprune calibrate all0=ZEROS all1=ONES -o readout.json",
)


def _steps(dataset: xr.Dataset, checks: Sequence[Check], request: BasesRequest) -> Iterator[Step]:
    """Yield what helps after these checks."""
    answers = {each.name: each.answer for each in checks}
    verdict = verdict_of(checks)
    file = "MORE_SHOTS" if _in_file(request) else "more_shots"
    if verdict == "trusted":
        if request.folder is None:
            yield Step(
                "compare the state with new shots",
                "psiprune.metrics.phase_held_out.held_out_by_basis(result.rbm, new_shots)",
            )
        else:
            words = ["psiprune", "evaluate", str(request.folder / "smallest.nc"), "NEW_SHOTS"]
            words += request.readout_options
            yield Step("compare the state with new shots", shlex.join(words))
        return
    if answers[FITS] == "fail":
        bases = str(dataset.attrs["distinguishing"]).replace(" ", ", ")
        yield Step(
            f"the bases do not determine the state; measure in {bases} too, which tell these fits "
            "apart, and repeat",
            request.command(file),
        )
        return
    if answers[FITS] == "undecided":
        command = request.command(starts=4 * request.settings.starts)
        yield Step("look for a likelier state from more starts", command)
        if verdict == "not trusted" or dataset.attrs.get("retrained"):
            more = 2 * int(dataset.attrs["hidden"])
            reason = "or try larger networks, whose fits end in local optima less often"
            yield Step(reason, request.command(hidden=(more,)))
        return
    if verdict == "undecided":
        needed = shots_needed(checks, dataset.attrs["shots"])
        if answers[INFORMATION] == "undecided":
            bases = ", ".join(map(str, dataset["suggested_basis"].values)) or "further bases"
            reason = f"measure in {bases} too, the bases that tell most about the state, and repeat"
            yield Step(reason, request.command(file))
        elif needed is not None:
            reason = (
                f"measure about {needed:,} shots in all instead of {request.shots:,}, and repeat"
            )
            yield Step(reason, request.command(file))
        if answers[RATES] == "undecided":
            yield _CALIBRATION
        return
    causes = {each.cause for each in checks if each.answer == "fail"}
    most = max(dataset["candidate_hidden"].values.tolist())
    if "training" in causes and dataset.attrs["hidden"] == most:
        yield Step(
            "try larger networks; if these fail too, the state is mixed or its shots are misread",
            request.command(hidden=(most, 2 * most)),
        )
    elif answers[RATES] == "fail":
        yield _CALIBRATION


def _in_file(request: BasesRequest) -> bool:
    return request.command().startswith("psiprune reconstruct")


def bases_text(dataset: xr.Dataset, request: BasesRequest) -> str:
    """Format the answer, then the checks, the search, held-out shots and observables as tables."""
    summary, tolerance = summarize_bases(dataset, request), dataset.attrs["tolerance"]
    parts = [
        answer_text(summary),
        f"Checks (nats per shot; pass: loss within {tolerance:g}, at most {2 * tolerance:g}; FAIL: "
        f"surely above {tolerance:g})\n{checks_table(summary.checks)}",
        "Search (training and validation shots; loss by pruning, nats per shot)\n"
        + _search(dataset),
        f"Test shots by basis\n{_held_out(dataset)}",
    ]
    if dataset.sizes["observable"]:
        rows = observable_rows(dataset)
        parts.append(f"Observables (test shots)\n{table(_OBSERVABLES, rows)}")
    return "\n\n".join(parts)


def trial_rows(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """Return every state of the search, the unpruned one first, then by number of weights."""
    names = [str(name) for name in dataset if str(name).startswith("trial_")]
    columns = [dataset[name].values.tolist() for name in names]
    keys = [name.removeprefix("trial_") for name in names]
    rows = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
    for row in rows:
        row["accepted"] = "yes" if row["share"] <= 1 else "no"
    return sorted(rows, key=lambda row: -row["weights"])


def _search(dataset: xr.Dataset) -> str:
    rows = trial_rows(dataset)
    chosen = [row["weights"] for row in rows].index(dataset.attrs["weights"])
    near = sorted(range(len(rows)), key=lambda k: abs(k - chosen))[:_TRIALS]
    shown = [rows[k] for k in sorted({0, *near})]
    more = len(rows) - len(shown)
    lines = [table(_SEARCH, shown)]
    if more:
        lines.append(f"({more} more in report.html)")
    return "\n".join([*lines, f"{searches_sentence(dataset).text}."])


def searches_sentence(dataset: xr.Dataset) -> Sentence:
    """Phrase how far each weight decay of fine-tuning got."""
    parts: dict[str, Number | Sentence | str] = {}
    for name, key in (("d", "decay"), ("w", "weights")):
        for k, value in enumerate(dataset[f"search_{key}"].values):
            parts[f"{name}{k}"] = Number(value, f"{value:g}", f"{FILE}: search_{key}")
    listed = ", ".join(f"{{d{k}}}: {{w{k}}}" for k in range(dataset.sizes["search"]))
    return say(f"Weights left by each weight decay of fine-tuning, {listed}", **parts)


def basis_rows(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """Return test shots and log-likelihood of each basis, the largest deviation first."""
    deviations = basis_deviations(dataset)
    rows = [
        {
            "basis": str(basis),
            "deviation": float(deviations[k]),
            **{
                name: dataset[f"basis_{name}"].values[k].item()
                for name in ("shots", "log_likelihood", "expected")
            },
        }
        for k, basis in enumerate(dataset["basis"].values)
    ]
    return sorted(rows, key=lambda row: -abs(row["deviation"]))


def _held_out(dataset: xr.Dataset) -> str:
    rows = basis_rows(dataset)
    more = len(rows) - _BASES
    return table(_HELD_OUT, rows[:_BASES]) + (f"\n({more} more in report.html)" if more > 0 else "")


def observable_rows(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """Return the user's observables in the shots and both states."""
    return [
        {
            "observable": str(name),
            **{
                key: float(dataset[f"observable_{key}"][k])
                for key in ("shots", "shots_error", "dense", "value")
            },
        }
        for k, name in enumerate(dataset["observable"].values)
    ]


def bases_numbers(dataset: xr.Dataset, request: BasesRequest) -> dict[str, Any]:
    """Return the same for JSON, with every candidate and every state of the search."""
    summary = summarize_bases(dataset, request)
    stated = larger_loss(summary.checks) or likelihood_of(summary.checks)
    sizes = ("hidden", "phase_hidden", "agreement", "loss", "loss_error", "chosen")
    candidates = [
        {name: dataset[f"candidate_{name}"].values[k].item() for name in sizes}
        for k in range(dataset.sizes["candidate"])
    ]
    return {
        **{
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in dataset.attrs.items()
        },
        "training_warnings": [],
        "verdict": summary.verdict,
        "reason": summary.reason.text,
        "loss": {"check": stated.name, "value": stated.loss, "at_most": stated.at_most},
        "assumptions": [each.text for each in summary.assumptions],
        "next": [each._asdict() for each in summary.steps],
        "checks": [each._asdict() for each in summary.checks],
        "fidelity_with_unpruned": float(dataset["fidelity_with_unpruned"]),
        "infidelity": float(dataset["infidelity"]),
        "flips": dataset["flips"].values.tolist(),
        "flips_error": dataset["flips_error"].values.tolist(),
        "flips_p_value": float(dataset["flips_p_value"]),
        "readout_infidelity": float(dataset["readout_infidelity"]),
        "replica_infidelity": dataset["training_infidelity"].values.tolist(),
        "suggested_bases": [str(basis) for basis in dataset["suggested_basis"].values],
        "bases_of_test": basis_rows(dataset),
        "entropy": dataset["entropy"].values.tolist(),
        "entropy_unpruned": dataset["entropy_dense"].values.tolist(),
        "observables": {row.pop("observable"): row for row in observable_rows(dataset)},
        "candidates": candidates,
        "trials": trial_rows(dataset),
    }
