"""The commands: module, group in `psiprune --help`, most used options, and an example.

An example is what a reader types first. Together and in this order the examples can be run in an
empty folder, which a test does.
"""

from __future__ import annotations

from typing import NamedTuple

#: Printed by `psiprune` alone.
START = """\
psiprune reconstructs a quantum state from measured bit strings, prunes the
model, and says with error bars what that costs. Start with

  psiprune example shots.txt                 write an example file of shots
  psiprune info shots.txt                    look at it, or at a file of yours
  psiprune reconstruct shots.txt -o result   fit, prune, test and report

psiprune --help lists all commands, psiprune COMMAND --help the options of one.
"""


class Command(NamedTuple):
    """What is known of a command before it is imported.

    Attributes:
        module: of `psiprune.cli`, with a function NAME_command, or for `mask` an app.
        group: panel of `psiprune --help`.
        example: command lines, each of at most 78 characters.
        common: at most five options to list first, in this order.
        optional: the arguments that may be left out, as the line of usage shows them.
    """

    module: str
    group: str
    example: str
    common: tuple[str, ...] = ()
    optional: str = ""


_EXPERIMENT = ("--out", "--sites", "--fields", "--seeds", "--shots")

COMMANDS = {
    "example": Command(
        "example",
        "Data",
        "psiprune example shots.txt",
    ),
    "import": Command(
        "convert",
        "Data",
        "psiprune import text shots.txt -o imported.nc",
        ("--out", "--order", "--key", "--rows", "--readout"),
        optional="FILES...",
    ),
    "info": Command(
        "info",
        "Data",
        "psiprune info shots.txt",
        ("--observable", "--format", "--readout", "--json"),
        optional="[OTHER]",
    ),
    "ground-state": Command(
        "states",
        "Data",
        "psiprune ground-state --sites 10 --field 1 -o state.nc",
        ("--out", "--sites", "--field", "--model"),
    ),
    "quench": Command(
        "states",
        "Data",
        "psiprune quench --sites 8 --field 1 --time 0.5 -o quenched.nc",
        ("--out", "--time", "--sites", "--field", "--model"),
    ),
    "rotate": Command(
        "states",
        "Data",
        "psiprune rotate state.nc --twist 0.3 -o twisted.nc",
    ),
    "sample": Command(
        "states",
        "Data",
        "psiprune sample state.nc --shots 20000 -o shots.nc",
        ("--out", "--shots", "--bases", "--seed", "--readout"),
        optional="[STATE]",
    ),
    "export": Command(
        "convert",
        "Data",
        "psiprune export qiskit shots.nc -o counts.json",
    ),
    "calibrate": Command(
        "calibrate",
        "Data",
        "psiprune calibrate all0=zeros.txt all1=ones.txt -o readout.json",
        ("--out", "--groups", "--format"),
        optional="STATES...",
    ),
    "reconstruct": Command(
        "reconstruct",
        "Model",
        "psiprune reconstruct shots.txt -o result",
        ("--out", "--readout", "--hidden", "--observable", "--max-time"),
    ),
    "train": Command(
        "train",
        "Model",
        "psiprune train shots.nc --hidden 5 -o rbm.nc",
        ("--out", "--hidden", "--method", "--epochs", "--seed"),
    ),
    "identifiability": Command(
        "identifiability",
        "Model",
        "psiprune sample quenched.nc --bases random:9 --shots 4000 -o bases.nc\n"
        "psiprune identifiability bases.nc --hidden 2",
        ("--hidden", "--starts", "--seed", "--json"),
    ),
    "prune": Command(
        "prune",
        "Model",
        "psiprune prune rbm.nc shots.nc --levels 10 --state state.nc -o path",
        ("--out", "--criterion", "--levels", "--until", "--state"),
    ),
    "evaluate": Command(
        "evaluate",
        "Model",
        "psiprune evaluate path/level-05.nc state.nc",
        ("--draws", "--observable", "--seed", "--json"),
    ),
    "rewire": Command(
        "rewire",
        "Model",
        "psiprune rewire path/level-05.nc shots.nc --rounds 3 -o rewired",
        ("--out", "--rounds", "--share", "--criterion", "--state"),
    ),
    "mask": Command(
        "masks",
        "Model",
        "psiprune mask scale-free --sites 10 --weights 40 -o mask.txt\n"
        "psiprune train shots.nc --mask mask.txt -o masked.nc",
    ),
    "clusters": Command(
        "masks",
        "Model",
        "psiprune clusters path/level-05.nc --threshold 1 -o clusters",
        ("--out", "--width", "--threshold", "--pruned"),
    ),
    "study": Command(
        "experiments",
        "Experiments",
        "psiprune study --sites 10 --fields 1 --shots 20000 --seeds 3 -o study",
        _EXPERIMENT,
    ),
    "sparse": Command(
        "experiments",
        "Experiments",
        "psiprune sparse --sites 10 --fields 1 --seeds 3 -o sparse",
        _EXPERIMENT,
    ),
    "ablation": Command(
        "experiments",
        "Experiments",
        "psiprune ablation --sites 10 --fields 1 --seeds 3 --threshold 1 -o ablation",
        _EXPERIMENT,
    ),
    "frontier": Command(
        "experiments",
        "Experiments",
        "psiprune frontier --sites 10 --fields 1 --seeds 3 -o frontier",
        _EXPERIMENT,
    ),
    "masks": Command(
        "experiments",
        "Experiments",
        "psiprune masks --sites 10 --fields 1 --weights-per-site 2 4 -o masks",
        ("--out", "--sites", "--fields", "--kinds", "--weights-per-site"),
    ),
    "entanglement": Command(
        "experiments",
        "Experiments",
        "psiprune entanglement --sites 10 --fields 1 -o entanglement",
        _EXPERIMENT,
    ),
    "paper": Command(
        "paper",
        "Experiments",
        "psiprune paper --quick --only fig2 -o paper",
        ("--out", "--quick", "--only", "--seeds", "--config"),
    ),
    "sweep": Command(
        "sweep",
        "Experiments",
        "psiprune sweep mine.toml --dry-run\npsiprune sweep mine.toml",
        ("--out", "--dry-run", "--scheduler", "--slurm", "--pbs"),
    ),
    "report": Command(
        "sweep",
        "Reports",
        "psiprune report runs/mine",
    ),
    "query": Command(
        "sweep",
        "Reports",
        'psiprune query "select field, min(kl) from levels group by field" runs/mine',
    ),
    "completion": Command(
        "completion",
        "Shell",
        "psiprune completion --install",
        optional="[SHELL]",
    ),
}

#: The examples of the commands under `psiprune mask`.
MASKS = {
    "random": "psiprune mask random --hidden 5 --sites 10 --count 20 -o random.txt",
    "cluster": "psiprune mask cluster --hidden 5 --sites 10 --count 20 -o cluster.txt",
    "scale-free": "psiprune mask scale-free --sites 10 --weights 40 -o scale-free.txt",
    "power-law": "psiprune mask power-law --sites 10 --weights 40 -o power-law.txt",
    "nearest": "psiprune mask nearest --sites 16 --links 5 -o nearest.txt",
    "correlation": "psiprune mask correlation shots.nc --links 5 -o correlation.txt",
    "choose": "psiprune mask choose shots.nc -o chosen.txt",
    "break": "psiprune mask break cluster.txt --share 0.5 -o broken.txt",
    "forbid": "psiprune mask forbid path/level-05.nc --threshold 1 -o allowed.txt",
}
