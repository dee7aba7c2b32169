"""All training methods, and how one is selected: by name, by table or by size."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from pydantic import Field, PrivateAttr, SerializeAsAny, ValidationInfo, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS, EXACT_SITES, FISHER_PARAMETERS
from psiprune.core.settings import Settings
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import (
    NAMES,
    SYMMETRY,
    WEIGHT_DECAY,
    Method,
    SymmetryChoice,
    number_of_parameters,
)
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.pcd import PCD

#: Steps of the natural gradient for more hidden units than half of the sites. With 150, RBMs of 50
#: units on 50 critical sites have 1.1 (dense) and 1.6 times (scale-free) the KL; of 25, no more.
_WIDE_EPOCHS = 400


class MethodBySize(Settings):
    """The best method for the size of the RBM, with its defaults.

    `ExactNaturalGradient` where a layer has at most 18 units, else `NaturalGradient`, and `PCD`
    above 20,000 parameters.
    """

    method: Literal["auto"] = "auto"
    epochs: int | None = Field(
        default=None, ge=0, description="steps or passes (default: that of the method)"
    )
    symmetry: SymmetryChoice | None = Field(default=None, description=SYMMETRY)
    weight_decay: float | None = Field(default=None, ge=0, description=WEIGHT_DECAY)
    #: One line for `--help`.
    SUMMARY: ClassVar[str] = "the best method for the size of the RBM"
    #: Whether `for_size` returns a method with its defaults for fine-tuning.
    _fine_tuning: bool = PrivateAttr(default=False)

    def model_post_init(self, _: Any) -> None:
        """Mark `method` as set; see `Method`."""
        self.model_fields_set.add("method")

    def for_size(
        self, visible: int, hidden: int, *, readout: bool = False, weights: int | None = None
    ) -> Method:
        """Return the method for an RBM of this size, and for shots with readout errors or without.

        With readout errors the exact method sums over true and recorded bits, up to 20 sites.
        Without a number of weights the RBM has all. With more hidden units than half of the sites
        the natural gradient takes 400 steps.
        """
        values = self.model_dump(exclude={"method"}, exclude_none=True)
        kind: type[Method] = PCD
        if number_of_parameters(visible, hidden, weights) <= FISHER_PARAMETERS:
            exact = min(visible, hidden) <= EXACT_GRADIENT_UNITS
            exact = exact and not (readout and visible > EXACT_SITES)
            kind = ExactNaturalGradient if exact else NaturalGradient
        elif self.symmetry is not None:
            raise InputError(
                f"symmetry: only natural gradient has it, up to {FISHER_PARAMETERS:,} parameters, "
                f"found {number_of_parameters(visible, hidden, weights):,}; omit it, or give a mask"
            )
        if self._fine_tuning:
            return kind.for_fine_tuning(**values)
        if kind is NaturalGradient and 2 * hidden > visible:
            values = {"epochs": _WIDE_EPOCHS, **values}
        return kind(**values)

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
    given: MethodLike,
    default: Method | MethodBySize | None = None,
    *,
    fine_tuning: bool = False,
) -> Method | MethodBySize:
    """Convert a name or a table to a training method; return a method unchanged.

    A name, alone or as the "method" of a table, selects the method with its own defaults for the
    other fields. A table without "method" updates `default`.

    Args:
        given: a method, its name, or a table of its fields.
        default: the method that a table without "method" updates; None for the best method for the
            size.
        fine_tuning: use the defaults for fine-tuning after a pruning step.

    Raises:
        InputError: there is no such method, the method does not have one of the fields, or a value
            is invalid.
    """
    if isinstance(given, Method | MethodBySize):
        return given
    if isinstance(given, type):
        raise InputError(f"method: must be a method, found the class; use {given.__name__}()")
    if not isinstance(given, str | Mapping):
        raise InputError(
            "method: must be a method such as CD(epochs=100), its name ('auto' chooses by size) or "
            f"a dict, found {given!r}"
        )
    table = {"method": given} if isinstance(given, str) else dict(given)
    if "method" not in table and default is not None:
        table = default.model_dump() | table
    name = table.pop("method", "auto")
    if not isinstance(name, str) or name not in METHODS:
        raise InputError(f"method: must be one of {', '.join(METHODS)}, found {name!r}")
    kind = METHODS[name]
    for field, value in table.items():
        if field not in kind.model_fields:
            raise InputError(f"{field}: {no_such_field(field, name)}")
        if field not in NAMES and isinstance(value, str | bool):
            raise InputError(f"{field}: must be a number, found {value!r}")
    return kind.for_fine_tuning(**table) if fine_tuning else kind(**table)


def no_such_field(field: str, name: str | None) -> str:
    """Return the words about a field that a method, or with None every method, lacks."""
    fields = METHOD_FIELDS if name is None else METHODS[name].model_fields
    known = [known for known in fields if known != "method"]
    nearest = difflib.get_close_matches(field, known, n=1)
    prefix, _, rest = field.partition("_")
    if prefix in METHODS and rest in METHODS[prefix].model_fields:  # cd_steps
        return f"no such option; give method {prefix} with {rest}"
    others = [other for other, kind in METHODS.items() if field in kind.model_fields]
    if nearest:
        hint = f"; did you mean {nearest[0]}?"
    elif others:
        hint = f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
        if name == "auto":
            hint += f", so name the method, such as --method {others[0]}"
    else:
        hint = ""
    chosen = {
        None: "any training method; they have",
        "auto": "the method chosen by size, which has",
    }.get(name, f"method '{name}', which has")
    return f"no such option of {chosen} {', '.join(known)}{hint}"


def complete_method(cls: type[Settings], value: Any, info: ValidationInfo) -> object:
    """Convert the value of a field to a method; the validator of `method_fields`."""
    assert info.field_name is not None
    field = cls.model_fields[info.field_name]
    if value is None and type(None) in get_args(field.annotation):
        return None
    default = field.get_default(call_default_factory=True)
    fine_tuning = "fine_tune" in info.field_name
    method = as_method(value, default, fine_tuning=fine_tuning)
    if fine_tuning and isinstance(method, Method):
        # Mark as set what would differ if it were read again from a dump of the fields set.
        return method.model_copy(
            update={name: getattr(method, name) for name in method.FINE_TUNING}
        )
    return method


def method_fields(*names: str) -> Any:
    """Return a validator that lets fields of settings accept names and tables of methods."""
    return field_validator(*names, mode="before", check_fields=False)(classmethod(complete_method))
