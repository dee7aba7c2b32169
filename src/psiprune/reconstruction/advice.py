"""What to do next after a run: commands that follow from its checks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.reconstruction.checks import RATES, Check, verdict_of
from psiprune.reconstruction.command import Request
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.reporting.traced import listed
from psiprune.training.methods import by_size, by_size_fine_tuning

#: The file of the shots to keep, of a record that has others.
_SOUND = "sound.nc"


class Step(NamedTuple):
    """A command, or a Python call, and why to run it."""

    reason: str
    command: str


def next_steps(checks: Sequence[Check], request: Request) -> tuple[Step, ...]:
    """Return what helps after these checks; empty if no setting is known to."""
    steps = {
        "trusted": _after_trust,
        "undecided": _after_doubt,
        "not trusted": _after_failure,
    }[verdict_of(checks)]
    return tuple(steps(checks, request))


def shots_needed(checks: Sequence[Check], shots: int) -> int | None:
    """Return about how many shots would decide all undecided checks; None if shots would not.

    At least twice the present number: where fewer should have sufficed, these shots were unlucky.
    """
    needed = [each.shots_needed for each in checks if each.answer == "undecided"]
    if not needed or math.isnan(sum(needed)):
        return None
    return _two_digits(max(2 * shots, *needed))


def _two_digits(number: float) -> int:
    """Round up to two significant digits."""
    unit: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit


def _after_trust(_: Sequence[Check], request: Request) -> Iterator[Step]:
    reason = "compare the RBM with new shots"
    if request.folder is None:
        yield Step(reason, "psiprune.evaluate_on_shots(result.rbm, new_shots)")
    else:
        words = ["psiprune", "evaluate", str(request.folder / "smallest.nc"), "NEW_SHOTS"]
        yield Step(reason, shlex.join([*words, *request.readout_options]))


def _after_doubt(checks: Sequence[Check], request: Request) -> Iterator[Step]:
    needed = shots_needed(checks, request.shots)
    if needed is not None:
        yield _more_shots(needed, request)


def _more_shots(needed: int, request: Request) -> Step:
    reason = f"measure about {needed:,} shots in all instead of {request.shots:,}, and repeat"
    return Step(reason, request.command("MORE_SHOTS" if request.from_file else "more_shots"))


def _after_failure(checks: Sequence[Check], request: Request) -> Iterator[Step]:
    failed = {each.name: each for each in checks if each.answer == "fail"}
    if RATES in failed:
        reason = "measure the readout errors next to the shots, and repeat with --readout"
        yield Step(reason, "psiprune calibrate all0=ZEROS all1=ONES -o readout.json")
        return
    for name in ("drift", "independent shots"):  # drift correlates shots, too
        if name in failed and failed[name].rows:  # with other shots everything may be different
            yield from _keep_rows(failed[name], request)
            return
    causes = {each.cause for each in failed.values()}
    settings, sites = request.settings, request.sites
    default = settings.defaults().for_sites(sites)
    units, best = settings.units_for(sites), default.units_for(sites)
    scale_free, links = default.scale_free_for(sites), default.links_for(sites)
    lacks_links = (scale_free and not settings.scale_free_for(sites)) or (
        links and not settings.links_for(sites)
    )
    changes: dict[str, Any] = {}
    reasons = []
    # A training set too small for so many parameters shows in the likelihood alone.
    few_shots = "training" in causes and set(failed) == {"log-likelihood"}
    if causes & {"training", "pruning"} and (
        min(units) > min(best) or ((max(units) < max(best) or lacks_links) and not few_shots)
    ):
        changes |= {"hidden": None, "scale_free": None, "links": None}
        choices = [
            *map(str, best),
            *(f"{number} scale-free" for number in scale_free),
            *[f"{sites} locally linked"] * bool(links),
        ]
        reasons.append(f"choose among {listed(choices).text} hidden units")
    if "training" in causes:
        if default.train.method == "exact" and settings.train not in (default.train, by_size()):
            changes |= _best_methods()
            reasons.append("train by the exact natural gradient, the default for this size")
    elif "pruning" in causes and settings.measure != "log_likelihood":
        changes["measure"] = "log_likelihood"
        reasons.append(f"prune by the likelihood of the shots instead of {settings.measure}")
    if changes:
        if not _fits(settings.model_copy(update=changes), sites):
            changes |= _best_methods()
        yield Step(" and ".join(reasons), request.command(**changes))
    elif few_shots:
        # The loss is inversely proportional to the number of shots; half the tolerance is wanted.
        needed = request.shots * failed["log-likelihood"].loss / (settings.tolerance / 2)
        yield _more_shots(_two_digits(needed), request)


def _keep_rows(check: Check, request: Request) -> Iterator[Step]:
    if request.from_file:
        yield Step(check.remedy, request.import_rows(check.rows, _SOUND))
        yield Step("and repeat", request.command(_SOUND))
    else:
        yield Step(check.remedy, request.command(f"shots[{check.rows}]"))


def _best_methods() -> dict[str, Any]:
    return {"learning_rates": None, "train": by_size(), "fine_tune": by_size_fine_tuning()}


def _fits(settings: ReconstructSettings, sites: int) -> bool:
    """Whether the methods can train RBMs of these sizes."""
    try:
        settings.for_sites(sites)
    except InputError:
        return False
    return True
