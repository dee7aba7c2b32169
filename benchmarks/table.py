"""How fast is psiprune? Every benchmark in one run, and the tables that the README shows.

Runs the other scripts of this folder one after the other, prints what they print, and ends with two
Markdown tables: this version against the peers, and against an earlier commit. --only runs scripts
by name ("training,sampling"), and the tables have the rows of those.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import peers

HERE = Path(__file__).resolve().parent
SCRIPTS = (
    *("training", "sampling", "time_to_kl", "earlier", "sparsity", "scaling", "simd", "start"),
    "threads",
)
Cells = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--only", default=",".join(SCRIPTS), help="scripts to run, by commas")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/bench"), help="for the JSON files"
    )
    parser.add_argument(
        "--update", action="store_true", help="put marked tables into docs/benchmarks.md"
    )
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in args.only.split(","):
        file = args.folder / f"{name}.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(file)]
        command += ["--quick"] * args.quick + ["--update"] * args.update
        subprocess.run(command, check=True)
        print(flush=True)
        found[name] = json.loads(file.read_text())
    text = markdown(found)
    if args.update:
        for name, each in tables(found).items():
            peers.replace_table(name, each)
    (args.folder / "table.md").write_text(text)
    print(text, end="")


def markdown(found: dict[str, Any]) -> str:
    """The rows in which a peer or an earlier commit does the same work, each with the machine."""
    machine = [f"{each['machine']}\n" for each in [*found.values()][:1]]
    return "\n".join([*machine, *tables(found).values()])


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Both tables, where there are rows for them."""
    made = {}
    rows = [*peer_rows(found)]
    if rows:
        head = ("", "psiprune", "peer", "ratio", "KL: psiprune", "KL: peer")
        made["peers"] = table(head, rows)
    if "earlier" in found:
        rows = [earlier_row(row) for row in found["earlier"]["tables"]["earlier"]]
        made["earlier"] = table(("", "now", "then", "ratio", "KL: now", "KL: then"), rows)
    return made


def table(head: Cells, rows: list[Cells]) -> str:
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def peer_rows(found: dict[str, Any]) -> list[Cells]:
    """Rows against QuCumber, JAX and TeNPy."""
    rows = []
    for row in found["training"]["tables"]["training"] if "training" in found else ():
        name = f"CD-{row['k']} update, {row['visible']} x {row['hidden']}, batch 100"
        for peer in ("QuCumber", "JAX"):
            there, ratio = row.get(f"{peer} [us]"), row.get(f"{peer} ratio")
            times = line(f"{name}, {peer}", "us", row["ours [us]"], there, ratio)
            rows.append((*times, kl(row["KL, ours"]), kl(row.get(f"KL, {peer}"))))
    for row in found["sampling"]["tables"]["sampling"] if "sampling" in found else ():
        sweeps = "Metropolis sweeps of " * (row["peer"] == "NetKet")
        name = f"{row['what']}, {sweeps}{row['peer']}"
        ours, theirs = row["ours, one core [1/s]"], row["peer [1/s]"]
        rows.append((*line(name, "per s", ours, theirs, row["ratio, one core"]), "", ""))
    if "time_to_kl" in found:
        times = found["time_to_kl"]
        reached = [row for row in times["tables"]["time_to_kl"] if row["reached"] == "yes"]
        if reached:
            best = min(reached, key=lambda row: row["seconds"])
            name = f"time to KL {times['goal']:.4f}, 18 x 9, h = 1"
            cells = line(name, "s", best["seconds"], times["QuCumber [s]"], best["ratio"])
            rows.append((*cells, kl(best["worst KL"]), kl(times["goal"])))
        for row in times["tables"].get("netket", ()):
            name = f"time to KL {row['KL']:.4f}, 18 x 9, h = 1, NetKet"
            if "ratio" in row:
                cells = line(name, "s", row["ours [s]"], row["seconds"], row["ratio"])
                rows.append((*cells, kl(row["worst KL"]), kl(row["KL"])))
    return rows


def earlier_row(row: dict[str, Any]) -> Cells:
    """A row against an earlier commit."""
    unit = "s" if "now [s]" in row else "us"
    cells = line(
        f"{row['work']}, {row['RBM'].replace('x', ' x ')}",
        unit,
        row[f"now [{unit}]"],
        row[f"then [{unit}]"],
        row["ratio"],
    )
    return (*cells, kl(row.get("KL now")), kl(row.get("KL then")))


def line(name: str, unit: str, ours: float, theirs: float | None, ratio: float | None) -> Cells:
    """One row of the table; empty where the peer was not run."""
    there = "" if theirs is None else f"{digits(theirs)} {unit}"
    return name, f"{digits(ours)} {unit}", there, "" if ratio is None else f"{digits(ratio)}x"


def kl(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def digits(number: float) -> str:
    """Three significant digits, without an exponent."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


if __name__ == "__main__":
    main()
