"""Types of options that commands share, and options for settings that hold a training method.

A method is one of several classes with fields of their own. On the command line their fields stand
side by side (`--train.method exact --train.epochs 100`), all of them optional; the settings then
take them as a table and refuse those that the method does not have. So that each field is declared
once, the options are made from the classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from psiprune.cli.app import StrictInt
from psiprune.core.settings import Settings
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, METHODS

Function = TypeVar("Function", bound=Callable[..., Any])
OutOption = Annotated[Path | None, Parameter(name=["--out", "-o"])]
Int = Annotated[int, StrictInt]
Json = Annotated[bool, Parameter(help="print one JSON object on standard output")]


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
    """Return a model with the fields of the settings, methods as their options side by side."""
    fields: dict[str, Any] = {
        name: (
            _method_options("fine_tune" in name, _default_method(field)) | None,
            Field(default=None),
        )
        if _is_method(field.annotation)
        else (field.annotation, field)
        for name, field in model.model_fields.items()
    }
    return create_model(model.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def _default_method(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    return "auto" if default is None else str(default.method)


@cache
def _method_options(fine_tuning: bool, default: str = "auto") -> type[BaseModel]:
    """All fields of all methods; the help of each names its default with each method."""
    fields: dict[str, Any] = {
        "method": (
            Literal["auto", "exact", "natural", "pcd", "cd"] | None,
            Field(
                default=None,
                description="training method: natural gradient with sums over all states (exact) "
                "or averages over Gibbs chains (natural), or contrastive divergence with "
                "persistent (pcd) or restarted chains (cd); auto chooses one by the size of the "
                f"RBM (default: {default})",
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
        groups: dict[str, dict[float, list[str]]] = {}
        for method, instance in kinds.items():
            meaning = (shared or type(instance).model_fields[name]).description or ""
            defaults = groups.setdefault(meaning, {})
            defaults.setdefault(getattr(instance, name), []).append(method)
        help_text = "; ".join(f"{meaning} ({_listed(each)})" for meaning, each in groups.items())
        field = shared or type([*kinds.values()][-1]).model_fields[name]
        fields[name] = (field.annotation | None, Field(default=None, description=help_text))  # type: ignore[operator]
    return create_model("MethodOptions", __config__=ConfigDict(extra="forbid"), **fields)


def _listed(defaults: dict[float, list[str]]) -> str:
    """Defaults with the methods that have them: "exact, pcd: 500; natural: 150"."""
    return "; ".join(f"{', '.join(methods)}: {value:g}" for value, methods in defaults.items())
