"""All commands, and how one runs: its result, or one line that says why there is none."""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence

from cyclopts import (
    CycloptsError,
    Group,
    MissingArgumentError,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from pydantic import ValidationError

from psiprune.cli.app import BrokenOutputError, app, printing, warnings_shown
from psiprune.cli.catalogue import COMMANDS, START
from psiprune.cli.help import Help
from psiprune.cli.logging import logged_as_asked
from psiprune.cli.signals import fail, interrupted
from psiprune.cli.suggest import unknown_command, unknown_option, with_dashes
from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings, describe_validation_error, partial_settings
from psiprune.io.bytes import cached_pipes
from psiprune.io.work_status import WorkStatus, reset_work_status, work_status

_PANELS = {
    title: Group(title, sort_key=k)
    for k, title in enumerate(dict.fromkeys(each.group for each in COMMANDS.values()))
}
for place, (name, command) in enumerate(COMMANDS.items()):
    module, panel = f"psiprune.cli.{command.module}", _PANELS[command.group]
    if name == "mask":
        app.command(f"{module}:mask_app", name=name, group=panel, sort_key=place)
    else:
        function = f"{name.replace('-', '_')}_command"
        form = Help(command.example, command.common, command.optional)
        app.command(
            f"{module}:{function}", name=name, group=panel, sort_key=place, help_formatter=form
        )
app["--help"].group = app["--version"].group = _PANELS["Shell"]
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL: Mapping[WorkStatus, str] = {
    "not begun": "; free some space, then rerun the same command",
    "kept": "; free some space, then rerun the same command to resume",
    "lost": "; nothing was saved: free some space, then run the command again",
}
_FULL_OUTPUT = "; free some space, or redirect the output"
#: Two numbers x,y, the first of them negative.
_NEGATIVE_PAIR = re.compile(r"-[\d.]+(e[-+]?\d+)?,[-+\d.e]+", re.IGNORECASE)
#: The status that a shell reports for a program ended by SIGPIPE.
_NO_READER = 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    0 done, 2 bad input, 1 failed, 130 interrupted, 141 the reader of the output is gone.
    """
    reset_work_status()
    # cyclopts takes -1,0 for an option, unlike -1; numbers may have spaces around them.
    words = [
        f" {word}" if _NEGATIVE_PAIR.fullmatch(word) else word
        for word in (sys.argv[1:] if arguments is None else arguments)
    ]
    try:
        if not words:
            with printing():
                print(START, end="")
            return 0
        with logged_as_asked():
            with partial_settings():  # a file may supply the other options
                command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
            if command == app.help_print and not bound.arguments["tokens"]:
                _import_commands()
            with cached_pipes(), warnings_shown():
                try:
                    command(*bound.args, **bound.kwargs)
                except SystemExit:  # rich, which prints these, has found its reader gone
                    if command not in (app.help_print, app.version_print):
                        raise
        with printing():  # --help and --version print by themselves
            pass
    except InputError as error:
        return fail(with_dashes(str(error), words), 2)
    except CycloptsError as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            return fail(with_dashes(describe_validation_error(cause, Settings), words), 2)
        return fail(_unknown(error) or _missing(error) or _reworded(error), 2)
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # TeNPy warns about options that it has not used yet
        return fail(interrupted(), 130)
    except BrokenOutputError:
        _give_up_output()
        return _NO_READER
    except OSError as error:
        if error.filename is None:
            _give_up_output()
        line = f"{error.filename or 'output'}: {error.strerror or error}"
        if error.errno in _FULL_DISK:
            line += _FULL_OUTPUT if error.filename is None else _FULL[work_status()]
        return fail(line, 1)
    except (RuntimeError, MemoryError, ValueError, ArithmeticError) as error:
        return fail(str(error) or type(error).__name__, 1)
    return 0


def _import_commands() -> None:
    """Import all commands, so that the list of them shows the first line of each one's help."""
    for name in app:
        app[name]


def _missing(error: CycloptsError) -> str:
    """Return the line about a missing parameter, clearer than that of cyclopts; else ""."""
    argument = error.argument
    if type(error) is not MissingArgumentError or argument is None or argument.tokens:
        return ""
    if error.keyword is not None:
        return ""
    command = " ".join(error.command_chain or ())
    return f"{command}: {argument.name} must be given; see psiprune {command} --help"


def _unknown(error: CycloptsError) -> str:
    """Return the line about an unknown command or option; else "".

    A mistyped option comes before a missing one: it may be why that is missing.
    """
    if isinstance(error, UnknownCommandError):
        return unknown_command(error)
    if isinstance(error, MissingArgumentError) and error.keyword is None and error.command_chain:
        arguments = app[" ".join(error.command_chain[:1])]
        for name in error.command_chain[1:]:
            arguments = arguments[name]
        collection = arguments.assemble_argument_collection()
        known = {name for each in collection for name in each.names}
        for word in error.unused_tokens or ():
            if word.startswith("--") and word.split("=")[0] not in known:
                token = Token(keyword=word, value="", source="cli")
                error = UnknownOptionError(
                    token=token, argument_collection=collection, command_chain=error.command_chain
                )
                break
    return unknown_option(error) if isinstance(error, UnknownOptionError) else ""


def _reworded(error: CycloptsError) -> str:
    """Return the line of cyclopts about anything else, beginning with the argument."""
    if isinstance(error, UnusedCliTokensError):
        chain = " ".join(("psiprune", *(error.command_chain or ())))
        return f"{(error.unused_tokens or [''])[0]}: one argument too many; see {chain} --help"
    return str(error).removeprefix("Invalid value for ")


def _give_up_output() -> None:
    """Discard what standard output still buffers, which Python would try to write at exit."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno())
        os.close(nowhere)
