"""The application with the parts that all commands use: option types, settings, output."""

from __future__ import annotations

import json as json_format
import math
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from cyclopts import App, Parameter, Token

from psiprune.cli.help import Help
from psiprune.cli.streams import encodable, tell
from psiprune.core.exceptions import CacheWarning, InputError, PsipruneError, TrainingWarning
from psiprune.core.settings import Settings, check_numbers
from psiprune.core.text import escape, fold, line_width
from psiprune.io.paths import NETCDF, check_suffix
from psiprune.io.provenance import describe_machine
from psiprune.io.toml import read_toml
from psiprune.io.work_status import note_lost
from psiprune.training.method import Method
from psiprune.training.methods import as_method

Chosen = TypeVar("Chosen", bound=Settings)
Flat = Parameter(name="*")
Out = Annotated[Path, Parameter(name=["--out", "-o"])]


def parse_int(_: object, tokens: Sequence[Token]) -> int:
    """Parse an integer; reject "2.5", which cyclopts would round, and "1e4"."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        digits = re.fullmatch(r"(\d+)[eE]\+?(\d{1,2})", text)
        meant = f"; write {digits[1]}{'0' * int(digits[2])}" if digits else ""
        raise ValueError(f"must be an integer, found {text!r}{meant}") from None


StrictInt = Parameter(converter=parse_int)
app = App(
    name="psiprune",
    # "--fields 1 2" as well as "--fields 1 --fields 2"; no "--no-json", no "--empty-fields".
    default_parameter=Parameter(consume_multiple=True, negative=()),
    suppress_keyboard_interrupt=False,  # `main` reports it
    version_format="plaintext",
    version=lambda: "\n".join(f"{name} {value}" for name, value in describe_machine().items()),
    help="Reconstruct quantum states from measured bit strings with restricted Boltzmann machines "
    "(RBMs), prune the RBMs, and measure the loss of accuracy.",
    help_format="plaintext",
    help_formatter=Help(),
    help_epilogue="Set PSIPRUNE_LOG=info to log progress to stderr.",
)


def chosen_settings(
    model: type[Chosen],
    given: Chosen | None,
    config: Path | None = None,
    base: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Chosen:
    """Return the settings of a TOML file, else `base`, updated with the options given and `more`.

    Options were validated one by one while the command line was parsed (`partial_settings`); their
    combination is validated here.
    """
    values: dict[str, Any] = dict(base or {})
    if config is not None:
        values = read_toml(config)
        check_numbers(model, values)
    if given is not None:
        _merge(values, given.model_dump(exclude_unset=True))
    _merge(values, dict(more or {}))
    return model(**values)


def chosen_method(given: Method | None, config: Path | None = None) -> Method:
    """Return the training method of a TOML file updated with the options, by default "auto"."""
    values = {} if config is None else read_toml(config)
    if given is not None:
        _merge(values, given.model_dump(exclude_unset=True))
    return cast("Method", as_method(values))


def _merge(base: dict[str, Any], top: dict[str, Any]) -> None:
    """Update a table with another one; a table of another method, or kind of model, replaces it."""
    for key in ("method", "kind"):
        before, after = base.get(key), top.get(key, base.get(key))
        if before is not None and before != after:
            unused = [name for name in base if name != key and name not in top]
            if unused:
                tell(
                    f"psiprune: note: {key} {after} replaces {key} {before} of the file, whose "
                    f"{', '.join(unused)} are not used"
                )
            base.clear()
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), str):
            # train = "exact", model = "xxz"
            base[key] = {"kind" if key == "model" else "method": base[key]}
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


#: Training warnings of this command, each text once.
_problems: list[str] = []


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print warnings to stderr, our own once in one line; store those of training for `--json`."""
    _problems.clear()
    shown: set[str] = set()

    def show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
        text = str(message)
        if not issubclass(category, TrainingWarning | CacheWarning):
            tell(warnings.formatwarning(message, category, *where[:2]).rstrip("\n"))
        elif text not in shown:
            shown.add(text)
            tell(f"psiprune: warning: {text}")
            if issubclass(category, TrainingWarning):
                _problems.append(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        warnings.simplefilter("always", CacheWarning)
        warnings.showwarning = show_warning  # type: ignore[assignment]
        yield


def check_new(out: Path) -> None:
    """Raise InputError if the file exists, or its folder does not, before any computation."""
    if out.exists():
        raise InputError(f"{out}: exists already; give another name, or delete it first")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")


@contextmanager
def new_dataset(out: Path) -> Iterator[None]:
    """Reserve a new NetCDF file while it is computed; as `new_file`, and check the suffix."""
    check_suffix(out, NETCDF)
    with new_file(out):
        yield


@contextmanager
def new_file(out: Path) -> Iterator[None]:
    """Reserve a new file while it is computed, so that no other process writes it."""
    check_new(out)
    from psiprune.io.run import one_writer

    note_lost()
    with one_writer(out):
        check_new(out)  # another process may have written it just before
        yield


def no_callback(_: object) -> None:
    """Do nothing after an epoch; `core.progress` counts it, and Ctrl-C ends the main thread."""


class BrokenOutputError(PsipruneError):
    """The reader of standard output has closed it, as in `psiprune info FILE | head -1`."""


@contextmanager
def printing() -> Iterator[None]:
    """Flush standard output after the block, so that a closed pipe is noticed here.

    Only the block is guarded: a broken pipe to a worker is an error of another kind.

    Raises:
        BrokenOutputError: the reader has closed standard output.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise BrokenOutputError from None


def show(numbers: dict[str, Any], text: str, as_json: bool, then: str = "") -> None:
    """Print the text, or the numbers as one JSON object with the training warnings, if any.

    `then` is the command that usually comes next, which ends the text.
    """
    if _problems:
        numbers = {**numbers, "training_warnings": _problems}
    with printing():
        if as_json:
            print(json_format.dumps(_plain(numbers), allow_nan=False))
        else:
            text = escape(text, keep="\n")
            if sys.stdout.isatty():
                text = fold(text, line_width(len(text)))
            # The terminal breaks a long command so that it can still be copied.
            text += escape(f"\nnext: {then}", keep="\n") if then else ""
            print(encodable(text, sys.stdout))


def command_line(*words: object) -> str:
    """Return a command of psiprune as typed into a shell."""
    return shlex.join(["psiprune", *map(str, words)])


def _plain(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def chosen_format(
    format: str | None, settings: Settings | None
) -> tuple[str | None, dict[str, Any]]:
    """Return the arguments of `read_shots`: format (None detects it) and the settings given."""
    values = {} if settings is None else settings.model_dump(exclude_unset=True)
    return (None if format == "auto" else format), values
