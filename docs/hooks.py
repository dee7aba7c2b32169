"""What the site adds to the pages: notebooks with their output, commands, formulas as MathML."""

from __future__ import annotations

import re
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import notebook
from rich.console import Console

import psiprune.cli.main  # noqa: F401 (fills the app with its commands)
from psiprune.cli.app import app
from psiprune.cli.catalogue import COMMANDS, MASKS
from psiprune.cli.help import Help, joined

#: Pages of the folder above that the site has too.
TOP = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def for_site(text: str) -> str:
    """Return a page of the folder above with its links as the site needs them."""
    tops = "|".join(map(re.escape, TOP))
    text = re.sub(rf"\]\(({tops})", lambda found: f"]({found[1].lower()}", text)
    return text.replace("](docs/", "](")


def math(source: str, *_: object, **__: object) -> str:
    """A block of LaTeX as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    return convert(source, display="block")


class Recorded(Help):
    """The help of a command, recorded instead of printed."""

    @classmethod
    def of(cls, words: list[str]) -> Recorded:
        """The help of `psiprune WORDS --help`, all its parts."""
        command = reduce(lambda parent, word: parent[word], words, app)
        before = command.help_formatter
        assert isinstance(before, Help)
        recorded = cls(before.example, before.common)
        command.help_formatter = recorded
        try:
            app.help_print(words, console=Console(quiet=True))
        finally:
            command.help_formatter = before
        return recorded

    @cached_property
    def lines(self) -> list[str]:
        """Markdown so far."""
        return []

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """Add a list of options, or of commands."""
        for part in self.parts(panel) if panel.entries else ():
            self.lines += [f"**{part.title}**", "", *map(_entry, part.entries), ""]

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """Add the line of usage."""
        self.lines += ["```text", str(usage).strip(), "```", ""]

    def render_description(self, console: Any, options: Any, text: Any) -> None:
        """Add the description and the example."""
        self.lines += [_verbatim(joined(text.primary_renderable.plain)), ""]
        self.lines += ["```bash", self.example, "```", ""]


def _entry(entry: Any) -> str:
    """An option with its type, meaning, choices and default as an item of a list."""
    label = " ".join(entry.display_labels_with_metavar)
    text = _verbatim(" ".join(str(entry.description.primary_renderable.plain).split()))
    notes = ["required"] if entry.required else []
    notes += [f"choices: {', '.join(entry.choices)}"] if entry.choices else []
    notes += [f"default: {entry.default}"] if entry.default else []
    return f"- `{label}`: {text}" + (f" *({_verbatim('; '.join(notes))})*" if notes else "")


def _verbatim(text: str) -> str:
    """Text in which Markdown and HTML find nothing to format but code."""
    return re.sub(r"([<*_|\[\]])", r"\\\1", text).replace("\\<", "&lt;")


def commands(group: str) -> str:
    """All commands of a group of `psiprune --help` as Markdown, from their help."""
    names = [[name] for name, command in COMMANDS.items() if command.group == group]
    if ["mask"] in names:
        at = names.index(["mask"]) + 1
        names[at:at] = [["mask", name] for name in MASKS]
    sections = []
    for words in names:
        lines = Recorded.of(words).lines
        sections.append("\n".join([f"## psiprune {' '.join(words)}", "", *lines]))
    return "\n".join(sections)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the commands in the place of `<!-- commands: GROUP -->`, and link pages of notebooks."""
    markdown = re.sub(r"(\]\([./]*notebooks/[\w-]+)\.ipynb\)", r"\1.md)", markdown)
    return re.sub(r"<!-- commands: (\w+) -->", lambda found: commands(found[1]), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Show <Z_i> in docstrings as text: no tag of HTML begins with a capital letter."""
    return re.sub(r"<([A-Z][^<>]*)>", r"&lt;\1&gt;", html)


def on_config(config: Any) -> Any:
    """Have fences of the language `math`, which GitHub draws as well, made by `math`."""
    fence = {"name": "math", "class": "math", "format": math}
    config["mdx_configs"]["pymdownx.superfences"] = {"custom_fences": [fence]}
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the folder above, and one for each notebook with its pictures beside it."""
    from mkdocs.structure.files import File

    for name in TOP:
        text = (Path(config["docs_dir"]).parent / name).read_text()
        files.append(File.generated(config, name.lower(), content=for_site(text)))
    for source in sorted(notebook.FOLDER.glob("*.py")):
        page, pictures = notebook.as_page(source.with_suffix(".ipynb"))
        for name, content in {f"{source.stem}.md": page, **pictures}.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files
