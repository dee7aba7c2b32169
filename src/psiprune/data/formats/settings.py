"""How a file of shots is read: options shared by all formats."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, field_validator

from psiprune.core.limits import MOST_QUBITS
from psiprune.core.settings import Settings


class ReadSettings(Settings):
    """What a file of shots does not say itself; each format takes some of these settings."""

    qubits: int | None = Field(
        None, ge=1, le=MOST_QUBITS, description="number of sites, if the file does not give it"
    )
    key: tuple[str, ...] = Field(
        (),
        description="array, dataset, register, measurement key, experiment, task or copy to "
        "read; several of a circuit are joined in the order given, '*' matches any characters",
    )
    outcomes: Literal["bits", "integers"] | None = Field(
        None, description="keys of counts: bit strings, or decimal integers (Qiskit)"
    )
    bases: tuple[str, ...] = Field(
        (),
        description="file with the basis of each shot, a line of letters X, Y and Z, as QuCumber "
        "writes; or the basis of each file or circuit, site 0 first, such as ZZ XZ, or a letter "
        "for all sites; 'none': all shots are in Z, even if the folder contains a file of bases",
    )
    spin: bool = Field(False, description="the values are +1 (bit 0) and -1 (bit 1)")
    on_missing: Literal["drop", "refuse"] = Field(
        "drop", description="what to do with shots that lack atoms or failed"
    )
    copies: Literal["pool", "apart"] = Field(
        "pool",
        description="copies of a register that ran in parallel: one shot for each copy, or the "
        "copies side by side as more sites",
    )
    order: Literal["listed", "reversed", "numbered"] | None = Field(
        None,
        description="order of the sites: as the format lists them (listed), the other way round "
        "(reversed), or by increasing qubit number (numbered: Braket, columns of a text file); "
        "default: that of the format",
    )
    skip: int = Field(0, ge=0, description="lines to skip at the top of a text file")

    @field_validator("bases", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """Take one file or one string of letters for a list of one, as Python's users write it."""
        several = (value,) if isinstance(value, str | os.PathLike) else value
        if not isinstance(several, list | tuple):
            return several
        return tuple(os.fspath(e) if isinstance(e, os.PathLike) else e for e in several)
