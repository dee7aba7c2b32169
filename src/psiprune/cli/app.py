"""What all commands share: the application, its option types, and how results are printed."""

from __future__ import annotations

import json as json_format
import math
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, cast

from cyclopts import App, Parameter, Token

from psiprune.core.exceptions import InputError, PsipruneError, TrainingWarning
from psiprune.core.settings import Settings, check_numbers
from psiprune.io.paths import NETCDF, check_suffix
from psiprune.io.provenance import describe_machine
from psiprune.io.work_status import note_lost
from psiprune.training.method import Method
from psiprune.training.methods import as_method

if TYPE_CHECKING:
    from tqdm import tqdm

Chosen = TypeVar("Chosen", bound=Settings)
Flat = Parameter(name="*")
Out = Annotated[Path, Parameter(name=["--out", "-o"])]


def whole(_: object, tokens: Sequence[Token]) -> int:
    """An integer as it was typed."""
    try:
        return int(tokens[0].value)  # cyclopts itself would round "2.5"
    except ValueError:
        raise ValueError(f"must be an integer, found {tokens[0].value!r}") from None


Whole = Parameter(converter=whole)
app = App(
    name="psiprune",
    # "--fields 1 2" as well as "--fields 1 --fields 2"; no "--no-json", no "--empty-fields".
    default_parameter=Parameter(consume_multiple=True, negative=()),
    suppress_keyboard_interrupt=False,  # `main` says a word about it
    version_format="plaintext",
    version=lambda: "\n".join(f"{name} {found}" for name, found in describe_machine().items()),
    help="Reconstruct quantum states from bit strings, prune the RBM, and report what that costs.",
    help_epilogue="Set PSIPRUNE_LOG=info to log progress to stderr.",
)


def chosen_settings(
    model: type[Chosen],
    given: Chosen | None,
    config: Path | None = None,
    base: Mapping[str, Any] | None = None,
) -> Chosen:
    """The configuration of a TOML file, else `base`, overlaid with the options given.

    These were checked one by one as the command line was parsed (`in_parts`), all together here.
    """
    values: dict[str, Any] = dict(base or {})
    if config is not None:
        values = _read_toml(config)
        check_numbers(model, values)
    if given is not None:
        _merge(values, given.model_dump(exclude_unset=True))
    return model(**values)


def chosen_method(given: Method | None, config: Path | None = None) -> Method:
    """Return the training method of a TOML file with options taking precedence, else by size."""
    values = {} if config is None else _read_toml(config)
    if given is not None:
        _merge(values, given.model_dump(exclude_unset=True))
    return cast("Method", as_method(values))


def _read_toml(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{config}: cannot be read as TOML: {error}") from None


def _merge(base: dict[str, Any], top: dict[str, Any]) -> None:
    """Lay one table over another; a table that chooses another training method replaces it."""
    before, after = base.get("method"), top.get("method", base.get("method"))
    if before is not None and before != after:
        unused = [name for name in base if name != "method" and name not in top]
        if unused:
            print(
                f"psiprune: note: method {after} replaces method {before} of the file, whose "
                f"{', '.join(unused)} are not used",
                file=sys.stderr,
            )
        base.clear()
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), str):
            base[key] = {"method": base[key]}  # train = "exact"
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


#: Training warnings of this command, each text once.
_problems: list[str] = []


@contextmanager
def training_warnings_shown() -> Iterator[None]:
    """Print each training warning to stderr as it comes, once, and keep it for `--json`."""
    _problems.clear()
    show_other = warnings.showwarning

    def show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if not issubclass(category, TrainingWarning):
            show_other(message, category, *where)
        elif str(message) not in _problems:
            _problems.append(str(message))
            print(f"psiprune: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        warnings.showwarning = show_warning  # type: ignore[assignment]
        yield


def check_new(out: Path) -> None:
    """Refuse a file that exists, or a missing folder, before anything is computed."""
    if out.exists():
        raise InputError(f"{out}: exists already; give another name, or delete it first")
    if not out.parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.parent}; make it first")


@contextmanager
def new_dataset(out: Path) -> Iterator[None]:
    """While a file of psiprune is made: as `new_file`, under a name that does not lie."""
    check_suffix(out, NETCDF)
    with new_file(out):
        yield


@contextmanager
def new_file(out: Path) -> Iterator[None]:
    """While a file is made: `check_new`, and nobody else makes it meanwhile."""
    check_new(out)
    from psiprune.io.run import one_writer

    note_lost()
    with one_writer(out):
        check_new(out)  # another process may have written it just before
        yield


def progress_bar(epochs: int | None) -> tqdm[NoReturn]:
    """A bar over epochs, however many if None, on standard error; off where that is no terminal."""
    from tqdm import tqdm

    return tqdm(total=epochs, desc="training", unit=" epochs", disable=None)


def advance(bar: tqdm[NoReturn]) -> None:
    """One epoch more."""
    bar.update()


class BrokenOutputError(PsipruneError):
    """Who read standard output has gone away, as in `psiprune info FILE | head -1`: no error."""


@contextmanager
def printing() -> Iterator[None]:
    """While something is printed; to its end, as Python itself tells of trouble in other words.

    Raises:
        BrokenOutputError: the reader is gone; a pipe to a worker that broke is not taken for it.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise BrokenOutputError from None


def show(numbers: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the text, or the numbers as one JSON object with the training warnings, if any."""
    if _problems:
        numbers = {**numbers, "training_warnings": _problems}
    with printing():
        print(json_format.dumps(_plain(numbers), allow_nan=False) if as_json else text)


def _plain(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def chosen_format(
    format: str | None, settings: Settings | None
) -> tuple[str | None, dict[str, Any]]:
    """How a file of shots is to be read, as `read_shots` takes it: "auto" is by its content."""
    given = {} if settings is None else settings.model_dump(exclude_unset=True)
    return (None if format == "auto" else format), given
