"""Lines about commands and options that do not exist, with the name that was probably meant."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from cyclopts import UnknownCommandError, UnknownOptionError

from psiprune.cli.catalogue import COMMANDS, MASKS
from psiprune.cli.options import unknown_method_option

#: Similarity from which a name is suggested, between 0 and 1, as `difflib` counts it.
_SIMILAR = 0.7
#: -X0, -0.5 Z_1, -sum_i: begins a sum of Pauli strings.
_NEGATIVE_SUM = re.compile(r"-\s*(?:[\d.(]|[XYZ]_?[\d{]|sum_i)")


def unknown_command(error: UnknownCommandError) -> str:
    """Return the line about a command that does not exist."""
    name = (error.unused_tokens or [""])[0]
    chain = " ".join(("psiprune", *(error.command_chain or ())))
    if name.startswith("-"):
        return f"{name}: give the command first, as in psiprune info shots.txt --json"
    if name in ("help", "version"):
        return f"{name}: no such command; did you mean {chain.split()[0]} --{name}?"
    names = COMMANDS if chain == "psiprune" else MASKS
    if near := closest(name, names):
        return f"{name}: no such command; did you mean {chain} {near[0]}?"
    if Path(name).exists():
        return f"{name}: is a file, not a command; psiprune info {name} describes it"
    return f"{name}: no such command; {chain} --help lists all"


def unknown_option(error: UnknownOptionError) -> str:
    """Return the line about an option that the command does not have."""
    if of_method := unknown_method_option(error):
        return of_method
    option = (error.token.keyword or error.token.value).split("=")[0]
    chain = " ".join(("psiprune", *(error.command_chain or ())))
    arguments = error.argument_collection or ()
    names = [name for each in arguments if each.show for name in each.names if name[:2] == "--"]
    if "--observable" in names and _NEGATIVE_SUM.match(option):
        whole = error.token.keyword or error.token.value
        return f"{option}: begins with -, as options do; write --observable={shlex.quote(whole)}"
    places = [each.name for each in arguments if each.show and not each.name.startswith("-")]
    if (place := option.lstrip("-").upper()) in places:
        return (
            f"{option}: no such option; pass {place} as an argument: {' '.join((chain, *places))}"
        )
    if near := closest(option, names):
        return f"{option}: no such option; did you mean {' or '.join(near)}?"
    return f"{option}: no such option; {chain} --help lists all"


def with_dashes(line: str, words: Sequence[str]) -> str:
    """Return an error about a setting, "train.epochs: ...", with the option's name if it was given.

    Args:
        line: begins with the name of the setting, perhaps with the place in a list.
        words: of the command line.
    """
    name = re.match(r"[a-z]\w*(?:\.[a-z]\w*)*(?=(?:\.\d+)*: )", line)
    if name is None:
        return line
    option = f"--{name[0].replace('_', '-')}"
    given = any(word.partition("=")[0] == option for word in words)
    return re.sub(r"^.*?: ", f"{option}: ", line, count=1) if given else line


def closest(name: str, names: Collection[str]) -> list[str]:
    """Return the names that were probably meant: equal in the last part, else the most similar one.

    The last part is what follows a dot, as in --train.epochs. Dashes at the front do not count, so
    that a short name resembles no other.
    """
    word = name.lstrip("-").replace("_", "-")
    bare = {each.lstrip("-"): each for each in names}
    last = word.rpartition(".")[2]
    if equal := [each for key, each in bare.items() if key.rpartition(".")[2] == last]:
        return equal
    near = difflib.get_close_matches(word, bare, n=1, cutoff=_SIMILAR)
    return [bare[each] for each in near]
