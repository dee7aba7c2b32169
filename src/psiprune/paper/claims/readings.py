"""Rules that are applied in several ways: by several measures, or as the paper prints a measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from psiprune.paper.claims.base import Datasets, InsufficientDataError
from psiprune.paper.claims.data import TITLES
from psiprune.paper.claims.evidence import Evidence, Rule

#: The measures by which a claim about the quality of a model is judged.
JUDGED = ("kl", "abs_magnetization_bias", "energy_bias")
_JUDGED = (
    "By each of KL, |m| bias and energy bias, as sums over all states, where |m| biases below the "
    "standard error of the training set's <|m|> count as that. Where all three agree that is the "
    "verdict, else it holds in part, and the verdict says by which."
)


def by_measure(rule: Callable[[Evidence, str], str]) -> Rule:
    """Turn a rule for one measure into one that decides by all of `JUDGED`."""

    def by_each(evidence: Evidence) -> str:
        return evidence.each({(name, TITLES[name]): name for name in JUDGED}, rule)

    by_each.__doc__ = f"{rule.__doc__} {_JUDGED}"
    return by_each


def as_printed(rule: Rule) -> Rule:
    """Also apply a rule with Eqs. (3) and (8) as the paper prints them; that decides nothing."""

    def both(evidence: Evidence) -> str:
        measured = rule(evidence)
        printed = _printed(evidence.datasets)
        if printed is None:
            return measured
        own = replace(
            evidence.separate(("printed", "as printed")), datasets=printed, stands_for=_PRINTED
        )
        try:
            also = rule(own)
        except InsufficientDataError:
            return measured
        evidence.readings.update(
            {"against the exact state": evidence.verdict, "as printed": own.verdict}
        )
        if own.verdict == evidence.verdict:
            return f"{measured} With Eqs. (3) and (8) as printed, the same."
        return f"{measured} With Eqs. (3) and (8) as printed it {own.verdict}: {also}"

    both.__doc__ = f"{rule.__doc__} {_AS_PRINTED}"
    return both


#: What Eqs. (3) and (8) as printed put in the place of the measures against the exact state.
_PRINTED: Mapping[str, tuple[str, ...]] = {
    "study/kl": ("sums/kl_data",),
    "study/kl_exact": ("sums/kl_data",),
    "study/correlation_mse": ("study/correlation", "study/correlation_data"),
    "study/correlation_mse_exact": ("sums/correlation_mse_data",),
}
_AS_PRINTED = (
    "The same with Eqs. (3) and (8) as the paper prints them is reported where it can be computed: "
    "KL with q estimated from the training set, C_MSE against its C(d)."
)


def _printed(datasets: Datasets) -> Datasets | None:
    """The datasets with KL and C_MSE of the study against the training set, if they are known."""
    if not {"study", "sums"} <= set(datasets):
        return None
    study, sums = datasets["study"], datasets["sums"]
    if "correlation_data" not in study or "correlation" not in study:
        return None
    apart = study["correlation"] - study["correlation_data"]
    measures = {
        "kl": sums["kl_data"],
        "kl_exact": sums["kl_data"],
        "correlation_mse": (apart**2).mean("distance"),
        "correlation_mse_exact": sums["correlation_mse_data"],
        # Both C(d) then have noise.
        "correlation_mse_floor": 2 * study["correlation_mse_floor"],
    }
    order = ("field", "seed", "level")
    return {
        **datasets,
        "study": study.assign({k: v.transpose(*order) for k, v in measures.items()}),
    }
