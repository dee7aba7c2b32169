"""Help from the configuration, versions, and what importing the command line loads."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest

import psiprune as pp
import tiny
from outcomes import text_of
from psiprune.core.settings import Settings
from psiprune.experiments.settings import (
    AblationSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.io.provenance import describe_machine
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.states.tfim import TFIM
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, METHODS

STAGES = ("ground-state", "sample", "train", "prune", "rewire", "evaluate")


EXPERIMENTS = ("study", "sparse", "ablation", "frontier", "paper", "sweep")


COMMANDS = (
    *STAGES,
    "clusters",
    *EXPERIMENTS,
    "reconstruct",
    "import",
    "export",
    "info",
    "calibrate",
)


def options_of(model: type[Settings], prefix: str = "") -> Iterable[tuple[str, str]]:
    """(option, description) of every setting."""
    for name, field in model.model_fields.items():
        option = f"{prefix}{name.replace('_', '-')}"
        default = field.get_default(call_default_factory=True)
        kinds = [type(default), *get_args(field.annotation)]  # one that is None may be another
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)]
        if Method in inner:
            yield from ((f"--{option}.{key.replace('_', '-')}", "") for key in METHOD_FIELDS)
        elif inner:
            yield from options_of(inner[0], f"{option}.")
        else:
            assert field.description
            yield f"--{option}", field.description


@pytest.mark.parametrize(
    ("command", "model", "prefix"),
    [
        *(("ground-state", TFIM, ""), ("prune", PruneSettings, "")),
        *(("evaluate", MeasureSettings, ""), ("study", StudySettings, "")),
        *(("sparse", SparseSettings, ""), ("ablation", AblationSettings, "")),
        *(("frontier", FrontierSettings, ""), ("rewire", RewireSettings, "")),
        ("reconstruct", ReconstructSettings, ""),
    ],
)
def test_help_comes_from_the_configuration(
    monkeypatch: pytest.MonkeyPatch, command: str, model: type[Settings], prefix: str
) -> None:
    lines = tiny.help_of(monkeypatch, command).splitlines()
    options = list(options_of(model, prefix))
    assert len(options) >= 1
    for option, description in options:
        # A type, or for a flag nothing, stands behind the option.
        form = rf"│[ *]*{re.escape(option)} [A-Z ]"
        (line,) = [line for line in lines if re.match(form, line)]
        assert description in line


@pytest.mark.parametrize(
    ("command", "prefix", "epochs"),
    [
        ("train", "", "(exact, pcd, cd: 500; natural: 150)"),
        ("prune", "fine-tune.", "(exact, pcd, cd: 30; natural: 20)"),
        ("study", "train.", "(exact, pcd, cd: 500; natural: 150)"),
        ("study", "fine-tune.", "(exact, pcd, cd: 30; natural: 20)"),
        ("frontier", "train.", "(default: 100; exact, pcd, cd: 500; natural: 150)"),
        ("frontier", "fine-tune.", "(default, natural: 20; exact, pcd, cd: 30)"),
        ("frontier", "paper-train.", "(exact, pcd, cd: 500; natural: 150)"),
    ],
)
def test_help_names_each_field_of_each_method_with_its_defaults(
    monkeypatch: pytest.MonkeyPatch, command: str, prefix: str, epochs: str
) -> None:
    lines = tiny.help_of(monkeypatch, command).splitlines()
    for name in METHOD_FIELDS:
        option = re.escape(f"--{prefix}{name.replace('_', '-')}")
        (line,) = [line for line in lines if re.match(rf"│[ *]*{option} [A-Z]", line)]
        if name == "epochs":
            assert epochs in line
        elif name == "method":
            for method, kind in METHODS.items():
                assert f"{method}: {kind.SUMMARY}" in line
        else:
            kinds = [kind for kind in METHODS.values() if name in kind.model_fields]
            assert any(str(kind.model_fields[name].description) in line for kind in kinds)


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tiny.help_of(monkeypatch)
    for name in (*COMMANDS, "query", "report"):
        assert re.search(rf"^│ {name} ", listed, re.MULTILINE)
        own = tiny.help_of(monkeypatch, name)
        assert "--json" in own
        assert "--no-json" not in own
    masks = tiny.help_of(monkeypatch, "mask")
    for name in ("random", "cluster", "break", "forbid"):
        assert re.search(rf"^│ {name} ", masks, re.MULTILINE)
        assert "--json" in tiny.help_of(monkeypatch, "mask", name)


def test_version_tells_where_numbers_come_from() -> None:
    lines = text_of(tiny.call("--version")).splitlines()
    assert lines[0] == f"psiprune {version('psiprune')}"
    assert lines == [f"{name} {value}" for name, value in describe_machine().items()]


def test_the_command_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["psiprune"] == "psiprune.cli:run"
    command = [sys.executable, "-m", "psiprune", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"psiprune {version('psiprune')}\n")


def test_importing_the_command_line_is_light() -> None:
    code = "import psiprune.cli.main, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "psiprune" in loaded
    assert not loaded & {"numba", "xarray", "tenpy", "matplotlib", "scipy", "h5py", "tqdm", "emcee"}


def test_public_names() -> None:
    assert "RBM" in pp.__all__
    assert set(pp.__all__) <= set(dir(pp))
    for name in pp.__all__:
        found = getattr(pp, name)
        assert found.__doc__, name
        assert not found.__doc__.startswith(f"{name}("), name  # what dataclass writes itself
        if inspect.isclass(found):
            for key, member in vars(found).items():
                public = inspect.isfunction(member) or isinstance(member, property)
                if public and not key.startswith("_"):
                    assert member.__doc__, f"{name}.{key}"
