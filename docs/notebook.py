"""Notebooks: their sources in percent format, and pages made of those that were executed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "notebooks"
#: Types of pictures that an output may have, and the ends of their files.
PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


def cells(source: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of each cell of a source; the kind is markdown or code."""
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if title.strip() == "[markdown]":
            yield "markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE).strip()
        else:
            yield "code", text.strip()


def as_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return an executed notebook as Markdown, and its pictures STEM-1.png and so on."""
    pieces: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        pieces.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        pieces.extend(_shown(each, path.stem, pictures) for each in cell.get("outputs", ()))
    title, _, rest = "\n\n".join(pieces).partition("\n")
    download = f"[Download this notebook]({path.name}) and run it with Jupyter."
    return f"{title}\n\n{download}\n{rest}\n", pictures


def _shown(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    """Return an output as Markdown: the picture, else the table, else the text."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    for kind, suffix in PICTURES.items():
        if kind in data:
            name = f"{stem}-{len(pictures) + 1}.{suffix}"
            is_text = suffix == "svg"
            pictures[name] = data[kind].encode() if is_text else base64.b64decode(data[kind])
            return f"![Figure {len(pictures)}]({name})"
    if "text/html" in data:
        return data["text/html"]
    text = data.get("text/plain", "".join(output.get("text", "")))
    return f"```text\n{text.rstrip()}\n```"
