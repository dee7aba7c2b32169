"""The command line: parse, call, print. Each stage reads and writes files.

Only the standard library is imported here: Ctrl-C must work before everything else is loaded.
"""

from __future__ import annotations

import sys

from psiprune.cli.signals import exit_now, fail, interrupted, prompt_interrupts
from psiprune.cli.streams import reserve_closed_streams


def run() -> None:
    """Run the `psiprune` command."""
    reserve_closed_streams()
    with prompt_interrupts(lambda: fail(interrupted(), 130)):
        from psiprune.cli import main

        status = main.main()
    if status == 130:
        exit_now(status)
    sys.exit(status)
