"""Figure -> files, written whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from psiprune.files import write_bytes


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> list[Path]:
    """Write STEM.png (150 dpi) and STEM.svg atomically; the same figure gives the same bytes."""
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "psiprune"}):
            figure.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
        written.append(write_bytes(Path(f"{stem}{suffix}"), buffer.getvalue()))
    return written


def save_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures under their names into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return [file for name, figure in figures.items() for file in save_figure(figure, folder / name)]
