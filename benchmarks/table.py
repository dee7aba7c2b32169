"""How fast is psiprune? Every benchmark in one run, and the table that the README shows.

Runs the other scripts of this folder one after the other, prints what they print, and ends with
one Markdown table: ours, the peer's, the ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = ("training", "sampling", "time_to_kl", "sparsity", "scaling", "simd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/bench"), help="for the JSON files"
    )
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in SCRIPTS:
        file = args.folder / f"{name}.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(file)]
        subprocess.run(command + ["--quick"] * args.quick, check=True)
        print(flush=True)
        found[name] = json.loads(file.read_text())
    text = markdown(found)
    (args.folder / "table.md").write_text(text)
    print(text, end="")


def markdown(found: dict[str, Any]) -> str:
    """The rows in which a peer does the same work, and what a pruned weight saves."""
    rows = [("", "psiprune", "peer", "ratio"), ("---", "---:", "---:", "---:")]
    for row in found["training"]["tables"]["training"]:
        name = f"CD-{row['k']} update, {row['visible']} x {row['hidden']}, batch 100"
        rows.append(line(name, "us", row["ours [us]"], row["QuCumber [us]"], row["ratio"]))
    for row in found["sampling"]["tables"]["sampling"]:
        name = f"{row['what']}, one core, {row['peer']}"
        ours, theirs = row["ours, one core [1/s]"], row["peer [1/s]"]
        rows.append(line(name, "per s", ours, theirs, row["ratio, one core"]))
    kl = found["time_to_kl"]
    reached = [row for row in kl["tables"]["time_to_kl"] if row["reached"] == "yes"]
    if reached:
        best = min(reached, key=lambda row: row["seconds"])
        name = f"time to KL {kl['goal']:.4f}, 18 x 9, h = 1"
        rows.append(line(name, "s", best["seconds"], kl["QuCumber [s]"], best["ratio"]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def line(
    name: str, unit: str, ours: float, theirs: float | None, ratio: float | None
) -> tuple[str, str, str, str]:
    """One row of the table; empty where the peer was not run."""
    there = "" if theirs is None else f"{digits(theirs)} {unit}"
    return name, f"{digits(ours)} {unit}", there, "" if ratio is None else f"{digits(ratio)}x"


def digits(number: float) -> str:
    """Three significant digits, without an exponent."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


if __name__ == "__main__":
    main()
