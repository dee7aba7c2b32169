"""Standard streams that are closed, and messages on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from psiprune.core.text import escape

#: What is printed where a terminal has no UTF-8.
_ASCII = {"±": "+-", "σ": "sigma", "⟨": "<", "⟩": ">", "−": "-", "–": "-", "×": "x", "²": "^2"}


def reserve_closed_streams() -> None:
    """Occupy the descriptors of closed standard streams.

    Otherwise the next file to be opened gets the descriptor, and with it what libraries write to
    the stream. Printing a result then fails, and messages on standard error are discarded.
    """
    # Standard output is opened for reading: writing to it fails, as to a closed descriptor.
    for name, access, mode in (
        ("stdin", os.O_RDONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),
        ("stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            stream = os.fdopen(os.open(os.devnull, access), mode)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def tell(message: str) -> None:
    """Print a message on standard error, if anybody reads it."""
    with suppress(OSError):  # one write, as other threads may print as well
        sys.stderr.write(encodable(escape(f"{message}\n", keep="\n"), sys.stderr))
        sys.stderr.flush()


def encodable(text: str, stream: TextIO) -> str:
    """Return the text in the characters that the stream can encode, such as +- for ±."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(_in_ascii(c) for c in text)
        return text.encode(encoding, "replace").decode(encoding)
    return text


def _in_ascii(character: str) -> str:
    """Return ASCII that stands for a character; the character itself if there is none."""
    return _ASCII.get(character, character)
