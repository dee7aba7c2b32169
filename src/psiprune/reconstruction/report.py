"""The page of `psiprune reconstruct`: how small, at what cost, and whether to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.checks import Check, deviations
from psiprune.reconstruction.dataset import (
    as_recorded,
    state_observables,
    untested_observables,
)
from psiprune.reconstruction.summary import FILE, loss_number, phrase, plus_minus, search_shots
from psiprune.reconstruction.summary import Summary as Answer
from psiprune.reporting.metric_tables import OF_THE_RBM_ALONE
from psiprune.reporting.page import Headline, Provenance, Report, Section, Summary, Table, picture
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
    attribute,
    one,
    plural,
    say,
    significant,
    size,
    whole,
)


def reconstruct_report(
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
        figures: observables, search, graph, choice.
        provenance: versions, machine and configuration.
        command: reproduces the run.
    """
    of = Named(FILE, dataset)
    passed = sum(each.answer == "pass" for each in summary.checks)
    headlines = [
        Headline(attribute(of, "weights"), phrase(dataset, "of {dense_weights} weights left")),
        Headline(loss_number(dataset, summary.checks), say("loss, nats per shot")),
        Headline(
            Number(passed, str(passed), "section on trust"),
            say(f"of {len(summary.checks)} checks passed"),
        ),
    ]
    recorded = as_recorded(dataset)
    deviate = say(f"Largest deviations{recorded}: {{these}}.", these=joined(summary.deviations))
    assumed = say("Assumed: {these}.", these=joined(summary.assumptions))
    size = say("{size}: loss {loss}.", size=summary.size, loss=summary.loss)
    steps = [say("Next, {reason}: {command}", **step._asdict()) for step in summary.steps]
    return Report(
        title="A quantum state reconstructed from shots with as few weights as possible",
        introduction=(
            f"{dataset.attrs['source']}: measured bit strings, reconstructed by a restricted "
            "Boltzmann machine (RBM) that is pruned until held-out shots show the loss.",
        ),
        summary=Summary(
            [
                say("{reason}.", reason=summary.reason),
                *(say("Cause: {cause}.", cause=each) for each in summary.cause),
                size,
                *([deviate] if summary.deviations else []),
                assumed,
                *steps,
            ],
            headlines,
        ),
        sections=[
            Section(
                "trust",
                "Can it be trusted?",
                picture(
                    figures["observables"],
                    "Single-site and pair expectation values and C(d) of the smallest RBM against "
                    f"those of the test shots{recorded}, and C(d) against distance"
                    f"{', also of the true bits' if recorded else ''}.",
                ),
                [about_checks(dataset)],
                checks_section_table(summary.checks),
            ),
            Section(
                "graph",
                "The RBM",
                picture(
                    figures["graph"],
                    "The RBM as a graph: sites below, hidden units above, a line for each weight, "
                    "as wide as its size, its colour the sign.",
                ),
            ),
            Section(
                "search",
                "How far it can be pruned",
                picture(
                    figures["search"],
                    "Loss of every RBM of the search against its number of weights, the allowed "
                    "loss and the tolerance.",
                ),
                [_about_search(of)],
                _trials(of),
            ),
            Section(
                "observables",
                f"Observables{recorded}",
                table=_observables(dataset),
            ),
            *([_of_true_bits(dataset)] if recorded else []),
            *([_untested(dataset)] if untested_observables(dataset) else []),
            Section(
                "choice",
                "How many hidden units",
                picture(
                    figures["choice"],
                    "Loss relative to the best model against hidden units and learning rate, with "
                    "its standard error, up to which a smaller model is chosen.",
                ),
                [_about_choice(of)],
            ),
            Section("data", "The shots", sentences=[_about_data(of)]),
            Section("method", "How it was trained", sentences=[_about_methods(summary)]),
        ],
        explorer=None,
        provenance=provenance,
        command=command,
    )


def joined(sentences: Sequence[Sentence]) -> Sentence:
    """Join sentences that contain commas."""
    parts = [("; ", *each.parts) for each in sentences]
    return Sentence(tuple(part for each in parts for part in each)[1:])


def about_checks(dataset: xr.Dataset) -> Sentence:
    """Say what the checks test, and when they pass."""
    tolerance = dataset.attrs["tolerance"]
    return phrase(
        dataset,
        "Each check measures a loss on the {test_shots} test shots, which trained and chose "
        f"nothing. It passes if the loss is at most {tolerance:g} nats per shot and its 95 % "
        f"interval ends below {2 * tolerance:g}, fails if the loss is above {tolerance:g} with "
        "95 % confidence over all checks, and is undecided otherwise.",
    )


def checks_section_table(checks: Sequence[Check]) -> Table:
    """Tabulate the checks."""
    rows: list[list[str | Number]] = [
        [
            each.name,
            "FAIL" if each.answer == "fail" else each.answer,
            *(Number(x, significant(x), "section on trust") for x in (each.loss, each.at_most)),
            each.found,
        ]
        for each in checks
    ]
    head = ["check", "answer", "loss", "at most", "found"]
    return Table("Checks; losses in nats per shot", head, rows)


def _observables(dataset: xr.Dataset) -> Table:
    """Tabulate every observable, the largest implied loss first."""
    rows: list[list[str | Number]] = [
        [
            each.name,
            Number(
                each.shots_value,
                plus_minus(each.shots_value, each.shots_error),
                f"{FILE}: observables of the test shots",
            ),
            Number(each.dense, significant(each.dense), f"{FILE}: mean over seed, _dense"),
            Number(
                each.value,
                plus_minus(each.value, each.value_error),
                f"{FILE}: observables of the smallest RBM",
            ),
            Number(each.loss, significant(each.loss), "deviation² / (2 variance of a shot)"),
        ]
        for each in deviations(dataset)
    ]
    head = ["observable", "shots", "unpruned RBMs", "smallest RBM", "implied loss"]
    caption = f"Test shots, mean of the unpruned RBMs, smallest RBM{as_recorded(dataset)}"
    return Table(caption, head, rows)


def _untested(dataset: xr.Dataset) -> Section:
    """Tabulate observables that shots do not determine, which only the RBMs give."""
    rows: list[list[str | Number]] = [
        [
            each.name,
            Number(each.dense, significant(each.dense), f"{FILE}: mean over seed, _dense"),
            Number(
                each.value,
                plus_minus(each.value, each.error),
                f"{FILE}: observables of the smallest RBM",
            ),
        ]
        for each in untested_observables(dataset)
    ]
    head = ["observable", "unpruned RBMs", "smallest RBM"]
    caption = f"O{OF_THE_RBM_ALONE[1:]}"
    title = "Observables that shots do not determine"
    return Section("untested", title, table=Table(caption, head, rows))


def _of_true_bits(dataset: xr.Dataset) -> Section:
    """Tabulate the observables of the true bits."""
    rows: list[list[str | Number]] = [
        [
            each.name,
            Number(
                each.shots_value,
                plus_minus(each.shots_value, each.shots_error),
                f"{FILE}: state_..._shots, the readout errors of the test shots inverted",
            ),
            Number(each.value, plus_minus(each.value, each.error), f"{FILE}: state_... of the RBM"),
            *(
                Number(error, f"{error:.1g}" if math.isfinite(error) else "", f"{FILE}: {where}")
                for error, where in (
                    (each.rates_error, "state_..._rates_error, from the readout error rates"),
                    (each.training_error, "state_..._training_error, from the training shots"),
                )
            ),
            Number(
                each.sigmas,
                f"{each.sigmas:+.1f}",
                "difference over both sampling errors, without that of the calibration",
            ),
        ]
        for each in state_observables(dataset)
    ]
    head = ["observable", "shots, corrected", "smallest RBM", "rates", "training", "sigmas"]
    caption = (
        "True bits: test shots with the readout errors inverted, smallest RBM with the error of "
        "its draws, and its errors from the readout error rates and from the training shots"
    )
    return Section("true-bits", "Observables of the true bits", table=Table(caption, head, rows))


def _about_search(of: Named) -> Sentence:
    attrs = of.data.attrs
    return phrase(
        of.data,
        f"Pruned by {attrs['criterion']}. The search tried {{trials}} and kept the smallest that "
        f"the {search_shots(of.data)} do not reject at a significance of "
        f"{attrs['significance']:g}.",
        trials=plural(size(of, "trial"), "RBM"),
    )


def _trials(of: Named) -> Table:
    columns = {"weights": whole} | dict.fromkeys(("loss", "error", "allowed", "share"), significant)
    rows = []
    for k, name in enumerate(of.data["trial_name"].values):
        cells = [one(of, f"trial_{key}", {"trial": k}, show) for key, show in columns.items()]
        rows.append([str(name), *cells, "accepted" if cells[-1].value <= 1 else "rejected"])
    head = ["RBM", "weights", "loss", "error", "allowed", "loss / allowed", ""]
    return Table(f"Every RBM of the search, on the {search_shots(of.data)}", head, rows)


def _about_choice(of: Named) -> Sentence:
    attrs, chosen = of.data.attrs, int(of.data["candidate_chosen"].values.argmax())
    rate = ", learning rate {candidate_learning_rate}" if attrs["learning_rate"] > 0 else ""
    loses = ", which it loses {candidate_loss} nats per shot to"
    return phrase(
        of.data,
        "Of {models}, this is the smallest within one standard error of the best on the training "
        f"and validation shots{loses if float(of.data['candidate_loss'][chosen]) else ''}: "
        f"{{units}}{{links}}, trained by {attrs['method']}{rate}.",
        {"candidate": chosen},
        models=plural(size(of, "candidate"), "model"),
        units=plural(attribute(of, "hidden"), "hidden unit"),
        links=_links(of),
    )


def _links(of: Named) -> Sentence | str:
    """Phrase which links the hidden units of the chosen model have; nothing for all."""
    attrs = of.data.attrs
    if attrs["links"]:
        # Results of earlier versions have no units of all sites.
        further = ", {wide} of them with all" if attrs.get("global_units") else ""
        wide = {"wide": attribute(of, "global_units")} if further else {}
        return say(f" with {{links}} links each{further}", links=attribute(of, "links"), **wide)
    return " with scale-free links" if of.data.attrs["scale_free"] else ""


def _about_methods(summary: Answer) -> Sentence:
    """Name the methods with every field; times would differ from run to run."""
    return say("The RBMs were {method}.", method=summary.method)


def _about_data(of: Named) -> Sentence:
    return phrase(
        of.data,
        "{shots} shots of {sites} sites, {unique_shots} of them distinct, split at random: "
        "{training_shots} for training, {validation_shots} for validation, {test_shots} for the "
        "test.",
    )
