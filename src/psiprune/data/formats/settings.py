"""How a file of shots is read: options shared by all formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from psiprune.core.settings import Settings


class ReadSettings(Settings):
    """What a file of shots does not say itself. Each format takes some of these."""

    qubits: int | None = Field(
        None, ge=1, le=100_000, description="number of sites, where the file does not tell it"
    )
    key: tuple[str, ...] = Field(
        (),
        description="array, dataset, register, measurement key, experiment or task to read; "
        "several of a circuit are joined in the order given, '*' stands for any characters",
    )
    bases: Path | None = Field(
        None, description="QuCumber's file of bases; only shots measured in Z everywhere are kept"
    )
    spin: bool = Field(False, description="values are +1 and -1 and not bits; +1 is bit 0")
    on_missing: Literal["drop", "refuse"] = Field(
        "drop", description="what to do with shots that lack atoms or failed"
    )
    order: Literal["listed", "reversed", "numbered"] | None = Field(
        None,
        description="which column is site 0: as the format lists them, the other way round, or "
        "by the qubits' numbers (Braket)",
    )
    skip: int = Field(0, ge=0, description="lines of text to skip before anything is read")
