"""What the site adds to the pages: notebooks run with their output, and formulas as MathML."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parent / "notebooks"


def cells(source: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each cell of a notebook in percent format; the kind is markdown or code."""
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if title.strip() == "[markdown]":
            yield "markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE).strip()
        else:
            yield "code", text.strip()


def rendered(source: str, stem: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown with what its cells print, and its figures STEM-1.svg and so on.

    As in Jupyter, the value of the last line of a cell is shown: a figure as SVG, else as text.
    """
    pieces: list[str] = []
    figures: dict[str, bytes] = {}
    names: dict[str, Any] = {"__name__": "__main__"}
    for kind, text in cells(source):
        if kind == "markdown":
            pieces.append(text)
            continue
        pieces.append(f"```python\n{text}\n```")
        out = io.StringIO()
        value: Any = None
        with contextlib.redirect_stdout(out):
            for node in ast.parse(text).body:
                if isinstance(node, ast.Expr):
                    value = eval(compile(ast.Expression(node.value), "cell", "eval"), names)
                else:
                    exec(compile(ast.Module([node], []), "cell", "exec"), names)
                    value = None
        if hasattr(value, "savefig"):
            name, drawn = f"{stem}-{len(figures) + 1}.svg", io.BytesIO()
            value.savefig(drawn, format="svg")
            figures[name] = drawn.getvalue()
        elif value is not None:
            print(value, file=out)
        if out.getvalue():
            pieces.append(f"```text\n{out.getvalue()}```")
        if hasattr(value, "savefig"):
            pieces.append(f"![Figure {len(figures)}]({name})")
    return "\n\n".join(pieces) + "\n", figures


def math(source: str, *_: object, **__: object) -> str:
    """A block of LaTeX as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    return convert(source, display="block")


def on_config(config: Any) -> Any:
    """Have fences of the language `math`, which GitHub draws as well, made by `math`."""
    fence = {"name": "math", "class": "math", "format": math}
    config["mdx_configs"]["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook, with its figures beside it."""
    from mkdocs.structure.files import File

    for path in sorted(NOTEBOOKS.glob("*.py")):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            page, figures = rendered(path.read_text(), path.stem)
        for name, content in {f"{path.stem}.md": page, **figures}.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files
