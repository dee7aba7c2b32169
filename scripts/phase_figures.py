"""Draw the figures of docs/sweep.md on phases from the numbers of the table on that page.

    python scripts/phase_figures.py

The run of hours behind the table is not kept; the table has the medians and the bands over its
seeds, in percent, which is all that the figures show.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.reporting.figures import save_figure
from psiprune.sweeps.figures import plot_phase_diagram, plot_prunable

DOCS = Path(__file__).parents[1] / "docs"
#: Where a hundred stand-ins for the seeds have the median and 16 to 84 % of the seeds.
_PARTS, _RANKS = np.linspace(0, 1, 101), (0.0, 0.16, 0.5, 0.84, 1.0)


def phases(text: str) -> xr.Dataset:
    """Return the table of the page as the grid of a sweep, with stand-ins for the seeds."""
    written = text.partition("| h/J | ξ |")
    table_text = "".join(written[1:]).partition("\n\n")[0]
    head, _, *rows = re.findall(r"^\| (.*) \|$", table_text, re.MULTILINE)
    columns = [tuple(cell.split(", ")) for cell in head.split(" | ")[2:]]
    table = [[cell.strip() for cell in row.split("|")] for row in rows]
    ratios = np.array([float(row[0]) for row in table])
    sizes, variants = (list(dict.fromkeys(each)) for each in zip(*columns, strict=True))
    values = np.full((len(variants), len(sizes), len(ratios), len(_PARTS)), np.nan)
    for k, row in enumerate(table):
        for (size, variant), cell in zip(columns, row[2:], strict=True):
            if cell:
                middle, low, high = map(float, re.findall(r"\d+", cell))
                drawn = np.interp(_PARTS, _RANKS, (low, low, middle, high, high)) / 100
                values[variants.index(variant), sizes.index(size), k] = drawn
    with np.errstate(divide="ignore"):
        log = np.log(ratios)
        length = np.where(ratios > 1, 1 / log, -1 / (2 * log))
    return xr.Dataset(
        {
            "prunable": (("variant", "sites", "ratio", "seed"), values),
            "correlation_length": ("ratio", length),
        },
        {"variant": variants, "sites": [int(size) for size in sizes], "ratio": ratios},
    )


def main() -> None:
    """Write docs/sweep/prunable.svg and phases.svg."""
    grid = phases((DOCS / "sweep.md").read_text())
    for name, figure in (("prunable", plot_prunable(grid)), ("phases", plot_phase_diagram(grid))):
        for file in save_figure(figure, DOCS / "sweep" / name):
            if file.suffix == ".png":
                file.unlink()


if __name__ == "__main__":
    main()
