"""Text of others, such as names in a file, made safe to print."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from unicodedata import category

#: Name and value of a property, as in `psiprune info`.
_PROPERTY = re.compile(r" *\S+(?: \S+)*  +(?=\S)")
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


def counted(number: int, noun: str, form: str = "") -> str:
    """Return a number, in a format such as ",", with its noun: "1 round", "2 rounds"."""
    return f"{number:{form}} {noun}{'' if number == 1 else 's'}"


def line_width(most: int) -> int:
    """Return the columns of a printed line: at most `most`, and those of a terminal, if it is one.

    In a pipe the width is always `most`, so that output can be compared.
    """
    if sys.stdout is None or not sys.stdout.isatty():
        return most
    return min(most, max(20, shutil.get_terminal_size().columns))


def fold(text: str, width: int) -> str:
    """Break lines longer than `width` at blanks; a property goes on below its value.

    Rows of tables are broken as well; words longer than a line are kept whole, as file names are.
    """
    return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    name = _PROPERTY.match(line)
    column = name.end() if name and name.end() <= width // 2 else 2
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * column,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
