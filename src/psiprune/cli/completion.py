"""The command `completion`, which prints a completion script for a shell."""

from __future__ import annotations

from typing import Literal

from psiprune.cli.app import app, printing


def completion_command(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the script with which a shell completes commands, options and their values.

    Save it where the shell looks for completion scripts:

        bash: ~/.local/share/bash-completion/completions/psiprune
        zsh: _cyclopts_psiprune in a folder of $fpath
        fish: ~/.config/fish/completions/psiprune.fish

    Args:
        shell: bash, zsh or fish
    """
    with printing():
        print(app.generate_completion(shell=shell), end="")
