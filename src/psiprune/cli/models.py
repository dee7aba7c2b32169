"""Options for the Hamiltonian of `ground-state`: the fields of all models side by side.

As for training methods, each field is declared once, in the class of its model, which also checks
the values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from psiprune.cli.app import Flat
from psiprune.core.exceptions import InputError
from psiprune.states.hamiltonian import Hamiltonian, read_hamiltonian
from psiprune.states.spin_models import TFIM2D, XXZ, IsingChain, Rydberg, SpinModel
from psiprune.states.tfim import TFIM

Function = TypeVar("Function", bound=Callable[..., Any])
MODELS: dict[str, type[SpinModel]] = {
    "tfim": IsingChain,
    "xxz": XXZ,
    "rydberg": Rydberg,
    "tfim-2d": TFIM2D,
}


def with_model_options(function: Function) -> Function:
    """Give a command's parameter `model` the fields of all models as options."""
    hints = get_type_hints(function, include_extras=True)
    function.__annotations__ = {**hints, "model": Annotated[model_options() | None, Flat]}
    return function


@cache
def model_options() -> Any:
    """Return a class with `model` and the fields of all models, none of them required."""
    fields: dict[str, Any] = {
        "model": (
            str,
            Field(
                default="tfim",
                description=f"{', '.join(MODELS)}, or a text file of terms such as "
                "-1.0 [Z0 Z1] + 0.5 [X0]",
            ),
        )
    }
    for name in dict.fromkeys(name for kind in MODELS.values() for name in kind.model_fields):
        kinds = {model: kind for model, kind in MODELS.items() if name in kind.model_fields}
        annotation = _joined([kind.model_fields[name].annotation for kind in kinds.values()])
        fields[name] = (
            annotation | None,
            Field(default=None, description=_described(name, kinds)),
        )
    return create_model("ModelOptions", __config__=ConfigDict(extra="forbid"), **fields)


def chosen_model(options: BaseModel | None) -> TFIM | SpinModel | Hamiltonian:
    """Return the model that the options name; the plain Ising chain is `TFIM`.

    Raises:
        InputError: there is no such model or file, the model lacks an option or its value is
            invalid.
    """
    values = {} if options is None else options.model_dump(exclude_unset=True)
    name = values.pop("model", "tfim")
    kind = MODELS.get(name)
    if kind is None and not Path(name).is_file():
        raise InputError(f"--model: must be {', '.join(MODELS)} or a file of terms, found {name!r}")
    known = ["sites"] if kind is None else list(kind.model_fields)
    for given in values:
        if given not in known:
            listed = ", ".join(_option(each) for each in known)
            raise InputError(
                f"{_option(given)}: not an option of --model {name}, which has {listed}"
            )
    if kind is None:
        return read_hamiltonian(name, values.get("sites"))
    if kind is IsingChain and set(values) <= set(TFIM.model_fields):
        return TFIM(**values)
    return kind(**values)


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
