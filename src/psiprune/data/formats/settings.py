"""How a file of shots is read: options shared by all formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

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
    bases: Path | None = Field(
        None,
        description="QuCumber file with the measurement basis of every site, one line per shot; "
        "only shots measured in Z on every site are kept; 'none': all shots were measured in Z, "
        "even if the folder contains a file of bases",
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
