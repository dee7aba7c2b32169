"""What a file or a run folder holds -> plain text and plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from psiprune.data.diagnostics import ShotsDescription
from psiprune.inspect.describe import (
    DatasetDescription,
    Description,
    RBMDescription,
    RunDescription,
    StateDescription,
)
from psiprune.io.provenance import facts_of
from psiprune.reporting.tables import align, number

Rows = list[tuple[str, str]]
_LONGEST = 60  # characters of a configuration, or files that are named


def description_text(found: Description) -> str:
    """A line on what it is, a line for each finding, a line for each warning."""
    match found:
        case ShotsDescription():
            head, rows = _shots(found)
        case StateDescription():
            head, rows = _state(found)
        case RBMDescription():
            head, rows = _rbm(found)
        case DatasetDescription():
            return _dataset(found)
        case RunDescription():
            return _run(found)
    warnings = [f"warning: {each.name}: {each.line}" for each in found.doubts]
    return "\n".join([f"{found.source}: {head}", *_lines(rows), *warnings])


def description_numbers(found: Description) -> dict[str, Any]:
    """The same for JSON, every site and every bond: the fields of the description and its kind."""
    kinds = {
        ShotsDescription: "shots",
        StateDescription: "state",
        RBMDescription: "rbm",
        DatasetDescription: "dataset",
        RunDescription: "run",
    }
    return {"what": kinds[type(found)], **_plain(vars(found))}


def _shots(found: ShotsDescription) -> tuple[str, Rows]:
    n, z = found.shots, found.magnetization
    often = found.entropy
    known = f"{often.value:.4f} +- {often.error:.4f} nat, and up to {often.unseen:.2g} more"
    if often.coverage == 0:
        known = f"above {often.plug_in:.2f} nat; unknown, as nothing occurs twice"
    error = float(found.magnetization_error.max())
    errors = f"up to {error:.1g}" if math.isfinite(error) else "unknown"
    rows = [
        ("from", _origin(found.provenance)),
        (
            "configurations",
            f"{found.distinct} different; {found.unique / n:.1%} of the shots occur once",
        ),
        *(
            (f"  {count / n:.2%}", bits if len(bits) <= _LONGEST else f"{bits[:_LONGEST]}...")
            for bits, count in found.frequent
            if count > 1
        ),
        ("entropy", known),
        (
            f"<{found.basis}> of a site",
            f"{_at(z, z.argmin())} to {_at(z, z.argmax())}, mean {z.mean():+.4f}, errors {errors}",
        ),
        ("<|m|>", f"{found.abs_magnetization:.5f}"),
        (
            "Z2",
            f"{found.up} shots with more zeros, {found.down} with more ones "
            f"(p = {found.z2_p_value:.2g})",
        ),
    ]
    if found.sites > 1:
        c = found.neighbours
        rows.append(
            (
                "neighbours",
                f"C from {_at(c, c.argmin(), 'bond')} to {_at(c, c.argmax(), 'bond')}, mean "
                f"{c.mean():+.4f}",
            )
        )
    other = found.ordering
    if other is None:
        rows.append(("order of sites", "cannot be told"))
    elif other.sigmas == 0:
        rows.append(("order of sites", "neighbours are the strongest pairs"))
    else:
        rows.append(
            (
                "order of sites",
                f"another is better by {other.sigmas:.1f} sigma (p = {other.p_value:.1g})",
            )
        )
    again = found.repeats
    rows += [
        (
            "repeats",
            f"{again.found[0]} shots equal the one before, {again.expected[0]:.1f} by chance "
            f"(p = {again.p_value[0]:.2g})",
        ),
        (
            "memory, drift",
            f"p = {found.memory_p_value:.2g}, {found.drift_p_value:.2g} over all sites",
        ),
    ]
    return f"{n} shots of {found.sites} sites in basis {found.basis}", rows


def _origin(provenance: Mapping[str, Any]) -> str:
    """Where shots come from, but for what is nested deeply."""
    parts = []
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {each}" for name, each in value.items())
        if value not in ("", None) and not isinstance(value, list):
            parts.append(f"{key}: {value}")
    return "; ".join(parts) or "no provenance"


def _state(found: StateDescription) -> tuple[str, Rows]:
    bonds = found.bond_dimensions
    model = "no Hamiltonian"
    if math.isfinite(found.field):
        model = f"transverse-field Ising chain, J = {found.coupling:g}, h = {found.field:g}"
    return f"matrix product state of {found.sites} sites", [
        ("model", model),
        ("bonds", f"dimensions up to {max(bonds)}, {found.free_parameters} free parameters"),
        (
            "energy",
            f"{number(found.energy, '.10f')}, exact {number(found.exact_energy, '.10f')}, variance "
            f"{number(found.energy_variance, '.1e')}",
        ),
        ("truncation", f"{found.truncation_error:.1e} at most, at one bond"),
        ("<Z> of a site", f"{found.magnetization.min():+.2e} to {found.magnetization.max():+.2e}"),
        ("<|m|>", f"{found.abs_magnetization:.8f}"),
        ("<Z Z>", f"{found.neighbours:.8f}, mean over neighbours"),
    ]


def _rbm(found: RBMDescription) -> tuple[str, Rows]:
    units = found.weights_by_hidden
    rows = [
        (
            "weights",
            f"{found.weights} of {found.visible * found.hidden} ({found.density:.1%}); "
            f"{units.min()} to {units.max()} a hidden unit; {found.parameters} parameters",
        ),
        ("graph", f"{found.components} {'part' if found.components == 1 else 'parts'}"),
        *(
            (name, f"{number(low, '+.4g')} to {number(high, '+.4g')}, median {number(mid, '+.4g')}")
            for name, (low, mid, high) in found.ranges.items()
        ),
    ]
    if found.clusters is not None:
        rows.append(
            (
                "clusters",
                f"in {found.clusters} of {found.hidden} hidden units (at most 5 % by chance)",
            )
        )
    rows += [(name, f"{value:.6g}") for name, value in found.measures.items()]
    rows.append(("made by", _origin(found.provenance)))
    return f"RBM of {found.visible} visible and {found.hidden} hidden units", rows


def _dataset(found: DatasetDescription) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in found.sizes.items())
    attributes = [(name, str(value)) for name, value in found.attributes.items()]
    table = [["variable", "over", "least", "largest", "missing", "units", "meaning"]]
    for each in found.variables:
        missing = f"{each.missing:.0%}" if each.missing else "-"
        over = ", ".join(each.dimensions) or "-"
        span = [number(each.least, ".4g"), number(each.largest, ".4g")]
        table.append([each.name, over, *span, missing, each.units or "-", each.meaning or "-"])
    return "\n".join(
        [
            f"{found.source}: dataset of kind '{found.kind}' over {sizes}",
            *_lines(attributes),
            align(table),
        ]
    )


def _run(found: RunDescription) -> str:
    command = "a command not known here" if found.command is None else f"psiprune {found.command}"
    total = len(found.done) + len(found.missing)
    state = "is being written now" if found.running else "no process writes to it"
    rows = [
        ("files", f"{found.files}, {found.bytes / 1e6:.1f} MB; {state}"),
        ("made by", _origin(found.provenance)),
        *(item for item in facts_of(found.provenance).items() if item[0] not in found.provenance),
        ("done", f"{len(found.done)} of {total} files that a finished run has" if total else "-"),
    ]
    if found.missing:
        more = f" and {len(found.missing) - 5} more" if len(found.missing) > 5 else ""
        rows.append(("missing", ", ".join(found.missing[:5]) + more))
    if found.resume:
        rows.append(("to go on", found.resume))
    warnings = [f"warning: damaged: {file}: {why}" for file, why in found.damaged]
    head = f"{found.source}: run of {command}"
    return "\n".join([head, *_lines(rows), *warnings, "settings:", *_lines(_flat(found.config))])


def _flat(config: Mapping[str, Any], prefix: str = "") -> Rows:
    rows: Rows = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows


def _lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name.ljust(width)}  {text}".rstrip() for name, text in rows]


def _at(values: np.ndarray[Any, np.dtype[np.float64]], k: np.intp, word: str = "site") -> str:
    return f"{values[k]:+.4f} ({word} {k})"


def _plain(value: Any) -> Any:
    """Dataclasses, named tuples and arrays as dictionaries and lists."""
    match value:
        case np.ndarray():
            return value.tolist()
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return _plain(value._asdict())
        case tuple() | list():
            return [_plain(each) for each in value]
        case np.generic():
            return value.item()
    return _plain(asdict(value)) if hasattr(value, "__dataclass_fields__") else value
