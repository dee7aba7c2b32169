"""The page of `psiprune reconstruct`: how small, at what cost, and whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.summary import FILE, methods_text, observables_table, phrase, summarize
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
from psiprune.training.limits import Needs


def reconstruct_report(
    dataset: xr.Dataset,
    figures: Mapping[str, Figure],
    provenance: Provenance,
    command: str,
    estimate: Mapping[str, Any] | None = None,
) -> Report:
    """Build the report of a run.

    Args:
        dataset: of the run.
        figures: choice, search, observables.
        provenance: versions, machine and configuration.
        command: reproduces the run.
        estimate: what the first start of the run expected, see `read_estimate`; None if it did not.
    """
    of, summary = Named(FILE, dataset), summarize(dataset)
    passed = sum(each.answer == "pass" for each in summary.checks)
    headlines = [
        Headline(attribute(of, "weights"), phrase(dataset, "of {dense_weights} weights left")),
        Headline(one(of, "test_loss", {}), say(f"test loss ({dataset.attrs['measure']})")),
        Headline(
            Number(passed, str(passed), "section on trust"),
            say(f"of {len(summary.checks)} checks passed"),
        ),
    ]
    return Report(
        title="A quantum state reconstructed from shots with as few weights as possible",
        introduction=(
            f"{dataset.attrs['source']}: measured bit strings, reconstructed by a restricted "
            "Boltzmann machine (RBM) that is pruned until held-out shots show the loss.",
            "One part of the shots trained the RBMs; a second one, for validation, chose the model "
            "and ended the pruning. The summary uses only the third, the test shots.",
        ),
        summary=Summary([summary.size, summary.cost, summary.trust], headlines),
        sections=[
            Section(
                "trust",
                "Can it be trusted?",
                sentences=[
                    say("{line}", line=f"{each.answer}: {each.name}: {each.found}")
                    for each in summary.checks
                ],
            ),
            Section(
                "search",
                "How far it can be pruned",
                picture(
                    figures["search"],
                    "Validation loss of every RBM of the search against its number of weights, "
                    "the band of an undamaged RBM, and the test loss of the smallest RBM.",
                ),
                [_about_search(of)],
                _trials(of),
            ),
            Section(
                "observables",
                "Observables",
                picture(
                    figures["observables"],
                    "C(d) of the test shots and of the smallest RBM against distance, and the "
                    "deviation of every scalar observable in standard errors.",
                ),
                table=observables_table(dataset, range(dataset.sizes["distance"])),
            ),
            Section(
                "choice",
                "How many hidden units",
                picture(
                    figures["choice"],
                    "Validation loss relative to the best model against hidden units and learning "
                    "rate, with the largest loss that is not significant.",
                ),
                [_about_choice(of)],
            ),
            Section("data", "The shots", sentences=_about_data(of)),
            Section("method", "How it was trained", sentences=_about_methods(of, estimate)),
        ],
        explorer=None,
        provenance=provenance,
        command=command,
    )


def _about_search(of: Named) -> Sentence:
    attrs = of.data.attrs
    return phrase(
        of.data,
        f"Pruned by {attrs['criterion']}. The search tried {{trials}} and kept the smallest that "
        "the training and validation shots do not reject at a significance of "
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
    return Table("Every RBM of the search, on the validation shots", head, rows)


def _about_choice(of: Named) -> Sentence:
    method = of.data.attrs["method"]
    rate = "" if method == "exact" else ", learning rate {candidate_learning_rate}"
    return phrase(
        of.data,
        "Of {models}, this is the smallest that the validation shots cannot distinguish from the "
        f"best: {{units}}, trained by {method}{rate}. It loses {{candidate_loss}} nats per shot "
        "relative to the best; up to one standard error, {candidate_loss_error}, was accepted.",
        {"candidate": int(of.data["candidate_chosen"].values.argmax())},
        models=plural(size(of, "candidate"), "model"),
        units=plural(attribute(of, "hidden"), "hidden unit"),
    )


def _about_methods(of: Named, estimate: Mapping[str, Any] | None) -> list[Sentence]:
    """Name the methods with every field, and compare the run with its estimate."""
    methods = say("{lines}.", lines=methods_text(of.data).replace("\n", "; "))
    if estimate is None:
        return [methods]
    before = (
        f"Estimated before training: {estimate['trainings']} trainings and about "
        f"{estimate['pruning_steps']} pruning steps by {' and '.join(estimate['methods'])}, in "
        f"{Needs(estimate['seconds'], estimate['memory_bytes'])}."
    )
    return [methods, say("{line}", line=before)]


def _about_data(of: Named) -> list[Sentence]:
    split = (
        "{shots} shots of {sites} sites, {unique_shots} of them distinct, split at random: "
        "{training_shots} for training, {validation_shots} for validation, {test_shots} for the "
        "test."
    )
    constant = plural(attribute(of, "constant_sites"), "site")
    dead = [say("{n} never changed: check the readout.", n=constant)]
    return [phrase(of.data, split), *(dead if of.data.attrs["constant_sites"] else [])]
