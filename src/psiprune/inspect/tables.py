"""Descriptions of files and run folders as text and as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from psiprune.data.diagnostics import ShotsDescription
from psiprune.inspect.describe import (
    DatasetDescription,
    Description,
    Float64,
    RBMDescription,
    RunDescription,
    StateDescription,
)
from psiprune.io.provenance import facts_of
from psiprune.reporting.tables import align, number

Rows = Iterator[tuple[str, str]]
_LONGEST = 60  # characters of a printed configuration
_MOST = 5  # missing files that are named


def description_text(found: Description) -> str:
    """A headline, one line per property, one line per warning."""
    match found:
        case ShotsDescription():
            head = f"{found.shots} shots of {found.sites} sites in basis {found.basis}"
            rows = _shots(found)
        case StateDescription():
            head, rows = f"matrix product state of {found.sites} sites", _state(found)
        case RBMDescription():
            head = f"RBM of {found.visible} visible and {found.hidden} hidden units"
            rows = _rbm(found)
        case DatasetDescription():
            return _dataset(found)
        case RunDescription():
            return _run(found)
    warnings = [f"warning: {each.name}: {each.line}" for each in found.doubts]
    return "\n".join([f"{found.source}: {head}", *_lines(list(rows)), *warnings])


def description_numbers(found: Description) -> dict[str, Any]:
    """The same for JSON, with every site and bond: all fields, and the kind as `what`."""
    kind = type(found).__name__.removesuffix("Description").lower()
    return {"what": kind, **_plain(vars(found))}


def _shots(found: ShotsDescription) -> Rows:
    z, entropy, repeats = found.magnetization, found.entropy, found.repeats
    yield "source", _origin(found.provenance)
    yield (
        "configurations",
        f"{found.distinct} distinct; {found.unique / found.shots:.1%} of the shots occur once",
    )
    for bits, count in found.frequent:
        if count > 1:
            shown = bits if len(bits) <= _LONGEST else f"{bits[:_LONGEST]}..."
            yield f"  {count / found.shots:.2%}", shown
    if entropy.coverage == 0:
        yield "entropy", f"above {entropy.plug_in:.2f} nats; unknown, as no configuration repeats"
    else:
        bias = f"may be up to {entropy.unseen:.2g} too low"
        yield "entropy", f"{entropy.value:.4f} ± {entropy.error:.4f} nats; {bias}"
    error = float(found.magnetization_error.max())
    errors = f"errors up to {error:.1g}" if math.isfinite(error) else "errors unknown"
    yield f"<{found.basis}> of a site", f"{_range(z, 'site')}, {errors}"
    yield "<|m|>", f"{found.abs_magnetization:.5f}"
    up, down = f"{found.up} shots with more zeros", f"{found.down} with more ones"
    yield "Z2 symmetry", f"{up}, {down} (p = {found.z2_p_value:.2g})"
    if found.sites > 1:
        yield "neighbours", f"C from {_range(found.neighbours, 'bond')}"
    order = "cannot be tested"
    if (other := found.ordering) is not None:
        order = "consistent: neighbours are the most strongly correlated pairs"
        if other.sigmas:
            order = f"another order fits better by {other.sigmas:.1f} σ (p = {other.p_value:.1g})"
    yield "site order", order
    yield (
        "repeats",
        f"{repeats.found[0]} shots equal the previous one, {repeats.expected[0]:.1f} expected by "
        f"chance (p = {repeats.p_value[0]:.2g})",
    )
    yield "memory", f"p = {found.memory_p_value:.2g} over all sites"
    yield "drift", f"p = {found.drift_p_value:.2g} over all sites"


def _range(values: Float64, word: str) -> str:
    low, high = int(values.argmin()), int(values.argmax())
    return (
        f"{values[low]:+.4f} ({word} {low}) to {values[high]:+.4f} ({word} {high}), mean "
        f"{values.mean():+.4f}"
    )


def _origin(provenance: Mapping[str, Any]) -> str:
    """The provenance in one line, without lists."""
    parts = []
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {item}" for name, item in value.items())
        if value not in ("", None) and not isinstance(value, list):
            parts.append(f"{key}: {value}")
    return "; ".join(parts) or "unknown"


def _state(found: StateDescription) -> Rows:
    model = f"transverse-field Ising chain, J = {found.coupling:g}, h = {found.field:g}"
    yield "model", model if math.isfinite(found.field) else "unknown Hamiltonian"
    bond = max(found.bond_dimensions)
    yield "bond dimension", f"up to {bond}; {found.free_parameters} free parameters"
    energy, exact = (number(each, ".10f") for each in (found.energy, found.exact_energy))
    yield "energy", f"{energy}; exact {exact}; variance {number(found.energy_variance, '.1e')}"
    yield "truncation", f"largest discarded weight {found.truncation_error:.1e}"
    z = found.magnetization
    yield "<Z> of a site", f"{z.min():+.2e} to {z.max():+.2e}"
    yield "<|m|>", f"{found.abs_magnetization:.8f}"
    yield "<Z Z>", f"{found.neighbours:.8f}, mean over nearest neighbours"


def _rbm(found: RBMDescription) -> Rows:
    units = found.weights_by_hidden
    yield (
        "weights",
        f"{found.weights} of {found.visible * found.hidden} ({found.density:.1%}); "
        f"{units.min()} to {units.max()} per hidden unit; {found.parameters} parameters",
    )
    yield "graph", f"{found.components} component{'' if found.components == 1 else 's'}"
    for name, values in found.ranges.items():
        low, middle, high = (number(value, "+.4g") for value in values)
        yield name, f"{low} to {high}, median {middle}"
    if found.clusters is not None:
        share = f"{found.clusters} of {found.hidden} hidden units"
        yield "clusters", f"in {share} (at most 5 % expected by chance)"
    for name, value in found.measures.items():
        yield name, f"{value:.6g}"
    yield "source", _origin(found.provenance)


def _dataset(found: DatasetDescription) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in found.sizes.items())
    table = [["variable", "dimensions", "min", "max", "missing", "units", "meaning"]]
    for each in found.variables:
        low, high = number(each.least, ".4g"), number(each.largest, ".4g")
        missing = f"{each.missing:.0%}" if each.missing else ""
        cells = [
            each.name,
            ", ".join(each.dimensions),
            low,
            high,
            missing,
            each.units,
            each.meaning,
        ]
        table.append([cell or "-" for cell in cells])
    return "\n".join(
        [
            f"{found.source}: dataset of kind '{found.kind}' with dimensions {sizes}",
            *_lines([(name, str(value)) for name, value in found.attributes.items()]),
            align(table),
        ]
    )


def _run(found: RunDescription) -> str:
    command = f"psiprune {found.command}" if found.command else "an unknown command"
    total = len(found.done) + len(found.missing)
    use = "a process is writing to it" if found.running else "not in use"
    facts = facts_of(found.provenance).items()
    rows = [
        ("files", f"{found.files}, {found.bytes / 1e6:.1f} MB; {use}"),
        ("source", _origin(found.provenance)),
        *(item for item in facts if item[0] not in found.provenance),
        ("complete", f"{len(found.done)} of {total} expected files exist" if total else "unknown"),
    ]
    if found.missing:
        more = len(found.missing) - _MOST
        rest = f" and {more} more" if more > 0 else ""
        rows.append(("missing", ", ".join(found.missing[:_MOST]) + rest))
    if found.resume:
        rows.append(("resume", found.resume))
    warnings = [f"warning: damaged: {file}: {why}" for file, why in found.damaged]
    settings = ["settings:", *_lines(list(_flat(found.config)))]
    return "\n".join([f"{found.source}: run of {command}", *_lines(rows), *warnings, *settings])


def _flat(config: Mapping[str, Any], prefix: str = "") -> Rows:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name.ljust(width)}  {text}".rstrip() for name, text in rows]


def _plain(value: Any) -> Any:
    """Dataclasses, named tuples and arrays as dictionaries and lists."""
    match value:
        case np.ndarray():
            return value.tolist()
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return _plain(value._asdict())
        case tuple() | list():
            return [_plain(item) for item in value]
        case np.generic():
            return value.item()
    return _plain(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value
