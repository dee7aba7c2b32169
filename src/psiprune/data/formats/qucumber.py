"""QuCumber's files of training samples, with the bases in which they were measured."""

from __future__ import annotations

from psiprune.data.formats.base import ParsedShots, SourceFile
from psiprune.data.formats.bases import bases_by_column
from psiprune.data.formats.lines import numbered_lines
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.formats.text import ORDER, bits_of_lines


def read_qucumber(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read QuCumber's training samples with their training bases.

    Raises:
        InputError: as `read_text`, or as `bases_by_column`.
    """
    lines = numbered_lines(file, 0)
    bits = bits_of_lines(file, next(lines, None), lines, False)
    return ParsedShots(bits, ORDER, basis=bases_by_column(file, bits, settings))
