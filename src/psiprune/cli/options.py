"""Types of options that commands share, and options for settings that hold a training method.

A method is one of several classes with fields of their own. On the command line their fields stand
side by side (`--train.method exact --train.epochs 100`), all of them optional; the settings then
take them as a table and refuse those that the method does not have. So that each field is declared
once, the options are made from the classes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from cyclopts import Parameter, UnknownOptionError
from pydantic import BaseModel, ConfigDict, Field, create_model

from psiprune.cli.app import StrictInt
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, METHODS, MethodBySize, as_method, no_such_field

if TYPE_CHECKING:
    from psiprune.data.readout_error import ReadoutError
    from psiprune.data.shots import Shots

Function = TypeVar("Function", bound=Callable[..., Any])
OutOption = Annotated[Path | None, Parameter(name=["--out", "-o"])]
Int = Annotated[int, StrictInt]
Yes = Annotated[bool, Parameter(help="begin whatever the estimates of time and memory are")]
Json = Annotated[bool, Parameter(help="print one JSON object on standard output")]


Observables = Annotated[
    tuple[str, ...],
    Parameter(
        help="further observables: sums of Pauli strings such as 'X0 X3' or 'sum_i Z_i Z_{i+1}', "
        "names such as structure_factor or 'block_magnetization(4)', FILE.py:function; "
        "NAME=TEXT names one",
        show_default=False,
    ),
]


class ReadoutOptions(Settings):
    """The readout errors of the shots that a command reads."""

    readout: str | None = Field(
        default=None,
        description="readout errors of the device: rates p(1|0),p(0|1) such as 0.01,0.03, or a "
        "file (of psiprune calibrate, a table, or a vendor's, see the page Formats); replaces "
        "those of the file of shots",
    )
    readout_qubits: tuple[int, ...] = Field(
        default=(),
        description="the device's qubit of each site, in the order of the sites, where the file of "
        "--readout describes more qubits",
    )


def readout_of(options: ReadoutOptions | None, sites: int) -> ReadoutError | None:
    """Return the readout errors that the options name; None if they name none.

    Raises:
        InputError: they are invalid or do not fit the number of sites.
    """
    from psiprune.data.readout_files import read_readout

    if options is None or options.readout is None:
        if options is not None and options.readout_qubits:
            raise InputError("--readout-qubits: requires --readout; give both, or neither")
        return None
    return read_readout(options.readout, sites, options.readout_qubits or None)


def with_readout(shots: Shots, options: ReadoutOptions | None) -> Shots:
    """Return the shots with the readout errors of the options, or as they are without these."""
    error = readout_of(options, shots.sites)
    if error is None:
        return shots
    if shots.readout is not None:
        tell(
            f"psiprune: note: --readout ({error.source}) replaces the readout errors of "
            f"{shots.source} ({shots.readout.source})"
        )
    return replace(shots, readout=error)


def readout_digest(options: ReadoutOptions | None, data: Shots) -> str | None:
    """Return the digest of readout errors given by options; those of a file are in its own."""
    if options is None or options.readout is None or data.readout is None:
        return None
    return data.readout.digest


def with_method_options(function: Function) -> Function:
    """Let a command take the fields of all methods where its settings hold a method."""
    hints = get_type_hints(function, include_extras=True)
    function.__annotations__ = {name: _optional(name, hint) for name, hint in hints.items()}
    return function


def _optional(name: str, hint: Any) -> Any:
    """The hint of a parameter with a settings class or a method in it replaced by its options."""
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        return Annotated[(_optional(name, inner), *metadata)]
    if _is_method(hint):
        return _method_options("fine_tune" in name) | None
    for inner in get_args(hint):
        if isinstance(inner, type) and issubclass(inner, Settings) and _holds_method(inner):
            return options_of(inner) | None
    return hint


def _is_method(annotation: Any) -> bool:
    return annotation is Method or any(_is_method(inner) for inner in get_args(annotation))


def _holds_method(model: type[Settings]) -> bool:
    return any(_is_method(field.annotation) for field in model.model_fields.values())


@cache
def options_of(model: type[Settings]) -> type[BaseModel]:
    """Return a model with the fields of the settings, methods as their options side by side.

    A Hamiltonian has options of its own, `cli.models`.
    """
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name == "model":
            continue
        if _is_method(field.annotation):
            default = field.get_default(call_default_factory=True)
            fields[name] = _method_options("fine_tune" in name, default) | None, Field(default=None)
        else:
            fields[name] = field.annotation, field
    return create_model(model.__name__, __config__=ConfigDict(extra="forbid"), **fields)


@cache
def _method_options(
    fine_tuning: bool, default: Method | MethodBySize | None = None
) -> type[BaseModel]:
    """All fields of all methods; the help of each names its default with each method.

    `default` is the method if none is named. Its values are listed as "default" where they differ
    from those that its name would select.
    """
    default = default or as_method("auto", fine_tuning=fine_tuning)
    shown = default.method
    if default != as_method(shown, fine_tuning=fine_tuning):
        shown = f"{default}; naming a method selects its own defaults"
    summaries = "; ".join(f"{name}: {kind.SUMMARY}" for name, kind in METHODS.items())
    fields: dict[str, Any] = {
        "method": (
            Literal[*METHODS] | None,
            Field(
                default=None,
                description=f"training method ({summaries}; default: {shown})",
            ),
        )
    }
    for name in METHOD_FIELDS[1:]:
        kinds = {
            method: kind.for_fine_tuning() if fine_tuning else kind(**{})
            for method, kind in METHODS.items()
            if name in kind.model_fields and method != "auto"
        }
        shared = Method.model_fields.get(name)
        groups: dict[str, dict[float | None, list[str]]] = {}
        for method, instance in kinds.items():
            meaning = (shared or type(instance).model_fields[name]).description or ""
            defaults = groups.setdefault(meaning, {})
            own = getattr(default if method == default.method else instance, name)
            if own != getattr(instance, name):
                defaults.setdefault(own, []).append("default")
            defaults.setdefault(getattr(instance, name), []).append(method)
        help_text = "; ".join(f"{meaning} ({_listed(each)})" for meaning, each in groups.items())
        field = shared or type([*kinds.values()][-1]).model_fields[name]
        fields[name] = (field.annotation | None, Field(default=None, description=help_text))  # type: ignore[operator]
    return create_model("MethodOptions", __config__=ConfigDict(extra="forbid"), **fields)


def _listed(defaults: dict[float | None, list[str]]) -> str:
    """Defaults with the methods that have them: "exact, pcd: 500; natural: 150"."""
    shown = {value: "none" if value is None else f"{value:g}" for value in defaults}
    return "; ".join(f"{', '.join(names)}: {shown[each]}" for each, names in defaults.items())


def unknown_method_option(error: UnknownOptionError) -> str:
    """Return the line about an option of training that no method has, else ""."""
    option = (error.token.keyword or error.token.value).split("=")[0]
    prefix, dot, last = option.removeprefix("--").rpartition(".")
    arguments = {name: each for each in error.argument_collection for name in each.names}
    method = arguments.get(f"--{prefix.replace('_', '-')}{dot}method")
    if method is None or not option.startswith("--"):
        return ""
    field = last.replace("-", "_")
    others = [name for name in arguments if name[2:].replace("-", "_") not in METHOD_FIELDS]
    if not dot and difflib.get_close_matches(option, others, n=1):
        return ""  # in `train --hiden 3` cyclopts suggests --hidden
    named = method.tokens[-1].value if method.tokens else None
    return f"{option}: {no_such_field(field, named if named in METHODS else None)}"
