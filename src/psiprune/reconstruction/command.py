"""How a run was asked for, and the command that repeats it, possibly with other settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.data.read_shots import read_shots
from psiprune.pruning.settings import SearchSettings
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.training.methods import by_size, by_size_fine_tuning

_NOTHING: Mapping[str, Any] = MappingProxyType({})
#: Options of reading that files of psiprune's own format may need as well.
_READOUT = ("readout", "readout_qubits")
#: Settings that follow from the shots.
CHECKSUMS = {"shots_sha256", "readout_sha256", "positions_sha256"}
#: Settings that follow from the size; the numbers of hidden units decide about the others.
_SIZES = ("scale_free", "links", "hidden")


class Request(NamedTuple):
    """What a run was asked to do.

    Attributes:
        settings: of the run, with what follows from the size left open, see `as_asked`.
        sites, shots: numbers of both.
        source: file of the shots, or what else they are.
        reading: options that the file was read with.
        functions: names of observables that were given as functions, so not by an option.
        folder: of the run; None if it is not on disk.
    """

    settings: ReconstructSettings
    sites: int
    shots: int
    source: str
    reading: Mapping[str, Any] = _NOTHING
    functions: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def from_file(self) -> bool:
        """Whether the command line can repeat the run."""
        return not self.functions and Path(self.source).is_file()

    def command(self, shots: str | None = None, **changes: Any) -> str:
        """Return the command of such a run, or the Python call if the shots are not in a file.

        Args:
            shots: the file of psiprune's own format to name instead of that of this run.
            **changes: of the settings.
        """
        given = self._given(self.settings.model_copy(update=changes))
        if not self.from_file:
            names = f"observables={{{', '.join(self.functions)}}}, " if self.functions else ""
            options = ", ".join(f"{name}={value!r}" for name, value in given.items())
            return f"psiprune.reconstruct({shots or 'shots'}, {names}{options})".replace(", )", ")")
        words = ["psiprune", "reconstruct", shots or self.source]
        words += self.readout_options if shots else as_options(self.reading)
        return shlex.join([*words, *as_options(given)])

    @property
    def readout_options(self) -> list[str]:
        """Options that give other shots the readout errors that were given for these."""
        return readout_options(self.reading)

    def import_rows(self, rows: str, out: str) -> str:
        """Return the command that writes a slice of the shots to a file."""
        reading = dict(self.reading)
        words = ["psiprune", "import", reading.pop("format", None) or "auto", self.source]
        return shlex.join([*words, *as_options(reading), "--rows", rows, "-o", out])

    def _given(self, settings: ReconstructSettings) -> dict[str, Any]:
        """Return the settings that are not those of a run without options."""
        sizes: dict[str, Any] = {name: getattr(settings, name) for name in _SIZES}
        methods: dict[str, Any] = {
            name: getattr(settings, name).method for name in ("train", "fine_tune")
        }
        found, best, alike = (
            each.for_sites(self.sites).model_dump(mode="json", exclude=CHECKSUMS)
            for each in (
                settings,
                settings.defaults(**sizes),
                settings.defaults(**sizes, **methods),
            )
        )
        alike |= {name: found[name] if sizes[name] is None else None for name in sizes}
        alike["prune"] = SearchSettings().model_dump(mode="json")
        alike["held_out"] = ReconstructSettings().held_out_of(self.shots)
        given = {name: changed(value, alike[name]) for name, value in found.items()}
        for name in methods:
            method = found[name]["method"]
            if given[name] or method != best[name]["method"]:
                given[name] = {"method": method, **given[name]}
        return {name: value for name, value in given.items() if value not in (None, {})}


def readout_options(reading: Mapping[str, Any]) -> list[str]:
    """Return those of the options of reading that give readout errors."""
    return [*as_options({name: reading.get(name) for name in _READOUT})]


def reading_to_repeat(source: str, digest: str | None) -> dict[str, Any]:
    """Return the options that reading the shots of a run again needs: its readout errors.

    Args:
        source: the file of the shots, or what else they are.
        digest: `ReadoutError.full_digest` of the run; None without errors.
    """
    needed = digest is not None and not _holds_readout(Path(source), digest)
    return {"readout": "READOUT"} if needed else {}


def _holds_readout(shots: Path, digest: str) -> bool:
    """Return whether a file of psiprune's own format holds these readout errors with the shots."""
    if shots.suffix != ".nc":
        return False
    try:
        readout = read_shots(shots).readout
    except (InputError, OSError):  # it was moved, or the run was not made from a file
        return False
    return readout is not None and readout.full_digest == digest


def changed(value: Any, default: Any) -> Any:
    """Return a value, or of a table the entries, that differ from the default, else None."""
    if isinstance(value, dict) and isinstance(default, dict):
        return {key: each for key, each in value.items() if each != default.get(key)}
    return None if value == default else value


def as_options(given: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Write settings as options of the command line."""
    for name, value in given.items():
        option = f"--{prefix}{name.replace('_', '-')}"
        if isinstance(value, dict):
            yield from as_options(value, f"{option[2:]}.")
        elif isinstance(value, list | tuple):
            yield from (option, *map(str, value))
        elif isinstance(value, bool):
            yield from (option,) * value
        elif value is not None:
            yield from (option, str(value))


def as_asked(settings: ReconstructSettings, sites: int) -> ReconstructSettings:
    """Return resolved settings with methods and sizes that follow from the size left open."""
    sizes = {name: getattr(settings, name) for name in _SIZES}
    best = settings.defaults(**sizes).for_sites(sites)
    changes: dict[str, Any] = {}
    if settings.train == best.train:
        changes["train"] = by_size()
    if settings.fine_tune == best.fine_tune:
        changes["fine_tune"] = by_size_fine_tuning()
    wanted = settings.architectures(sites)
    for number in range(len(_SIZES), 0, -1):
        for left_open in combinations(_SIZES, number):
            others = sizes | dict.fromkeys(left_open)
            if settings.defaults(**others).architectures(sites) == wanted:
                return settings.model_copy(update=changes | others)
    return settings.model_copy(update=changes)
