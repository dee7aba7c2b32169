"""Lines of text files: without comments, blank lines, and brackets around a line."""

from __future__ import annotations

from collections.abc import Iterator

from psiprune.data.formats.base import SourceFile

_CHUNK = 1 << 16  # characters that are split at a time
Line = tuple[int, str]


def numbered_lines(file: SourceFile, skip: int) -> Iterator[Line]:
    """Yield number and content of every line after `skip` that is not blank or a comment."""
    for number, line in enumerate(_split_lines(file.text), 1):
        content = line.partition("#")[0].strip()
        if content[:1] + content[-1:] in ("[]", "()"):  # as Python prints lists
            content = content[1:-1].strip()
        if content and number > skip:
            yield number, content


def _split_lines(text: str) -> Iterator[str]:
    """Yield the lines of `text.splitlines()` lazily: often only the first is needed."""
    start = 0
    while start < len(text):
        # A chunk ends at a line feed, which always ends a line.
        end = text.find("\n", start + _CHUNK) + 1 or len(text)
        yield from text[start:end].splitlines()
        start = end
