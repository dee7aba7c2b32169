"""How figures draw each variant of the experiment `masks`."""

from __future__ import annotations

from collections.abc import Iterable

from psiprune.reporting.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW

#: Colour, line, marker and label of each variant; lines differ where colours look alike.
VARIANTS = {
    "dense": (BLACK, "s", "", "dense"),
    "scale-free": (ORANGE, "o", "-", "scale-free"),
    "cluster": (GREEN, "D", "-.", "windows"),
    "power-law-0": (GREY, "v", ":", "uniform"),
    "power-law-1": (SKY, "<", "--", "probability 1/d"),
    "power-law-2": (BLUE, ">", "--", "probability 1/d²"),
    "random": (PURPLE, "x", ":", "random"),
    "nearest": (GREEN, "p", "-", "nearest sites"),
    "tails": (BLUE, "*", "--", "nearest sites and 1/d³"),
    "correlation": (SKY, "H", "-.", "strongest correlations"),
    "snip": (PURPLE, "^", ":", "SNIP"),
    "grasp": (BLUE, "P", "-.", "GraSP"),
    "synflow": (GREEN, "X", "--", "SynFlow"),
    "rewired": (SKY, "P", ":", "rewired"),
    "magnitude": (YELLOW, "d", "--", "dense, pruned by magnitude"),
    "surgeon": (BLUE, "h", "-", "dense, pruned by surgeon"),
    "scale-free-surgeon": (PURPLE, "*", "-.", "scale-free, pruned by surgeon"),
}
#: Compared over several sizes.
SCALED = (
    *("dense", "scale-free", "cluster", "nearest", "tails", "correlation"),
    *("rewired", "surgeon", "scale-free-surgeon"),
)

#: The most variants of a panel.
MOST = 6
#: Variants that a panel shows together, by the title of their legend.
GROUPS = {
    "from positions": (
        "scale-free",
        "cluster",
        "power-law-0",
        "power-law-1",
        "power-law-2",
        "random",
    ),
    "near or correlated sites": ("scale-free", "nearest", "tails", "correlation"),
    "chosen before training": ("scale-free", "snip", "grasp", "synflow"),
    "dense or pruned": (
        "dense",
        "scale-free",
        "rewired",
        "magnitude",
        "surgeon",
        "scale-free-surgeon",
    ),
}


def groups_of(variants: Iterable[str]) -> dict[str, list[str]]:
    """Return the groups that have more than the scale-free mask, which is in all to compare.

    Up to six variants form one group without a title.
    """
    there = set(variants)
    if len(there) <= MOST:
        return {"": [each for each in VARIANTS if each in there]}
    found = {title: [each for each in group if each in there] for title, group in GROUPS.items()}
    return {title: group for title, group in found.items() if set(group) - {"scale-free"}} or {
        "": [each for each in VARIANTS if each in there]
    }
