"""The page of `psiprune reconstruct`: how small, at what cost, and whether to trust it."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.summary import observables_table, summarize
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
    figures: Mapping[str, Figure],
    provenance: Provenance,
    command: str,
) -> Report:
    """Build the report of a run.

    Args:
        dataset: of the run.
        figures: choice, search, observables.
        provenance: versions, machine and configuration.
        command: reproduces the run.
    """
    of, found = Named("reconstruct.nc", dataset), summarize(dataset)
    measure = dataset.attrs["measure"].replace("_", " ")
    headlines = [
        Headline(
            attribute(of, "weights"), say("of {n} weights left", n=attribute(of, "dense_weights"))
        ),
        Headline(one(of, "test_loss", {}), say(f"test loss ({measure})")),
        Headline(
            Number(
                sum(each.passed for each in found.checks),
                str(sum(each.passed for each in found.checks)),
                "checks of the section on trust",
            ),
            say(f"of {len(found.checks)} checks passed"),
        ),
    ]
    distances = range(dataset.sizes["distance"])
    return Report(
        title="A quantum state reconstructed from shots with as few weights as possible",
        introduction=(
            f"{dataset.attrs['source']}: measured bit strings, reconstructed by a restricted "
            "Boltzmann machine (RBM) that is pruned until held-out shots show the loss.",
            "One part of the shots trained the RBMs; a second one, for validation, chose the model "
            "and ended the pruning. The summary uses only the third, the test shots.",
        ),
        summary=Summary([found.size, found.cost, found.trust], headlines),
        sections=[
            Section(
                "trust",
                "Can it be trusted?",
                sentences=[
                    say("{line}", line=f"{'✓' if each.passed else '✗'} {each.name}: {each.words}")
                    for each in found.checks
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
                table=observables_table(dataset, distances),
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
        ],
        explorer=None,
        provenance=provenance,
        command=command,
    )


def _about_search(of: Named) -> Sentence:
    attrs = of.data.attrs
    return say(
        "Pruned by {criterion} from the RBM of seed {parent}, the one nearest to the mean of the "
        "ensemble. The search tried {trials} and kept the smallest that {validation} validation "
        "shots do not reject at a significance of {level}.",
        criterion=str(attrs["criterion"]),
        parent=attribute(of, "parent_seed"),
        trials=plural(size(of, "trial"), "RBM"),
        validation=attribute(of, "validation_shots"),
        level=f"{attrs['significance']:g}",
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
    k = {"candidate": int(of.data["candidate_chosen"].values.argmax())}
    rate = say(", learning rate {rate}", rate=one(of, "candidate_learning_rate", k))
    method = str(of.data.attrs["method"])
    return say(
        "Of {n}, this is the smallest that the validation shots cannot distinguish from the best: "
        "{hidden}, trained by {method}{rate}. It loses {loss} nats per shot relative to the best; "
        "up to {limit} is not significant.",
        n=plural(size(of, "candidate"), "model"),
        hidden=plural(attribute(of, "hidden"), "hidden unit"),
        method=method,
        rate="" if method == "exact" else rate,
        loss=one(of, "candidate_loss", k),
        limit=one(of, "candidate_loss_limit", k),
    )


def _about_data(of: Named) -> list[Sentence]:
    counts = ("shots", "sites", "unique_shots", "training_shots", "validation_shots", "test_shots")
    sentences = [
        say(
            "{shots} shots of {sites} sites, {unique_shots} of them distinct, split at random: "
            "{training_shots} for training, {validation_shots} for validation, {test_shots} for "
            "the test.",
            **{name: attribute(of, name) for name in counts},
        )
    ]
    constant = attribute(of, "constant_sites")
    if constant.value:
        sentences.append(say("{n} never changed: check the readout.", n=plural(constant, "site")))
    return sentences
