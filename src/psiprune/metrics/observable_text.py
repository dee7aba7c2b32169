"""Observables as text: Pauli strings, ready-made names, functions in files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from psiprune.core.exceptions import InputError
from psiprune.metrics.custom import Observable, load_observable
from psiprune.metrics.diagonal_observables import named_observable
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.states.hamiltonian import Hamiltonian, Positions
from psiprune.states.pauli_text import text_terms

#: What an observable may be given as, in Python.
Given = Observable | Hamiltonian | str
#: Observables by name, or texts that name themselves.
GivenObservables = Mapping[str, Given] | Sequence[str]
#: What variables beside an observable end in.
_SUFFIXES = ("_error", "_exact", "_reference", "_loss", "_floor")
#: Characters of text in a message.
_SHOWN = 40
_NAMED = re.compile(r"\s*([A-Za-z]\w*)\s*=(?!=)\s*(.*)", re.DOTALL)


def as_observables(
    given: GivenObservables | None, sites: int, positions: Positions | None = None
) -> dict[str, Observable]:
    """Return observables by name, on this number of sites.

    Args:
        given: functions of bits [shot, site], sums of Pauli strings as `Hamiltonian` or text, or
            names of `named_observable`, by name; or a list of texts, see `read_observables`.
        sites: N.
        positions: of the sites, see `named_observable`.

    Raises:
        InputError: a text cannot be read, or a Hamiltonian has another number of sites.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        return read_observables(given, sites, positions=positions)
    return {name: _as_observable(name, each, sites, positions) for name, each in given.items()}


def read_observables(
    texts: Sequence[str],
    sites: int,
    *,
    recorded: bool = False,
    positions: Positions | None = None,
) -> dict[str, Observable]:
    """Return the observables of options: TEXT, NAME=TEXT or FILE.py:function.

    TEXT is a sum of Pauli strings (`pauli_sum`) or a name (`named_observable`). Without NAME= the
    name is TEXT with its letters, digits and underscores: "X0 X3" is X0_X3.

    Args:
        texts: one for each observable.
        sites: N.
        recorded: whether the values go to the files of a run, which could not record the code of a
            function, and where names must differ from those of errors.
        positions: of the sites, see `named_observable`.

    Raises:
        InputError: a text cannot be read, or two have the same name.
    """
    found: dict[str, Observable] = {}
    for text in texts:
        if is_code(text):
            if recorded:
                raise InputError(
                    f"observable: must be Pauli strings or a name here, found {text!r}, whose file "
                    "a run could not record; use it in evaluate, info or reconstruct"
                )
            name, observable = load_observable(text)
        else:
            name, observable = _named(text, sites, positions)
        if recorded and name.endswith(_SUFFIXES):
            raise InputError(
                f"observable: {name!r} may not end in {', '.join(_SUFFIXES)}, which stand for its "
                "errors and so on; rename it"
            )
        if name in found:
            raise InputError(f"observable: {name!r} is given twice; rename one of them")
        found[name] = observable
    return found


def is_code(text: str) -> bool:
    """Return whether an observable is FILE.py:function."""
    return ".py" in text


def _named(text: str, sites: int, positions: Positions | None) -> tuple[str, Observable]:
    named = _NAMED.fullmatch(text)
    name, body = (named[1], named[2]) if named else (_identifier(text), text)
    if named and not body.strip():
        raise InputError(f"observable: {text!r} has nothing after =; write {name}=X0 or a name")
    return name, parse_observable(body, sites, positions)


def parse_observable(text: str, sites: int, positions: Positions | None = None) -> Observable:
    """Return the observable of a text: Pauli strings or a name.

    Raises:
        InputError: it is neither, or does not fit the number of sites.
    """
    named = named_observable(text, sites, positions)
    return PauliObservable(pauli_sum(text, sites)) if named is None else named


def pauli_sum(text: str, sites: int) -> Hamiltonian:
    """Return the sum of Pauli strings that a text stands for, on this number of sites.

    Raises:
        InputError: the text has another form, a coefficient is not a real number, a letter is
            unknown, a site is out of range or occurs twice in a string, or nothing remains.

    Examples:
        >>> pauli_sum("sum_i Z_i Z_{i+1} - 0.5 X0", 3)
        Hamiltonian(sites=3, terms=3: 1.0 [Z0 Z1] + -0.5 [X0] + 1.0 [Z1 Z2])
    """
    source = f"observable: {text if len(text) <= _SHOWN else f'{text[: _SHOWN - 3]}...'!r}"
    terms = [*text_terms(text, source, sites)]
    try:
        return Hamiltonian([(_real(value), letters) for _, value, letters in terms], sites)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _real(value: complex) -> float:
    if value.imag or not math.isfinite(value.real):
        raise InputError(
            f"coefficients must be finite and real, as an observable is Hermitian, found {value}; "
            "give the real and the imaginary part as two observables"
        )
    return value.real


def _identifier(text: str) -> str:
    """Return a name for tables and files: "minus", "plus", for all else that is no letter "_".

    A plus within {i+1} is "_", too.
    """
    text = re.sub(r"\+(?![^{}]*\})", " plus ", text.replace("-", " minus "))
    words = re.sub(r"\W+", "_", text).strip("_")
    return words if words[:1].isalpha() else f"o_{words}"


def text_of(name: str, given: Hamiltonian | str) -> str:
    """Return NAME=TEXT in one line, as `read_observables` takes it."""
    return f"{name}={given}".replace("\n", " ")


def _as_observable(name: str, given: Given, sites: int, positions: Positions | None) -> Observable:
    if isinstance(given, str):
        return parse_observable(given, sites, positions)
    if isinstance(given, Hamiltonian):
        if given.sites != sites:
            raise InputError(
                f"observables: {name!r} is a sum on {given.sites} sites, but there are {sites}; "
                f"give one for {sites} sites"
            )
        return PauliObservable(given)
    return given
