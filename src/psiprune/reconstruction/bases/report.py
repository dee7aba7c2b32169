"""The page of `psiprune reconstruct` on shots in several bases."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.bases.answer import (
    basis_rows,
    observable_rows,
    searches_sentence,
    trial_rows,
)
from psiprune.reconstruction.report import about_checks, checks_section_table, joined
from psiprune.reconstruction.summary import FILE, loss_number, phrase
from psiprune.reconstruction.summary import Summary as Answer
from psiprune.reporting.page import Headline, Provenance, Report, Section, Summary, Table, picture
from psiprune.reporting.traced import Named, Number, attribute, one, say, significant


def bases_report(
    dataset: xr.Dataset,
    summary: Answer,
    figures: Mapping[str, Figure],
    provenance: Provenance,
    command: str,
) -> Report:
    """Build the report of a run.

    Args:
        dataset: of the run.
        summary: the answer.
        figures: bases, search, graph, entropy.
        provenance: versions, machine and configuration.
        command: reproduces the run.
    """
    of = Named(FILE, dataset)
    passed = sum(each.answer == "pass" for each in summary.checks)
    steps = [say("Next, {reason}: {command}", **step._asdict()) for step in summary.steps]
    return Report(
        title="A quantum state with phases reconstructed from shots in several bases",
        introduction=(
            f"{dataset.attrs['source']}: bit strings measured in {dataset.attrs['bases']} bases, "
            "reconstructed by two restricted Boltzmann machines (RBMs), for amplitudes and phases, "
            "that are pruned together until held-out shots show the loss.",
        ),
        summary=Summary(
            [
                say("{reason}.", reason=summary.reason),
                *(say("Cause: {cause}.", cause=each) for each in summary.cause),
                say("{size}: loss {loss}.", size=summary.size, loss=summary.loss),
                say("State: {these}.", these=joined(summary.state)),
                say("Assumed: {these}.", these=joined(summary.assumptions)),
                *steps,
            ],
            [
                Headline(
                    attribute(of, "weights"), phrase(dataset, "of {dense_weights} weights left")
                ),
                Headline(loss_number(dataset, summary.checks), say("loss, nats per shot")),
                Headline(
                    Number(passed, str(passed), "section on trust"),
                    say(f"of {len(summary.checks)} checks passed"),
                ),
            ],
        ),
        sections=[
            Section(
                "trust",
                "Can it be trusted?",
                picture(
                    figures["bases"],
                    "Single-site and pair expectation values of the smallest state in all bases "
                    "against those of the test shots, and the deviation of the likelihood of the "
                    "test shots in each basis.",
                ),
                [about_checks(dataset)],
                checks_section_table(summary.checks),
            ),
            Section("bases", "Test shots by basis", table=_bases(dataset)),
            Section("help", "Which bases would help", table=_suggested(dataset)),
            Section(
                "graph",
                "Both networks",
                picture(
                    figures["graph"],
                    "The RBMs of amplitudes and of phases as graphs: sites below, hidden units "
                    "above, a line for each weight, as wide as its size, its colour the sign.",
                ),
            ),
            Section(
                "search",
                "How far it can be pruned",
                picture(
                    figures["search"],
                    "Loss of every state of the search against its number of weights, the allowed "
                    "loss and the tolerance; and the weights that each network keeps.",
                ),
                [
                    phrase(
                        dataset,
                        f"Pruned by {dataset.attrs['criterion']}; weights of both networks compete "
                        "for one budget. The search kept the smallest state that the training and "
                        "validation shots do not reject.",
                    ),
                    say("{s}.", s=searches_sentence(dataset)),
                ],
                _trials(dataset),
            ),
            Section(
                "entropy",
                "Entanglement",
                picture(
                    figures["entropy"],
                    "Entanglement entropy of the first sites with the others, of the smallest and "
                    "of the unpruned state.",
                ),
            ),
            *([_observables(dataset)] if dataset.sizes["observable"] else []),
            Section("choice", "How many hidden units", table=_candidates(of)),
            Section(
                "data",
                "The shots",
                sentences=[
                    phrase(
                        dataset,
                        "{shots} shots of {sites} sites in {bases} bases, those of each split at "
                        "random: {training_shots} for training, {validation_shots} for validation, "
                        "{test_shots} for the test.",
                    )
                ],
            ),
            Section("method", "How it was trained", sentences=[say("{m}.", m=summary.method)]),
        ],
        explorer=None,
        provenance=provenance,
        command=command,
    )


def _number(value: float, how: str) -> Number:
    return Number(value, significant(value), f"{FILE}: {how}")


def _bases(dataset: xr.Dataset) -> Table:
    rows: list[list[str | Number]] = [
        [
            row["basis"],
            Number(row["shots"], f"{row['shots']:,}", f"{FILE}: basis_shots"),
            _number(row["log_likelihood"], "basis_log_likelihood"),
            _number(row["expected"], "basis_expected"),
            Number(row["deviation"], f"{row['deviation']:+.1f}", "difference over its error"),
        ]
        for row in basis_rows(dataset)
    ]
    head = ["basis", "shots", "log-likelihood", "of the state", "σ"]
    return Table("Test shots, in nats per shot; the largest deviation first", head, rows)


def _suggested(dataset: xr.Dataset) -> Table:
    rows: list[list[str | Number]] = [
        [str(basis), _number(float(after), "suggested_infidelity")]
        for basis, after in zip(
            dataset["suggested_basis"].values, dataset["suggested_infidelity"].values, strict=True
        )
    ]
    rows.insert(0, ["none", _number(float(dataset["infidelity"]), "infidelity")])
    caption = (
        "Mean infidelity to expect with a tenth of the shots more in these bases, one after the "
        "other, by Fisher information"
    )
    return Table(caption, ["basis", "infidelity"], rows)


def _trials(dataset: xr.Dataset) -> Table:
    counts = ("weights", "amplitude_weights", "phase_weights")
    sizes = ("loss", "error", "allowed", "fidelity")
    rows: list[list[str | Number]] = [
        [
            row["name"],
            *(Number(row[key], str(row[key]), f"{FILE}: trial_{key}") for key in counts),
            *(_number(row[key], f"trial_{key}") for key in sizes),
            "accepted" if row["accepted"] == "yes" else "rejected",
        ]
        for row in trial_rows(dataset)
    ]
    head = ["state", "weights", "amplitude", "phase", "loss", "error", "allowed"]
    head += ["fidelity with unpruned", ""]
    return Table("Every state of the search, on the training and validation shots", head, rows)


def _candidates(of: Named) -> Table:
    counts, sizes = ("hidden", "phase_hidden"), ("loss", "loss_error", "agreement")
    rows: list[list[str | Number]] = []
    for k, chosen in enumerate(of.data["candidate_chosen"].values):
        where = {"candidate": k}
        cells = [one(of, f"candidate_{name}", where) for name in (*counts, *sizes)]
        rows.append(["chosen" if chosen else "", *cells])
    head = ["", "hidden units", "of the phases", "loss", "error", "agreement of fits"]
    return Table("Loss relative to the best, on the training and validation shots", head, rows)


def _observables(dataset: xr.Dataset) -> Section:
    rows: list[list[str | Number]] = [
        [
            row["observable"],
            *(
                _number(row[key], f"observable_{key}")
                for key in ("shots", "shots_error", "dense", "value")
            ),
        ]
        for row in observable_rows(dataset)
    ]
    head = ["observable", "test shots", "error", "unpruned", "smallest"]
    caption = "Sums of Pauli strings; empty where no basis measures one of them"
    return Section("observables", "Observables", table=Table(caption, head, rows))
