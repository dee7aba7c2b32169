"""The report of `psiprune reconstruct`: how small, at what cost, and whether to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import xarray as xr
from matplotlib.figure import Figure

from psiprune.reconstruction.checks import Check, checks, farthest, resolution
from psiprune.reconstruction.dataset import OBSERVABLES
from psiprune.reporting.page import Headline, Provenance, Report, Section, Summary, Table, picture
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
    attribute,
    one,
    percent,
    plural,
    ratio,
    say,
    significant,
)

_FILE = "reconstruct.nc"


def reconstruct_report(
    found: xr.Dataset,
    figures: Mapping[str, Figure],
    provenance: Provenance,
    command: str,
) -> Report:
    """The report of a run.

    Args:
        found: the dataset of the run.
        figures: choice, search, observables.
        provenance: versions, machine and configuration.
        command: that makes the same again.
    """
    of = Named(_FILE, found)
    listed = checks(found)
    return Report(
        title="A quantum state reconstructed from shots, with as few weights as it takes",
        introduction=(
            f"{found.attrs['source']}: measured bit strings, reconstructed by a restricted "
            "Boltzmann machine (RBM) and pruned until the shots show the loss.",
            "Training saw one part of the shots, the choice of the model and the end of the "
            "pruning a second one. All numbers of the summary are from the third, the test shots.",
        ),
        summary=Summary(list(_summary(of, listed)), _headlines(of, listed)),
        sections=list(_sections(of, listed, figures)),
        explorer=None,
        provenance=provenance,
        command=command,
    )


def _headlines(of: Named, listed: Sequence[Check]) -> list[Headline]:
    weights, dense = attribute(of, "weights"), attribute(of, "dense_weights")
    share = ratio(weights, dense, percent)
    cost = one(of, "test_loss", {})
    unit = " nat a shot" if of.data.attrs["measure"] == "log_likelihood" else ""
    one_weight = weights.value == 1
    if all(each.passed for each in listed):
        what = f"{'weight is' if one_weight else 'weights are'} enough, of {{dense}}"
    else:
        noun = "weight" if one_weight else "weights"
        what = f"{noun}, of {{dense}}, where the search ended: not to be trusted"
    return [
        Headline(weights, say(what, dense=dense)),
        Headline(share, say("of the weights of the dense RBM")),
        Headline(
            cost,
            say(
                f"lost{unit} on the test shots, where {{allowed}} would be allowed",
                allowed=one(of, "test_allowed", {}),
            ),
        ),
    ]


def _summary(of: Named, listed: Sequence[Check]) -> Iterator[Sentence]:
    own = of.data.attrs
    failed = [each for each in listed if not each.passed]
    weights = attribute(of, "weights")
    if not failed:
        answer = say(f"{'is' if weights.value == 1 else 'are'} enough")
    else:
        answer = say(
            "is where the search ended, not to be trusted: {n} of {all} checks failed",
            n=str(len(failed)),
            all=str(len(listed)),
        )
    yield say(
        "How small? {weights} of {dense} weights, on {hidden}, {answer}{end}.",
        weights=weights,
        dense=attribute(of, "dense_weights"),
        hidden=plural(attribute(of, "hidden"), "hidden unit"),
        answer=answer,
        end=_end(of),
    )
    unit = "nat a shot of log-likelihood" if own["measure"] == "log_likelihood" else "of it"
    what = "" if own["measure"] == "log_likelihood" else f"In {own['measure']}: "
    yield say(
        "What does it cost? {what}{loss} ± {error} {unit}, against the mean of {seeds} dense RBMs, "
        "on the test shots. An RBM without damage would show up to {allowed} there.",
        what=what,
        loss=one(of, "test_loss", {}),
        error=one(of, "test_error", {}),
        unit=unit,
        seeds=Number(
            len(of.data["seed"]), str(len(of.data["seed"])), f"{of.name}: entries along seed"
        ),
        allowed=one(of, "test_allowed", {}),
    )
    if not failed:
        yield say("Can it be trusted? Yes: all {n} checks passed.", n=str(len(listed)))
        return
    yield say(
        "Can it be trusted? No: {n} of {all} checks failed: {reasons}.",
        n=str(len(failed)),
        all=str(len(listed)),
        reasons="; ".join(f"“{each.name}” ({each.words})" for each in failed),
    )


def _end(of: Named) -> Sentence:
    if of.data.attrs["fewer"] < 0:
        return say("; the search ended there, before the loss was beyond what is allowed")
    k = int((of.data["trial_weights"].values == of.data.attrs["fewer"]).argmax())
    return say(
        "; with {fewer} the validation shots show {share} times the loss allowed",
        fewer=attribute(of, "fewer"),
        share=one(of, "trial_share", {"trial": k}),
    )


def _sections(
    of: Named, listed: Sequence[Check], figures: Mapping[str, Figure]
) -> Iterator[Section]:
    yield Section("trust", "Can it be trusted?", sentences=_on_trust(of, listed))
    yield Section(
        "search",
        "How far it can be pruned",
        picture(
            figures["search"],
            "The loss of every RBM of the search against its number of weights, with the band of "
            "what an undamaged RBM would lose, and the smallest RBM on the test shots.",
        ),
        _on_search(of),
        _trials(of),
    )
    yield Section(
        "observables",
        "What it says of the observables",
        picture(
            figures["observables"],
            "C(d) of the test shots and of the smallest RBM against distance, and how far "
            "every scalar observable is off, in standard errors.",
        ),
        _on_observables(of),
        _observables(of),
    )
    yield Section(
        "choice",
        "How many hidden units",
        picture(
            figures["choice"],
            "Loss of validation likelihood against the best model, by hidden units and learning "
            "rate, with the largest loss that counts as none.",
        ),
        _on_choice(of),
    )
    yield Section("data", "The shots", sentences=_on_data(of))


def _on_trust(of: Named, listed: Sequence[Check]) -> list[Sentence]:
    marks = [
        say("{line}.", line=f"{'✓' if each.passed else '✗'} {each.name}: {each.words}")
        for each in listed
    ]
    seen = resolution(of.data)
    if math.isnan(seen):
        return marks
    number = Number(
        seen,
        significant(seen),
        f"{of.name}: trial_allowed of the smallest + (2.326 + 1.645) test_error",
    )
    return [
        *marks,
        say(
            "A loss of {seen} nat a shot would have been contradicted by the test shots with a "
            "probability of 95 %; what lies below is uncertain.",
            seen=number,
        ),
    ]


def _on_search(of: Named) -> list[Sentence]:
    own = of.data.attrs
    return [
        say(
            "Pruned by {criterion} from the RBM of seed {parent}, the one nearest to the mean of "
            "the ensemble. The search tried {trials} and stopped at the smallest that the "
            "{validation} validation shots do not refuse at a significance of {level}.",
            criterion=str(own["criterion"]),
            parent=attribute(of, "parent_seed"),
            trials=plural(
                Number(
                    of.data.sizes["trial"],
                    str(of.data.sizes["trial"]),
                    f"{of.name}: entries along trial",
                ),
                "RBM",
            ),
            validation=attribute(of, "validation_shots"),
            level=f"{own['significance']:g}",
        )
    ]


def _trials(of: Named) -> Table:
    rows = []
    for k in range(of.data.sizes["trial"]):
        where = {"trial": k}
        share = one(of, "trial_share", where)
        rows.append(
            [
                str(of.data["trial_name"][k].item()),
                *(one(of, f"trial_{name}", where, show) for name, show in _TRIAL),
                share,
                "refused" if not share.value <= 1 else "kept",
            ]
        )
    return Table(
        "Every RBM of the search, on the validation shots",
        ["RBM", "weights", "loss", "error", "allowed", "loss / allowed", ""],
        rows,
    )


_TRIAL = (
    ("weights", lambda value: f"{value:.0f}"),
    ("loss", significant),
    ("error", significant),
    ("allowed", significant),
)


def _on_observables(of: Named) -> list[Sentence]:
    worst = farthest(of.data)
    return [
        say(
            "The farthest from the test shots is {name}, by {sigmas} standard errors; of that many "
            "comparisons up to {limit} is chance.",
            name=worst.name.replace("_", " "),
            sigmas=Number(
                worst.sigmas, significant(worst.sigmas), f"{of.name}: largest |..._sigmas|"
            ),
            limit=Number(
                worst.limit, significant(worst.limit), "normal quantile, 1 % over all of them"
            ),
        )
    ]


def _observables(of: Named) -> Table:
    own = [name for name in of.data.attrs["own"].split(", ") if name]
    rows = []
    for name in (*OBSERVABLES, *own):
        values = of.data[name]
        for d in range(values.size) if values.ndim else [None]:
            where = {} if d is None else {"distance": d}
            label = name.replace("_", " ")
            dense = of.data[f"{name}_dense"].isel(where)
            mean = float(dense.mean())
            rows.append(
                [
                    label if d is None else f"{label}, d = {d}",
                    one(of, f"{name}_shots", where),
                    one(of, f"{name}_shots_error", where),
                    Number(mean, significant(mean), f"{of.name}: mean over seed of {name}_dense"),
                    one(of, name, where),
                    one(of, f"{name}_error", where),
                    one(of, f"{name}_sigmas", where),
                ]
            )
    return Table(
        "Test shots with bootstrap errors, the mean of the dense RBMs, the smallest RBM",
        ["Observable", "Shots", "error", "Dense", "Smallest", "error", "sigmas"],
        rows,
    )


def _on_choice(of: Named) -> list[Sentence]:
    own, number = of.data.attrs, of.data.sizes["candidate"]
    k = int(of.data["candidate_chosen"].values.argmax())
    rate = say(", learning rate {rate}", rate=one(of, "candidate_learning_rate", {"candidate": k}))
    return [
        say(
            "Of {n}, the smallest was taken that the validation shots cannot tell from the best: "
            "{hidden}, trained by {method}{rate}. It loses {loss} nat a shot against the best; up "
            "to {limit} counts as none.",
            n=plural(Number(number, str(number), f"{of.name}: entries along candidate"), "model"),
            hidden=plural(attribute(of, "hidden"), "hidden unit"),
            method=str(own["method"]),
            rate=rate if own["method"] != "exact" else say(""),
            loss=one(of, "candidate_loss", {"candidate": k}),
            limit=one(of, "candidate_loss_limit", {"candidate": k}),
        )
    ]


def _on_data(of: Named) -> list[Sentence]:
    parts = {name: attribute(of, f"{name}_shots") for name in ("training", "validation", "test")}
    drift = one(of, "drift_sigmas", {})
    sentences = [
        say(
            "{shots} shots of {sites} sites, {unique} of them different; at random {training} to "
            "train, {validation} to choose and to stop, {test} to test.",
            shots=attribute(of, "shots"),
            sites=attribute(of, "sites"),
            unique=attribute(of, "unique_shots"),
            **parts,
        ),
        say(
            "Between the first and the second half of the record, site {site} differs most, by "
            "{sigmas} standard errors; up to {limit} is chance.",
            site=str(of.data["drift_where"].item()),
            sigmas=drift,
            limit=one(of, "drift_limit", {}),
        )
        if drift.known
        else say(
            "Equal configurations stand together, as in counts: the order of the shots is lost, "
            "so nothing is known of drift."
        ),
    ]
    constant = attribute(of, "constant_sites")
    if constant.value:
        sentences.append(say("{n} never changed: look at the readout.", n=plural(constant, "site")))
    return sentences
