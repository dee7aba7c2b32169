"""Help from the configuration, versions, what importing loads, and scripts for completion."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest

import psiprune as pp
import tiny
from outcomes import text_of
from psiprune.cli.app import app
from psiprune.cli.models import KINDS as SPIN_MODELS
from psiprune.core.settings import Settings
from psiprune.io.provenance import describe_machine
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, METHODS

COMMANDS = (
    *("ground-state", "sample", "train", "prune", "rewire", "evaluate", "clusters", "study"),
    *("sparse", "ablation", "frontier", "masks", "entanglement", "paper", "sweep", "reconstruct"),
    *("import", "export", "info", "query", "report", "calibrate", "example"),
)


def options_of(model: type[Settings], prefix: str = "") -> Iterable[tuple[str, str]]:
    """(option, description) of every setting; those of a Hamiltonian have a test of their own."""
    for name, field in model.model_fields.items():
        if name in ("kind", "model"):
            continue
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


MODELS: dict[str, type[Settings]] = {
    **{"prune": PruneSettings, "evaluate": MeasureSettings},
    **{"study": pp.StudySettings, "sparse": pp.SparseSettings, "ablation": pp.AblationSettings},
    **{"frontier": pp.FrontierSettings, "masks": pp.MasksSettings, "rewire": RewireSettings},
    **{"entanglement": pp.EntanglementSettings, "reconstruct": pp.ReconstructSettings},
}


@pytest.mark.parametrize("command", MODELS)
def test_help_comes_from_the_configuration(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    lines = tiny.help_of(monkeypatch, command).splitlines()
    options = list(options_of(MODELS[command]))
    assert len(options) >= 1
    for option, description in options:
        # A type, or for a flag nothing, stands behind the option.
        form = rf"│[ *]*{re.escape(option)} [A-Z ]"
        (line,) = [line for line in lines if re.match(form, line)]
        assert description in line


def test_help_names_each_field_of_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = tiny.help_of(monkeypatch, "ground-state").splitlines()
    kinds: dict[str, type[Settings]] = {**SPIN_MODELS, "tfim": pp.TFIM}
    for model, kind in kinds.items():
        for option, description in options_of(kind):
            (line,) = [
                line for line in lines if re.match(rf"│[ *]*{re.escape(option)} [A-Z]", line)
            ]
            assert model in line
            assert description.partition(";")[0] in line
    assert "(tfim, xxz: open" not in "".join(lines)
    assert "exponent of couplings J / r^alpha" in "".join(lines)
    assert "(xxz: 1.0)" in "".join(lines)


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
    for name in COMMANDS:
        assert re.search(rf"^│ {name} ", listed, re.MULTILINE)
    assert "--no-json" not in tiny.help_of(monkeypatch, "info")
    usage = {name: tiny.help_of(monkeypatch, name).partition("\n")[0] for name in COMMANDS}
    assert not [line for line in usage.values() if "ARGS" in line]
    assert usage["info"].endswith(" FILE [OTHER]")
    masks = tiny.help_of(monkeypatch, "mask")
    kinds = ("random", "cluster", "scale-free", "power-law", "nearest", "correlation", "break")
    for name in (*kinds, "choose", "forbid"):
        assert re.search(rf"^│ {name} ", masks, re.MULTILINE)


def test_the_command_is_installed_and_its_version_tells_where_numbers_come_from() -> None:
    lines = text_of(tiny.call("--version")).splitlines()
    assert lines[0] == f"psiprune {version('psiprune')}"
    assert lines == [f"{name} {value}" for name, value in describe_machine().items()]
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


def test_train_and_info_import_only_what_they_need(tmp_path: Path) -> None:
    shots = tiny.write(tmp_path / "shots.txt", "0101\n1010\n0110\n" * 20)
    code = """if True:
        import sys
        from psiprune.cli.main import main
        main(sys.argv[1:])
        print(*sys.modules)
        main(["info", sys.argv[-1]])
        print(*sys.modules)
    """
    out, compiles = tmp_path / "rbm.nc", "numba.cpython.unicode"
    command = [sys.executable, "-c", code, "train", str(shots), "--hidden", "2", "--out", str(out)]
    for _ in range(2):  # the first may compile, after which machine code is only loaded
        out.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("sys ")]
        loaded, with_info = (set(line.split()) for line in lines)
        assert out.exists()
        if compiles not in loaded:
            break
    assert compiles not in loaded
    assert {"numba", "psiprune.cli.train", "psiprune.training.exact_natural_gradient"} <= loaded
    assert not with_info & {"xarray", "pandas", "dask", "distributed", "matplotlib", "numpy.f2py"}
    assert not with_info & {"scipy.linalg", "scipy.sparse", "scipy.special", "scipy.stats"}
    assert "psiprune.inspect.describe" in with_info
    assert not loaded & {"psiprune.metrics", "psiprune.cli.sweep", "psiprune.experiments"}


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


# ---- completion in shells


NAMES = [name for name in app.resolved_commands() if not name.startswith("-")]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a shell's script, made once: it takes three seconds."""
    folder = tmp_path_factory.mktemp("completion")

    @cache
    def script(shell: str) -> Path:
        outcome = tiny.call("completion", shell)
        assert (outcome.status, outcome.err) == (0, "")
        (folder / shell).write_text(outcome.out)
        return folder / shell

    return script


#: The file of a shell's script.
Scripts = Callable[[str], Path]


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zsh", "fish"))]
)
def test_a_script_knows_the_commands_and_its_shell_parses_it(scripts: Scripts, shell: str) -> None:
    script = scripts(shell).read_text()
    assert "train" in NAMES
    for word in (*NAMES, "learning-rate-decay", "fine-tune.epochs", "natural"):
        assert word in script
    if shell == "zsh":
        assert "\n_cyclopts_psiprune() {\n" in script
    if shutil.which(shell) is None:
        pytest.skip(f"apt-get install {shell} lets {shell} itself parse its script")
    subprocess.run([shell, "-n", scripts(shell)], check=True, timeout=60)


def test_one_command_installs_the_script(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = scripts("bash").read_text()
    monkeypatch.setattr(type(app), "generate_completion", lambda *_, **__: script)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/usr/bin/bash")
    installed = tmp_path / ".local/share/bash-completion/completions/psiprune"
    printed = text_of(tiny.call("completion", "--install"))
    assert printed.startswith(f"{installed}: completion for bash\n")
    assert installed.read_text() == script
    assert str(installed) in (tmp_path / ".bashrc").read_text()
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "'tcsh'" in tiny.refusal(tiny.call("completion", "--install"))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("ev",), {"evaluate"}),
        (("train", "--learning-rate-"), {"--learning-rate-decay"}),
        (("train", "x", "--method", ""), {"auto", "exact", "natural", "pcd", "cd"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
    ],
    ids=["command", "option", "method", "shell"],
)
def test_bash_completes(scripts: Scripts, typed: tuple[str, ...], offered: set[str]) -> None:
    lines = 'source "$1"; shift; COMP_WORDS=(psiprune "$@"); COMP_CWORD=$#; _psiprune'
    command = ["bash", "-c", f'{lines}; printf "%s\\n" "${{COMPREPLY[@]}}"', "-"]
    done = subprocess.run(
        [*command, scripts("bash"), *typed], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) == offered
