"""The answer of `psiprune reconstruct`, phrased once for the terminal, JSON and the page."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from string import Formatter
from types import MappingProxyType
from typing import Any, NamedTuple

import xarray as xr

from psiprune.core import normal as norm
from psiprune.metrics.loss_tests import PASS_LEVEL
from psiprune.reconstruction.advice import Step, next_steps, shots_needed
from psiprune.reconstruction.checks import (
    Check,
    Verdict,
    deviations,
    loss_of,
    make_checks,
    verdict_of,
)
from psiprune.reconstruction.command import Request
from psiprune.reconstruction.dataset import methods_used
from psiprune.reporting.traced import (
    Named,
    Number,
    Sentence,
    attribute,
    one,
    plural,
    say,
    significant,
)
from psiprune.training.methods import as_method

FILE = "reconstruct.nc"
#: The most observables in the answer.
_MOST = 3
_NOWHERE: Mapping[str, Hashable] = MappingProxyType({})


class Summary(NamedTuple):
    """The answer, and the checks behind it.

    Attributes:
        verdict: of `checks`.
        reason: the verdict, and why.
        cause: what is to blame for a failure, if that is known.
        size: how many weights are left.
        loss: of the smallest RBM, with its bound and the tolerance.
        deviations: the observables that differ most from the shots.
        assumptions: what the shots cannot show.
        method: how the RBMs were trained.
        steps: what to do next.
        checks: all of them.
        state: what is known of the state besides, of shots in several bases.
    """

    verdict: Verdict
    reason: Sentence
    cause: Sequence[Sentence]
    size: Sentence
    loss: Sentence
    deviations: Sequence[Sentence]
    assumptions: Sequence[Sentence]
    method: Sentence
    steps: Sequence[Step]
    checks: Sequence[Check]
    state: Sequence[Sentence] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Everything but the verdict and the checks as (name, text)."""
        steps = [f"{step.reason}:\n{step.command}" for step in self.steps]
        return [
            *_named("cause", [each.text for each in self.cause]),
            ("RBM", self.size.text),
            ("loss", self.loss.text),
            *_named("state", [each.text for each in self.state]),
            *_named("deviations", [each.text for each in self.deviations]),
            *_named("assumed", [each.text for each in self.assumptions]),
            ("method", self.method.text),
            *_named("next", steps),
        ]


def _named(name: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    return [("" if k else name, text) for k, text in enumerate(texts)]


def phrase(
    dataset: xr.Dataset,
    template: str,
    where: Mapping[str, Hashable] = _NOWHERE,
    **parts: Number | Sentence | str,
) -> Sentence:
    """Fill each {name} of a template with the part, attribute or variable of that name."""
    of = Named(FILE, dataset)
    for _, name, _, _ in Formatter().parse(template):
        if name and name not in parts:
            parts[name] = attribute(of, name) if name in dataset.attrs else one(of, name, where)
    return say(template, **parts)


def plus_minus(value: float, error: float) -> str:
    """Format a value and its error with two digits of the error: "0.0034 ± 0.0011"."""
    if not (math.isfinite(error) and error > 0):
        return significant(value).replace("−", "-")
    digits = 1 - math.floor(math.log10(float(f"{error:.1e}")))
    if digits > 8:
        return f"{value:.3g} ± {error:.1e}"
    return f"{value:.{max(0, digits)}f} ± {error:.{max(0, digits)}f}"


def digits_apart(value: float, other: float, fewest: int) -> int:
    """Return how many digits two numbers need to look different, from `fewest` to 9."""
    enough = (k for k in range(fewest, 9) if f"{value:.{k}g}" != f"{other:.{k}g}")
    return next(enough, 9)


def summarize(dataset: xr.Dataset, request: Request) -> Summary:
    """Phrase the findings of a run, from its dataset."""
    of, checks = Named(FILE, dataset), make_checks(dataset)
    units = say("on {n}", n=plural(attribute(of, "units"), "hidden unit"))
    attrs = dataset.attrs
    links = " local" if attrs["links"] else " scale-free" if attrs["scale_free"] else ""
    spread = units if attrs["weights"] else "so the bits are independent"
    size = "{weights} of {dense_weights}{links} weights, {spread}"
    return Summary(
        verdict_of(checks),
        reason_for(dataset, checks),
        cause_of(checks),
        phrase(dataset, size, links=links, spread=spread),
        loss_sentence(dataset, checks),
        _deviations(dataset),
        _assumptions(of),
        say("{method}", method=method_text(dataset)),
        next_steps(checks, request),
        checks,
    )


def reason_for(dataset: xr.Dataset, checks: Sequence[Check]) -> Sentence:
    """Phrase the verdict, and why."""
    verdict = verdict_of(checks)
    number = plural(Number(len(checks), str(len(checks)), "table of checks"), "check")
    if verdict == "trusted":
        return say("Trusted: passes all {checks}", checks=number)
    answer = "fail" if verdict == "not trusted" else "undecided"
    deciding = [each.name for each in checks if each.answer == answer]
    count = Number(len(deciding), str(len(deciding)), "table of checks")
    parts: dict[str, Any] = {"count": count, "checks": number, "names": "; ".join(deciding)}
    if verdict == "not trusted":
        return say("Not trusted: fails {count} of {checks} ({names})", **parts)
    needed = shots_needed(checks, dataset.attrs["shots"])
    if needed is None:
        return say("Undecided: {count} of {checks} ({names})", **parts)
    shots = Number(needed, f"{needed:,}", "table of checks: shots needed")
    return say(
        "Undecided: {count} of {checks} ({names}); about {n} shots would decide", n=shots, **parts
    )


def cause_of(checks: Sequence[Check]) -> list[Sentence]:
    """Phrase what is to blame for failures, if that is known."""
    causes = {each.cause for each in checks if each.answer == "fail"}
    if "training" in causes:
        return [say("not pruning: the unpruned RBM (training, hidden units) fails as well")]
    if "pruning" in causes:
        return [say("pruning: the unpruned RBM does not fail")]
    return []


def likelihood_of(checks: Sequence[Check]) -> Check:
    """Return the check of the likelihood."""
    return next(each for each in checks if each.name == "log-likelihood")


def larger_loss(checks: Sequence[Check]) -> Check | None:
    """Return the check that shows a larger loss than the likelihood, if any.

    It does not pass, or its lower bound is beyond the upper one of the likelihood: that is relative
    to the unpruned RBM, so it does not show what that one loses, too.
    """
    likelihood = likelihood_of(checks)
    beyond = [
        each
        for each in checks
        if each.loss > likelihood.loss
        and (each.answer != "pass" or each.at_least > likelihood.at_most)
    ]
    return max(beyond, key=lambda each: each.loss, default=None)


def loss_number(dataset: xr.Dataset, checks: Sequence[Check]) -> Number:
    """Return the loss that the answer states."""
    worst = larger_loss(checks)
    if worst is not None:
        return Number(worst.loss, f"{worst.loss:.2g}", f"check of {worst.name}")
    loss, error = loss_of(dataset)
    return Number(loss, plus_minus(loss, error), f"{FILE}: likelihood_loss and training_loss")


def loss_sentence(dataset: xr.Dataset, checks: Sequence[Check]) -> Sentence:
    """Phrase the loss with its bound and the tolerance."""
    tolerance, worst = dataset.attrs["tolerance"], larger_loss(checks)
    loss = loss_number(dataset, checks)
    limit = Number(tolerance, f"{tolerance:g}", f"{FILE}: attribute tolerance")
    if worst is not None:
        return say(
            "at least about {loss} nats per shot, by the check of {name}; accepted within {limit}",
            loss=loss,
            name=worst.name,
            limit=limit,
        )
    bound = likelihood_of(checks).at_most
    digits = digits_apart(bound, 2 * tolerance, 3)
    return say(
        "{loss} nats per shot, at most {bound} (95 %); accepted within {limit}, at most {twice}",
        loss=loss,
        bound=Number(
            bound, f"{bound:.{digits}g}", f"{loss.how}, {norm.isf(PASS_LEVEL):.3f} errors above"
        ),
        limit=limit,
        twice=Number(2 * tolerance, f"{2 * tolerance:g}", "twice the tolerance"),
    )


def _deviations(dataset: xr.Dataset) -> list[Sentence]:
    """Phrase the deviations of the largest implied losses, by sigmas; C(0) follows from <Z>."""
    found = list[tuple[float, Sentence]]()
    every = [each for each in deviations(dataset) if each.name != "correlation at d = 0"]
    for each in filter(lambda each: each.loss > 0, every[:_MOST]):
        of_shots = plus_minus(each.shots_value, each.shots_error)
        digits = max(3, len(of_shots.split(" ± ")[0].partition(".")[2]))
        error = math.hypot(each.value_error, each.shots_error)
        sigmas = abs(each.value - each.shots_value) / error if error > 0 else math.inf
        text = say(
            "{name}: shots {shots}, RBM {value}, {sigmas} σ apart",
            name=each.name,
            shots=Number(each.shots_value, of_shots, f"{FILE}: test shots"),
            value=Number(each.value, f"{each.value:.{digits}f}", f"{FILE}: smallest RBM"),
            sigmas=Number(sigmas, f"{sigmas:.1f}", "difference over both standard errors"),
        )
        found.append((sigmas, text))
    return [text for _, text in sorted(found, key=lambda each: -each[0])]


def _assumptions(of: Named) -> list[Sentence]:
    """Phrase what the shots cannot show; a constant qubit may be frozen or not read out."""
    found = [say("{sentence}", sentence=str(of.data["readout_sentence"].item()))]
    note = of.data.get("boundary_note")  # runs of earlier versions have none
    if note is not None and note.item():
        found.append(say("{sentence}", sentence=str(note.item())))
    if of.data.attrs["order_assumption"]:
        found.append(say("{sentence}", sentence=of.data.attrs["order_assumption"]))
    if name := of.data.attrs.get("symmetry"):  # results of earlier versions do not say it
        tied = (
            f"symmetry {name}: parameters are tied to it, the state may break it by less than the"
        )
        found.append(say("{sentence}", sentence=f"{tied} shots show"))
    if of.data.attrs["constant_sites"]:
        constant = plural(attribute(of, "constant_sites"), "site")
        found.append(
            say(
                "{n} with the same value in every shot: taken as frozen, not as dead readout",
                n=constant,
            )
        )
    return found


def search_shots(dataset: xr.Dataset) -> str:
    """Name the shots that end the search."""
    by_likelihood = dataset.attrs["measure"] == "log_likelihood"
    return "training and validation shots" if by_likelihood else "validation shots"


def method_text(dataset: xr.Dataset) -> str:
    """Return the training methods of the chosen model, with every field."""
    train, tune = (as_method(methods_used(dataset)[name]) for name in ("train", "fine_tune"))
    return f"trained by {train}; fine-tuned by {tune}"
