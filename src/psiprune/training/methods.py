"""All training methods, and how one is selected: by name, by table or by size."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field, PrivateAttr, SerializeAsAny, ValidationInfo, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS, FISHER_PARAMETERS
from psiprune.core.settings import Settings
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Method
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.pcd import PCD


class MethodBySize(Settings):
    """The best method for the size of the RBM, with its defaults.

    `ExactNaturalGradient` where a layer has at most 18 units, else `NaturalGradient`, and `PCD`
    above 20,000 parameters.
    """

    method: Literal["auto"] = "auto"
    epochs: int | None = Field(
        default=None, ge=0, description="steps or passes (default: that of the method)"
    )
    #: Whether `for_size` returns a method with its defaults for fine-tuning.
    _fine_tuning: bool = PrivateAttr(default=False)

    def model_post_init(self, _: Any) -> None:
        """Mark `method` as set; see `Method`."""
        self.model_fields_set.add("method")

    def for_size(self, visible: int, hidden: int) -> Method:
        """Return the method for an RBM of this size."""
        values = {} if self.epochs is None else {"epochs": self.epochs}
        kind: type[Method] = PCD
        if (visible + 1) * (hidden + 1) - 1 <= FISHER_PARAMETERS:
            exact = min(visible, hidden) <= EXACT_GRADIENT_UNITS
            kind = ExactNaturalGradient if exact else NaturalGradient
        return kind.for_fine_tuning(**values) if self._fine_tuning else kind(**values)  # type: ignore[arg-type]

    @classmethod
    def for_fine_tuning(cls, **values: Any) -> MethodBySize:
        """Return the choice by size among methods with their defaults for fine-tuning."""
        method = cls(**values)
        method._fine_tuning = True
        return method

    def __str__(self) -> str:
        """Return "auto"."""
        return self.method


#: All methods by name. To add a method, add a file and a line here.
METHODS: Mapping[str, type[Method | MethodBySize]] = {
    "auto": MethodBySize,
    "exact": ExactNaturalGradient,
    "natural": NaturalGradient,
    "pcd": PCD,
    "cd": CD,
}
if TYPE_CHECKING:  # `for_size` replaces "auto" before any training
    AnyMethod = Method
else:
    #: A field of settings that holds a method, or "auto"; see `method_fields`.
    AnyMethod = SerializeAsAny[Method | MethodBySize]


def by_size() -> AnyMethod:
    """Return the default training method: the best one for the size of the RBM."""
    return MethodBySize()  # type: ignore[return-value]


def by_size_fine_tuning() -> AnyMethod:
    """Return the default method of fine-tuning: the best one for the size of the RBM."""
    return MethodBySize.for_fine_tuning()  # type: ignore[return-value]


#: The fields of all methods.
METHOD_FIELDS = tuple(
    dict.fromkeys(field for kind in METHODS.values() for field in kind.model_fields)
)
#: A method, its name, or a table {"method": name, field: value, ...}.
MethodLike = Method | MethodBySize | str | Mapping[str, Any]


def as_method(
    given: MethodLike | None,
    default: Method | MethodBySize | None = None,
    *,
    fine_tuning: bool = False,
) -> Method | MethodBySize:
    """Convert a name, a table or None to a training method; return a method unchanged.

    A name selects the method with its defaults. A table without "method" updates `default`.

    Args:
        given: a method, its name, a table of its fields, or None.
        default: the method that None selects and that a table updates; None for the best method
            for the size.
        fine_tuning: use the defaults for fine-tuning after a pruning step.

    Raises:
        InputError: there is no such method, the method does not have one of the fields, or a value
            is invalid.
    """
    if default is None:
        default = MethodBySize.for_fine_tuning() if fine_tuning else MethodBySize()
    if given is None:
        return default
    if isinstance(given, Method | MethodBySize):
        return given
    if isinstance(given, type):
        raise InputError(f"method: must be a method, found the class; use {given.__name__}()")
    if not isinstance(given, str | Mapping):
        raise InputError(
            f"method: must be a method such as CD(epochs=100), its name or a dict, found {given!r}"
        )
    table = {"method": given} if isinstance(given, str) else dict(given)
    name = table.pop("method", default.method)
    if not isinstance(name, str) or name not in METHODS:
        raise InputError(f"method: must be one of {', '.join(METHODS)}, found {name!r}")
    kind = METHODS[name]
    known = [field for field in kind.model_fields if field != "method"]
    for field, value in table.items():
        if field not in known:
            raise InputError(_no_such_field(field, name, known))
        if isinstance(value, str | bool):
            raise InputError(f"{field}: must be a number, found {value!r}")
    if isinstance(given, Mapping) and name == default.method:
        table = default.model_dump(exclude={"method"}) | table
    return kind.for_fine_tuning(**table) if fine_tuning else kind(**table)


def _no_such_field(field: str, name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(field, known, n=1)
    others = [other for other, kind in METHODS.items() if field in kind.model_fields]
    if nearest:
        hint = f"; did you mean {nearest[0]}?"
    elif others:
        hint = f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
    else:
        hint = ""
    chosen = "the method chosen by size" if name == "auto" else f"method '{name}'"
    return f"{field}: no such option of {chosen}, which has {', '.join(known)}{hint}"


def complete_method(cls: type[Settings], value: Any, info: ValidationInfo) -> object:
    """Convert the value of a field to a method; the validator of `method_fields`."""
    assert info.field_name is not None
    field = cls.model_fields[info.field_name]
    if value is None and type(None) in get_args(field.annotation):
        return None
    default = field.get_default(call_default_factory=True)
    return as_method(value, default, fine_tuning="fine_tune" in info.field_name)


def method_fields(*names: str) -> Any:
    """Return a validator that lets fields of settings accept names and tables of methods."""
    return field_validator(*names, mode="before", check_fields=False)(classmethod(complete_method))
