"""The command line: parse, call, print. Each stage reads and writes files."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence

from cyclopts import CycloptsError, MissingArgumentError
from pydantic import ValidationError

from psiprune.cli import (
    completion,
    experiments,
    importing,
    info,
    masks,
    models,
    paper,
    pruning,
    reconstruct,
    states,
    sweep,
)
from psiprune.cli.app import NobodyReads, app, printing
from psiprune.cli.interrupts import end_at_once, heard_within_a_second, interrupted
from psiprune.cli.logs import logged_as_asked
from psiprune.inputs import InputError, Settings, in_parts, one_line
from psiprune.kept import forget_kept, is_kept
from psiprune.pipes import pipes_kept

__all__ = [
    "app",
    "completion",
    "experiments",
    "importing",
    "info",
    "main",
    "masks",
    "models",
    "paper",
    "pruning",
    "reconstruct",
    "run",
    "states",
    "sweep",
]


_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL = "; what was finished stays: make room, then the same command goes on from there"
_FULL_ALL_LOST = "; nothing of it is kept: make room, then start it again"
_FULL_OUTPUT = "; make room, or send the output elsewhere"
#: What a shell tells of a program that SIGPIPE has ended.
_NO_READER = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status.

    0 done, 2 bad input, 1 failed, 130 interrupted, 141 nobody reads the output any more.
    """
    forget_kept()
    try:
        with logged_as_asked():
            with in_parts():  # a file may complete the options
                command, bound, _ = app.parse_args(
                    arguments, exit_on_error=False, print_error=False
                )
            with pipes_kept():
                command(*bound.args, **bound.kwargs)
        with printing():  # --help and --version print by themselves
            pass
    except InputError as error:
        return _fail(str(error), 2)
    except CycloptsError as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            return _fail(one_line(cause, Settings), 2)
        return _fail(_missing(error) or str(error), 2)
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # TeNPy warns of options that it did not come to
        return _fail(interrupted(), 130)
    except NobodyReads:
        _give_up_output()
        return _NO_READER
    except OSError as error:
        if error.filename is None:
            _give_up_output()
        told = f"{error.filename or 'output'}: {error.strerror or error}"
        return _fail(told + (_way_out(error) if error.errno in _FULL_DISK else ""), 1)
    except (RuntimeError, MemoryError, ValueError, ArithmeticError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    return 0


def _missing(error: CycloptsError) -> str:
    """The line on a parameter that was not given; cyclopts says that it lacks an argument."""
    argument = error.argument
    if type(error) is not MissingArgumentError or argument is None:
        return ""
    if argument.tokens or error.keyword is not None:
        return ""
    command = " ".join(error.command_chain or ())
    return f"{command}: {argument.name} must be given; see psiprune {command} --help"


def _way_out(full: OSError) -> str:
    if full.filename is None:
        return _FULL_OUTPUT
    return _FULL if is_kept() else _FULL_ALL_LOST


def _give_up_output() -> None:
    """Send what standard output still holds nowhere: at its end Python would try it once more."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno())
        os.close(nowhere)


def _fail(line: str, status: int) -> int:
    print(f"psiprune: {' '.join(line.split())}", file=sys.stderr)
    return status


def run() -> None:
    """The entry point of the `psiprune` command."""
    with heard_within_a_second(lambda: _fail(interrupted(), 130)):
        status = main()
    if status == 130:
        end_at_once(status)
    sys.exit(status)
