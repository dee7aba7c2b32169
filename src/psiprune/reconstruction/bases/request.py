"""How a run on shots in several bases was asked for, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reconstruction.command import CHECKSUMS, as_options, changed, readout_options

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class BasesRequest(NamedTuple):
    """What a run was asked to do.

    Attributes:
        settings: of the run.
        sites, shots: numbers of both.
        source: file of the shots, or what else they are.
        reading: options that the file was read with.
        folder: of the run; None if it is not on disk.
    """

    settings: BasesSettings
    sites: int
    shots: int
    source: str
    reading: Mapping[str, Any] = _NOTHING
    folder: Path | None = None

    def command(self, shots: str | None = None, **changes: Any) -> str:
        """Return the command of such a run, or the Python call if the shots are not in a file.

        Args:
            shots: the file to name instead of that of this run.
            **changes: of the settings.
        """
        given = self._given(self.settings.model_copy(update=changes))
        if not Path(self.source).is_file():
            options = ", ".join(f"{name}={value!r}" for name, value in given.items())
            return f"psiprune.reconstruct({shots or 'shots'}, {options})".replace(", )", ")")
        words = ["psiprune", "reconstruct", shots or self.source]
        words += self.readout_options if shots else as_options(self.reading)
        return shlex.join([*words, *as_options(given)])

    @property
    def readout_options(self) -> list[str]:
        """Options that give other shots the readout errors that were given for these."""
        return readout_options(self.reading)

    def _given(self, settings: BasesSettings) -> dict[str, Any]:
        """Return the settings that differ from those of a run without options."""
        default = BasesSettings()
        default = default.model_copy(
            update={
                "hidden": tuple(units for units, _ in default.sizes(self.sites)),
                "held_out": default.held_out_of(self.shots),
            }
        )
        before = default.model_dump(mode="json")
        found = settings.model_dump(mode="json", exclude=CHECKSUMS)
        given = {name: changed(value, before[name]) for name, value in found.items()}
        return {name: value for name, value in given.items() if value not in (None, {})}
