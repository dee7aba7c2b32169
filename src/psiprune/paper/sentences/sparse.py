"""On RBMs that are sparse from the start: Fig. 5 and the ablations."""

from __future__ import annotations

import xarray as xr

from psiprune.paper.sentences.common import fields, largest, over_seeds, smallest
from psiprune.reporting.traced import Named, Number, Sentence, listed, median, ratio, say, whole


def on_sparse(sparse: xr.Dataset) -> list[Sentence]:
    """Fig. 5: which RBM ends with the lowest KL, and sp/ss against dense."""
    of = Named("sparse", sparse)
    found = []
    for field, phase in fields(of):
        ends = {
            str(variant): median(of, "kl", {"field": field, "variant": str(variant)})
            for variant in sparse["variant"].values
        }
        ends = {variant: number for variant, number in ends.items() if number.known}
        if len(ends) < 2:
            continue
        best, worst = smallest(ends), largest(ends)
        told = listed([say(f"{name} {{n}}", n=number) for name, number in ends.items()])
        found.append(
            say(
                "At {phase} the RBMs end with these KL divergences in nat ({over}): {told}; {best} "
                "is lowest, {worst} highest{times}.",
                best=best,
                worst=worst,
                phase=phase,
                over=over_seeds(of),
                told=told,
                times=say(", and sp/ss is {n} times dense", n=ratio(ends["sp/ss"], ends["dense"]))
                if {"sp/ss", "dense"} <= set(ends)
                else "",
            )
        )
    return found


def on_broken(ablation: xr.Dataset) -> list[Sentence]:
    """The first ablation: the measures from the pruned mask to a random one."""
    of = Named("ablation", ablation)
    shares = [float(share) for share in ablation["share"].values]
    begins = {"initial": "trained from initial weights", "dense": "trained on from the dense RBM"}
    found = []
    for field, phase in fields(of):
        told = []
        for start in ablation["start"].values.tolist():
            ends = [
                median(of, "broken_kl", {"field": field, "start": start, "share": share})
                for share in (shares[0], shares[-1])
            ]
            if all(end.known for end in ends):
                what = begins.get(start, start)
                told.append(say(f"from {{a}} to {{b}} nat if {what}", a=ends[0], b=ends[-1]))
        if told:
            found.append(
                say(
                    "At {phase}, from {low} to {high} of the way from the pruned mask to one by "
                    "chance, the KL divergence ({over}) goes {told}.",
                    phase=phase,
                    over=over_seeds(of),
                    low=Number(shares[0], _whole_percent(shares[0]), "ablation: first of share"),
                    high=Number(shares[-1], _whole_percent(shares[-1]), "ablation: last of share"),
                    told=listed(told),
                )
            )
    return found


def on_forbidden(ablation: xr.Dataset) -> list[Sentence]:
    """The second ablation: where forbidden clusters went, and what it cost."""
    of = Named("ablation", ablation)
    found = []
    for field, phase in fields(of):
        here = ablation.sel(field=field, model="forbidden")
        where = f"[field={field:g}, model=forbidden]"
        clusters, moved = int(here["found"].sum()), int((here["overlap"] == 0).sum())
        units = int(here["found"].size)
        kls = {
            model: median(of, "forbidden_kl", {"field": field, "model": model})
            for model in ablation["model"].values.tolist()
        }
        told = listed([say(f"{model} {{n}}", n=number) for model, number in kls.items()])
        found.append(
            say(
                "At {phase}, with the sites of their clusters forbidden, {clusters} of {units} "
                "hidden units have a cluster again, and the strongest window of {moved} shares no "
                "site with the old one. KL divergences in nat ({over}): {told}.",
                phase=phase,
                clusters=Number(clusters, whole(clusters), f"ablation: sum of found{where}"),
                units=Number(units, whole(units), f"ablation: number of entries of found{where}"),
                moved=Number(moved, whole(moved), f"ablation: entries of overlap{where} = 0"),
                over=over_seeds(of),
                told=told,
            )
        )
    return found


def _whole_percent(value: float) -> str:
    return f"{100 * value:g}\N{NO-BREAK SPACE}%"
