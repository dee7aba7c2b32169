"""Text of others, such as names in a file, made safe to print."""

from __future__ import annotations

import re
import shlex
from unicodedata import category

_SHA256 = re.compile("[0-9a-f]{64}")


def escape(text: str, keep: str = "") -> str:
    r"""Return the text with each character that is not printable as an escape, such as \x1b.

    Control characters would let a file change colours, title and content of a terminal; format
    characters reverse the order of what is shown; a lone surrogate, as in file names that are not
    UTF-8, cannot be printed at all.

    Args:
        text: any text.
        keep: characters to leave as they are, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(
        c
        if c.isprintable() or c in keep or category(c) == "Zs"  # no-break and narrow spaces
        else c.encode("unicode_escape").decode()
        for c in text
    )


def shortened(value: object) -> str:
    """Return a value as text; of a SHA-256 checksum only the first 12 digits, with three dots."""
    text = str(value)
    return f"{text[:12]}..." if _SHA256.fullmatch(text) else text


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 round", "2 rounds"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def command_lines(command: str, width: int) -> list[str]:
    """Break a command of a shell into lines between its words, so that it can be pasted."""
    if len(command) <= width:
        return [command]
    lines, line = [], ""
    for word in map(shlex.quote, shlex.split(command)):
        if line and len(line) + len(word) + 3 > width:
            lines.append(f"{line} \\")
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]
