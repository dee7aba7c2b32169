"""QuCumber's files of training samples, with the bases in which they were measured."""

from __future__ import annotations

from psiprune.data.formats.base import ParsedShots, SourceFile
from psiprune.data.formats.bases import shots_in_z
from psiprune.data.formats.lines import numbered_lines
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.formats.text import ORDER, bits_of_lines


def read_qucumber(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read QuCumber's training samples; with its training bases, those measured in Z everywhere.

    Raises:
        InputError: as `read_text`, or as `shots_in_z`.
    """
    lines = numbered_lines(file, 0)
    return shots_in_z(file, bits_of_lines(file, next(lines, None), lines, False), settings, ORDER)
