"""The command `completion`, which prints or installs the completion script of a shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

from cyclopts import Parameter

from psiprune.cli.app import app, printing
from psiprune.core.exceptions import InputError

Shell = Literal["bash", "zsh", "fish"]


def completion_command(
    shell: Annotated[Shell | None, Parameter(show_default=False)] = None,
    /,
    *,
    install: bool = False,
) -> None:
    """Complete commands, options and their values in a shell with the tab key.

    With --install the script is written to where the shell looks for it; bash and zsh also get a
    line in .bashrc or .zshrc. Without it, the script is printed.

    Args:
        shell: bash, zsh or fish (default: the shell of $SHELL)
        install: install the script for this user, effective in new shells
    """
    chosen = _current_shell() if shell is None else shell
    if not install:
        with printing():
            print(app.generate_completion(shell=chosen), end="")
        return
    file = app.install_completion(shell=chosen)
    with printing():
        print(f"{file}: completion for {chosen}\nnext: start a new shell, type psiprune and tab")


def _current_shell() -> Shell:
    """Return the user's shell."""
    name = Path(os.environ.get("SHELL", "")).name
    for shell in get_args(Shell):
        if shell == name:
            return cast("Shell", shell)
    raise InputError(
        f"shell: cannot tell from $SHELL, found {name!r}; name it: psiprune completion bash"
    )
