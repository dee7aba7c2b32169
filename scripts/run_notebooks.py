"""Execute the notebooks of docs/notebooks, and save them with their outputs.

    python scripts/run_notebooks.py [docs/notebooks/NAME.py ...]

NAME.py in percent format becomes NAME.ipynb, by the Jupyter of this Python (`pip install
'.[notebooks]'`). Edit only the sources; a test compares both.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

sys.path.append(str(Path(__file__).parents[1] / "docs"))
import notebook

os.environ.setdefault("PSIPRUNE_SIMD", "loops")  # numbers do not depend on the CPU, as in tests
#: Seconds that a cell may take.
_TIMEOUT = 1800


def executed(source: str) -> Any:
    """Return the notebook of a source with its outputs, but no progress bars."""
    made = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
    )
    for number, (kind, text) in enumerate(notebook.cells(source)):
        new = getattr(nbformat.v4, f"new_{kind}_cell")
        made.cells.append(new(text, id=f"cell-{number}"))
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(made, timeout=_TIMEOUT, record_timing=False, resources=where).execute()
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs = cleaned(cell.outputs)
    made.metadata.pop("widgets", None)
    made.metadata.language_info = {"name": "python"}
    return made


def cleaned(outputs: list[Any]) -> list[Any]:
    """Return outputs without progress bars, and what was printed between them as one."""
    drawn = any("image/png" in each.get("data", {}) for each in outputs)
    found: list[Any] = []
    for each in outputs:
        if is_progress(each) or (drawn and is_text(each)):
            continue
        if found and each.output_type == found[-1].output_type == "stream":
            found[-1].text += each.text
        else:
            found.append(each)
    return found


def is_progress(output: Any) -> bool:
    """Return whether an output is a progress bar, as a widget or as text."""
    if output.output_type == "stream":
        return bool(output.name == "stderr")
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def is_text(output: Any) -> bool:
    """Return whether an output is only a text, such as that of axes beside their picture."""
    return set(output.get("data", ())) == {"text/plain"}


def main() -> None:
    """Execute the notebooks given, or all."""
    parser = argparse.ArgumentParser(description="Execute notebooks and save them.")
    parser.add_argument("sources", nargs="*", type=Path, metavar="docs/notebooks/NAME.py")
    for path in parser.parse_args().sources or sorted(notebook.FOLDER.glob("*.py")):
        nbformat.write(executed(path.read_text()), path.with_suffix(".ipynb"))
        print(f"{path.with_suffix('.ipynb')}: {path.with_suffix('.ipynb').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
