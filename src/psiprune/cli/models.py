"""Options for a Hamiltonian: the fields of all models side by side.

As for training methods, each field is declared once, in the class of its model, which also checks
the values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from psiprune.cli.app import Flat
from psiprune.core.exceptions import InputError
from psiprune.states.hamiltonian import Hamiltonian, read_hamiltonian
from psiprune.states.spin_models import (
    MODEL_FIELDS,
    MODELS,
    IsingChain,
    PauliSum,
    SpinModel,
    as_model,
)
from psiprune.states.tfim import TFIM

Function = TypeVar("Function", bound=Callable[..., Any])
#: The kinds that have options; any other Hamiltonian is a file of terms.
KINDS = {name: kind for name, kind in MODELS.items() if kind is not PauliSum}
_ON_COMMAND_LINE = {name for kind in KINDS.values() for name in kind.model_fields} - {"kind"}


def with_model_options(function: Function, without: Collection[str] = ()) -> Function:
    """Give a command's parameter `model` the fields of all models as options.

    `without` are names of options that the command has itself.
    """
    hints = get_type_hints(function, include_extras=True)
    options = model_options(frozenset(without))
    function.__annotations__ = {**hints, "model": Annotated[options | None, Flat]}
    return function


@cache
def model_options(without: frozenset[str] = frozenset()) -> Any:
    """Return a class with `model` and the fields of all models, none of them required."""
    fields: dict[str, Any] = {
        "model": (
            str | None,
            Field(
                default=None,
                description=f"{', '.join(KINDS)} (default: tfim), or a text file of terms such as "
                "-1.0 [Z0 Z1] + 0.5 [X0]",
            ),
        )
    }
    for name in MODEL_FIELDS:
        kinds = {model: kind for model, kind in KINDS.items() if name in kind.model_fields}
        if name == "kind" or name in without or not kinds:
            continue
        annotation = _joined([kind.model_fields[name].annotation for kind in kinds.values()])
        if name == "positions":
            # Each x,y is one word, see `_positions`; cyclopts would count two for a pair.
            annotation = tuple[str, ...]
        fields[name] = (
            annotation | None,
            Field(default=None, description=_described(name, kinds)),
        )
    return create_model("ModelOptions", __config__=ConfigDict(extra="forbid"), **fields)


def chosen_model(options: BaseModel | None) -> TFIM | SpinModel | Hamiltonian:
    """Return the model that the options name; an Ising chain with a field above 0 is `TFIM`.

    Raises:
        InputError: there is no such model or file, the model lacks an option or its value is
            invalid.
    """
    table = {"kind": "tfim", **model_table(options)}
    kind, values = MODELS[table["kind"]], {k: v for k, v in table.items() if k != "kind"}
    if (
        kind is IsingChain
        and set(values) <= set(TFIM.model_fields)
        and not values.get("field", 1.0) < 0
    ):
        return TFIM(**values)
    return as_model(table)


def model_table(options: BaseModel | None, *, updates: bool = False) -> dict[str, Any]:
    """Return the options as a table with the kind of the model, which `as_model` takes.

    Empty without options. If the table `updates` another one, it has no kind unless --model is
    given.

    Raises:
        InputError: there is no such model or file, or the model lacks an option.
    """
    values = {} if options is None else options.model_dump(exclude_unset=True)
    if not values:
        return {}
    if "positions" in values:
        values["positions"] = _positions(values["positions"])
    if updates and "model" not in values:
        return values
    name = values.pop("model", "tfim")
    if name not in KINDS and not Path(name).is_file():
        raise InputError(f"--model: must be {', '.join(KINDS)} or a file of terms, found {name!r}")
    known = [each for each in KINDS.get(name, PauliSum).model_fields if each in _ON_COMMAND_LINE]
    for given in values:
        if given not in known:
            listed = ", ".join(_option(each) for each in known)
            raise InputError(
                f"{_option(given)}: not an option of --model {name}, which has {listed}"
            )
    if (sites := values.get("sites", 2)) < 2:
        raise InputError(f"--sites: must be at least 2, found {sites}")
    if name in KINDS:
        return {"kind": name, **values}
    return as_model(read_hamiltonian(name, values.get("sites"))).model_dump(exclude_unset=True)


def _positions(words: Iterable[str]) -> list[tuple[float, float]]:
    """Split each "x,y"."""
    positions = []
    for k, word in enumerate(words):
        try:
            x, y = map(float, word.split(","))
        except ValueError:
            raise InputError(
                f"positions.{k}: should be two numbers, x,y, found {word.strip()!r}"
            ) from None
        positions.append((x, y))
    return positions


def _joined(annotations: list[Any]) -> Any:
    """Return the type of what one of these types takes."""
    choices = [
        choice for each in annotations for choice in get_args(each) if get_origin(each) is Literal
    ]
    return Literal[*dict.fromkeys(choices)] if choices else reduce(operator.or_, annotations)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _described(name: str, kinds: Mapping[str, type[SpinModel]]) -> str:
    """Return each meaning of a field with the models that have it and their defaults."""
    models: dict[str, list[str]] = {}
    for model, kind in kinds.items():
        field = kind.model_fields[name]
        default = field.get_default()
        shown = model if field.is_required() or default in (None, ()) else f"{model}: {default}"
        models.setdefault(field.description or "", []).append(shown)
    return "; ".join(f"{meaning} ({', '.join(listed)})" for meaning, listed in models.items())
