"""The command line: parse, call, print. Each stage reads and writes files.

Nothing but the standard library is imported here: Ctrl-C is to be heard before all else is loaded.
"""

from __future__ import annotations

import sys

from psiprune.cli.signals import end_at_once, fail, heard_within_a_second, interrupted


def run() -> None:
    """The entry point of the `psiprune` command."""
    with heard_within_a_second(lambda: fail(interrupted(), 130)):
        from psiprune.cli import main

        status = main.main()
    if status == 130:
        end_at_once(status)
    sys.exit(status)
