"""All commands, and how one is run: its result, or the one line that tells why there is none."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Mapping, Sequence

from cyclopts import CycloptsError, MissingArgumentError
from pydantic import ValidationError

from psiprune.cli import (  # noqa: F401 (each module registers its commands with `app`)
    completion,
    convert,
    evaluate,
    experiments,
    info,
    masks,
    paper,
    prune,
    reconstruct,
    rewire,
    states,
    sweep,
    train,
)
from psiprune.cli.app import BrokenOutputError, app, printing
from psiprune.cli.logging import logged_as_asked
from psiprune.cli.signals import fail, interrupted
from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings, in_parts, one_line
from psiprune.io.bytes import cached_pipes
from psiprune.io.work_status import Fate, fate, forget_kept

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL: Mapping[Fate, str] = {
    "not begun": "; make room, then give the same command again",
    "kept": "; what was finished stays: make room, then the same command goes on from there",
    "lost": "; nothing of it is kept: make room, then start it again",
}
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
            with cached_pipes():
                command(*bound.args, **bound.kwargs)
        with printing():  # --help and --version print by themselves
            pass
    except InputError as error:
        return fail(str(error), 2)
    except CycloptsError as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            return fail(one_line(cause, Settings), 2)
        return fail(_missing(error) or str(error), 2)
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # TeNPy warns of options that it did not come to
        return fail(interrupted(), 130)
    except BrokenOutputError:
        _give_up_output()
        return _NO_READER
    except OSError as error:
        if error.filename is None:
            _give_up_output()
        told = f"{error.filename or 'output'}: {error.strerror or error}"
        return fail(told + (_way_out(error) if error.errno in _FULL_DISK else ""), 1)
    except (RuntimeError, MemoryError, ValueError, ArithmeticError) as error:
        return fail(str(error) or type(error).__name__, 1)
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
    return _FULL_OUTPUT if full.filename is None else _FULL[fate()]


def _give_up_output() -> None:
    """Send what standard output still holds nowhere: at its end Python would try it once more."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno())
        os.close(nowhere)
