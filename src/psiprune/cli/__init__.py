"""The command line: parse, call, print. Each stage reads and writes files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import CycloptsError
from pydantic import ValidationError

from psiprune.cli import experiments, importing, models, paper, pruning, states, sweep
from psiprune.cli.app import app
from psiprune.inputs import InputError, Settings, one_line

__all__ = [
    "app",
    "experiments",
    "importing",
    "main",
    "models",
    "paper",
    "pruning",
    "run",
    "states",
    "sweep",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 2 bad input, 1 failed, 130 interrupted."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_none")
    except InputError as error:
        return _fail(str(error), 2)
    except CycloptsError as error:
        cause = error.__cause__
        known = isinstance(cause, ValidationError)
        return _fail(one_line(cause, Settings) if known else str(error), 2)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        return _fail("interrupted; a study or a pruning path goes on with the same command", 130)
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    except (RuntimeError, MemoryError, ValueError, ArithmeticError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    return 0


def _fail(line: str, status: int) -> int:
    print(f"psiprune: {' '.join(line.split())}", file=sys.stderr)
    return status


def run() -> None:
    """The entry point of the `psiprune` command."""
    sys.exit(main())
