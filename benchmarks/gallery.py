"""The gallery of models: reconstruct the ground states of eight Hamiltonians, prune the RBMs.

For each model 10^5 shots, RBMs of several seeds trained by exact natural gradient, and their paths
of pruning by optimal brain surgery, seven steps for each half of the weights. KL and fidelity are
sums over all states. The folder --out keeps what is finished: rerun to resume. With --docs the
table of this page is replaced, and its figure written. A minute of processor time for each seed;
--quick is two small models.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import peers
import psiprune as pp
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.divergence import statistical_floor
from psiprune.metrics.reference import reference_of
from psiprune.reporting.figures import BLUE, GREY, KL, ORANGE, panel_grid
from psiprune.reporting.style import styled
from psiprune.states.spin_models import SpinModel
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Initial

#: Pruning steps that remove half of the weights.
STEPS = 7
#: Hidden units for a state with as many 0 as 1 in each configuration.
SECTOR_HIDDEN = 18


class Task(NamedTuple):
    """A model with its training: `exact` with the default fields, or as given."""

    title: str
    model: SpinModel
    hidden: int
    levels: int = 3 * STEPS
    train: ExactNaturalGradient = ExactNaturalGradient()
    fine_tune: ExactNaturalGradient = ExactNaturalGradient.for_fine_tuning()
    initial: Initial | None = None


def spin_models() -> dict[str, Task]:
    """Return the eight models."""
    ising = pp.IsingChain(sites=12, boundary="periodic")
    far = pp.IsingChain(sites=12, alpha=3.0, field=1.5)
    tasks = {
        "ring": Task("Ising ring, h = J", ising, 6),
        "long-range": Task("Ising, J / r^3, h = 1.5 J", far, 6),
        "lattice": Task("Ising 4 x 4, h = 3 J", pp.TFIM2D(length=4, width=4, field=3.0), 8),
        "rydberg": Task("Rydberg, Z2 order", pp.Rydberg(sites=13, spacing=0.75, delta=2.0), 6),
    }
    for delta in (0.0, 0.5, 1.0, 2.0):
        # All shots have as many 0 as 1. So that p vanishes elsewhere weights must grow, which takes
        # more hidden units, more steps, and less decay.
        tasks[f"xxz-{delta:g}"] = Task(
            f"XXZ, Δ = {delta:g}",
            pp.XXZ(sites=12, delta=delta),
            SECTOR_HIDDEN,
            2 * STEPS,
            ExactNaturalGradient(epochs=1000, weight_decay=1e-8),
            ExactNaturalGradient(epochs=100, weight_decay=1e-8),
            "coded",
        )
    return tasks


def small_models() -> dict[str, Task]:
    """Return two models of a few sites."""
    ring, chain = pp.IsingChain(sites=6, boundary="periodic"), pp.XXZ(sites=4, delta=0.5)
    short = ExactNaturalGradient(epochs=50)
    return {
        "ring": Task("Ising ring, h = J", ring, 3, STEPS, short),
        "xxz": Task("XXZ, Δ = 0.5", chain, 4, STEPS, short),
    }


def main() -> None:
    args = peers.options(__doc__, out="runs/gallery", seeds=3, docs="")
    gallery = small_models() if args.quick else spin_models()
    shots, seeds = (2_000, 1) if args.quick else (100_000, args.seeds)
    about = peers.header(
        "Gallery of models", f"{shots:,} shots of seed 0, medians of RBMs of seeds 0 to {seeds - 1}"
    )
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, list[dict[str, Any]]] = {name: [] for name in gallery}
    for seed in range(seeds):
        for name, task in gallery.items():
            paths[name].append(path_of(name, task, shots, seed, folder))
    rows = [row_of(gallery[name], found) for name, found in paths.items()]
    peers.show(rows)
    peers.save(args.json, about, gallery=rows)
    if args.docs:
        write_page(Path(args.docs), rows, about, shots, seeds)
        draw(gallery, paths).savefig(Path(args.docs).with_suffix(".png"), dpi=200)


def path_of(name: str, task: Task, shots: int, seed: int, folder: Path) -> dict[str, Any]:
    """Return weights, KL and fidelity of each level of one RBM, computed or read from its file."""
    file = folder / f"{name}-{seed}.json"
    if file.exists():
        return dict(json.loads(file.read_text()))
    state_file, shots_file = folder / f"{name}.nc", folder / f"{name}-shots.nc"
    if not shots_file.exists():
        state = pp.ground_state(task.model)
        state.save(state_file)
        pp.sample(state, shots, seed=0).save(shots_file)
    reference, data = reference_of(pp.load_mps(state_file)), pp.read_shots(shots_file)
    start = time.process_time()
    rbm = pp.train(
        data,
        hidden=task.hidden,
        method=task.train,
        initial=task.initial,
        seed=seed,
    )
    trained = time.process_time() - start
    levels = pp.prune(
        rbm,
        data,
        criterion="surgeon",
        fraction=1.0 - 0.5 ** (1.0 / STEPS),
        levels=task.levels,
        fine_tune=task.fine_tune,
        seed=seed,
    )
    measured = [exact_metrics(level.rbm, reference) for level in levels]
    found = {
        "weights": [level.rbm.number_of_weights for level in levels],
        "kl": [each.kl for each in measured],
        "fidelity": [1.0 - each.infidelity for each in measured],
        "floor": statistical_floor(rbm),
        "train_seconds": trained,
        "seconds": time.process_time() - start,
    }
    file.write_text(json.dumps(found))
    return found


def smallest(found: dict[str, Any]) -> int:
    """Return the fewest weights before the KL exceeds twice that of the dense RBM."""
    above = np.array(found["kl"]) > 2.0 * found["kl"][0]
    first = int(above.argmax()) if above.any() else len(above)
    return int(found["weights"][first - 1])


def row_of(task: Task, paths: list[dict[str, Any]]) -> peers.Row:
    """Return medians over the seeds."""

    def median(values: list[float]) -> float:
        return float(np.median(values))

    return {
        "model": task.title,
        "sites": task.model.size,
        "hidden": task.hidden,
        "F": f"{median([found['fidelity'][0] for found in paths]):.4f}",
        "KL": median([found["kl"][0] for found in paths]),
        "floor": median([found["floor"] for found in paths]),
        "KL at half": median([found["kl"][STEPS] for found in paths]),
        "ratio": median([found["kl"][STEPS] / found["kl"][0] for found in paths]),
        "weights": int(paths[0]["weights"][0]),
        "smallest": round(median([smallest(found) for found in paths])),
        "seconds": median([found["seconds"] for found in paths]),
        "seeds": len(paths),
    }


def write_page(
    page: Path, rows: list[peers.Row], about: dict[str, Any], shots: int, seeds: int
) -> None:
    """Replace the table of a page, between its two marks, and what it says of the run."""
    lines = [
        f"| {' | '.join(rows[0])} |",
        "|" + " --- |" * len(rows[0]),
        *(f"| {' | '.join(map(peers.cell, row.values()))} |" for row in rows),
        "",
        f"{about['machine']}; {shots:,} shots of seed 0, RBMs of seeds 0 to {seeds - 1}.",
    ]
    before, _, rest = page.read_text().partition("<!-- table -->")
    after = rest.partition("<!-- end -->")[2]
    table = "\n".join(lines)
    page.write_text(f"{before}<!-- table -->\n{table}\n<!-- end -->{after}")


@styled
def draw(gallery: dict[str, Task], paths: dict[str, list[dict[str, Any]]]) -> Figure:
    """Draw KL against the fraction of weights kept: a panel for each model, a line for a seed."""
    figure, axes = panel_grid(len(gallery), 2, 1.25, "no model", sharex=True)
    for ax, (name, task) in zip(axes.ravel().tolist(), gallery.items(), strict=False):
        for found in paths[name]:
            kept = np.array(found["weights"]) / found["weights"][0]
            ax.plot(kept, found["kl"], "o-", ms=1.5, lw=0.8, color=BLUE)
        dense = float(np.median([found["kl"][0] for found in paths[name]]))
        ax.axhline(2.0 * dense, ls="--", lw=0.8, color=ORANGE)
        ax.axhline(paths[name][0]["floor"], ls=":", lw=0.8, color=GREY)
        ax.axvline(0.5, ls="-", lw=0.4, color=GREY)
        ax.set(xscale="log", yscale="log")
        title = f"{ax.get_title(loc='left')} {task.title.replace('r^3', '$r^3$')}"
        ax.set_title(title, loc="left", fontsize="small")
    for ax in axes.ravel().tolist():
        ax.set_xticks([1.0, 0.5, 0.25, 0.125], ["1", "1/2", "1/4", "1/8"], minor=False)
        ax.minorticks_off()
    axes[0, 0].set_xlim(1.08, axes[0, 0].get_xlim()[0])
    for ax in axes[:, 0]:
        ax.set_ylabel(KL)
    for ax in axes[-1]:
        ax.set_xlabel("fraction of weights kept")
    return figure


if __name__ == "__main__":
    main()
