"""Descriptions of files and run folders as text and as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psiprune.core.settings import flat
from psiprune.core.text import counted, escape
from psiprune.data.basis_diagnostics import BasesDescription
from psiprune.data.diagnostics import ShotsDescription
from psiprune.data.pauli_bases import LETTERS
from psiprune.data.repeats import Repeats
from psiprune.inspect.descriptions import (
    DatasetDescription,
    Description,
    Float64,
    RBMDescription,
    RunDescription,
    StateDescription,
)
from psiprune.io.provenance import facts_of
from psiprune.reporting.readout_tables import readout_rows
from psiprune.reporting.tables import align, number

Rows = Iterator[tuple[str, str]]
_MOST_BASES, _LONGEST_BASIS = 12, 20  # bases that are listed, and characters of their names
_MOST_MEANS = 6  # sites up to which the means of a basis are listed
_LONGEST = 60  # characters of a printed configuration
_MOST = 5  # missing files that are named


def description_text(description: Description) -> str:
    """Format a headline, one line per property, one line per warning."""
    match description:
        case ShotsDescription():
            head = (
                f"{counted(description.shots, 'shot')} of {counted(description.sites, 'site')} "
                f"in basis {description.basis}"
            )
            rows = _shots(description)
        case BasesDescription():
            several = len(description.bases)
            count = f"{several} bases" if several > 1 else f"basis {description.bases[0]}"
            size = f"{counted(description.shots, 'shot')} of {counted(description.sites, 'site')}"
            head = f"{size} in {count}"
            rows = _bases(description)
        case StateDescription():
            phases = " with phases" if description.is_complex else ""
            head = f"matrix product state{phases} of {counted(description.sites, 'site')}"
            rows = _state(description)
        case RBMDescription():
            hidden = counted(description.hidden, "hidden unit")
            head = f"RBM of {description.visible} visible and {hidden}"
            rows = _rbm(description)
        case DatasetDescription():
            return _dataset(description)
        case RunDescription():
            return _run(description)
    warnings = [escape(f"warning: {each.name}: {each.line}") for each in description.warnings]
    return "\n".join([f"{escape(description.source)}: {head}", *_lines(list(rows)), *warnings])


def description_numbers(description: Description) -> dict[str, Any]:
    """Return the same for JSON, with every site and bond: all fields, and the kind as `what`."""
    kind = type(description).__name__.removesuffix("Description").lower()
    return {"what": kind, **_plain(vars(description))}


def _shots(shots: ShotsDescription) -> Rows:
    z, entropy, repeats = shots.magnetization, shots.entropy, shots.repeats
    yield "source", _origin(shots.provenance)
    yield (
        "configurations",
        f"{shots.distinct} distinct; {shots.unique / shots.shots:.1%} of the shots occur once",
    )
    for bits, count in shots.frequent:
        if count > 1:
            shown = bits if len(bits) <= _LONGEST else f"{bits[:_LONGEST]}..."
            yield f"  {count / shots.shots:.2%}", shown
    if entropy.coverage == 0:
        yield "entropy", f"above {entropy.plug_in:.2f} nats; unknown, as no configuration repeats"
    elif entropy.value > (most := math.log(2) * (shots.sites - len(shots.constant))):
        estimate = f"the estimate {entropy.value:.4f} ± {entropy.error:.4f} exceeds it"
        yield "entropy", f"{most:.4f} nats, the largest possible; {estimate}"
    else:
        bias = f"may be up to {entropy.unseen:.2g} too low"
        yield "entropy", f"{entropy.value:.4f} ± {entropy.error:.4f} nats; {bias}"
    error = float(shots.magnetization_error.max())
    errors = f"errors up to {error:.1g}" if math.isfinite(error) else "errors unknown"
    yield f"<{shots.basis}> of a site", f"{_range(z, 'site')}, {errors}"
    yield "<|m|>", f"{shots.abs_magnetization:.5f}"
    up, down = f"{counted(shots.up, 'shot')} with more zeros", f"{shots.down} with more ones"
    varying = shots.sites - len(shots.constant)
    among = f" among the {counted(varying, 'site')} that vary" if shots.constant else ""
    test = f"{up}, {down}{among} (p = {shots.z2_p_value:.2g})"
    yield "Z2 symmetry", test if varying else "cannot be tested, as no site varies"
    if shots.sites > 1:
        yield "neighbours", f"C from {_range(shots.neighbours, 'bond')}"
    order = "cannot be tested"
    if (other := shots.ordering) is not None:
        order = "consistent: neighbours are the most strongly correlated pairs"
        if other.sigmas:
            order = f"another order fits better by {other.sigmas:.1f} σ (p = {other.p_value:.1g})"
    yield "site order", order
    yield "repeats", _repeated(repeats, "")
    yield "memory", f"p = {shots.memory_p_value:.2g} over all sites"
    if shots.inefficiency > 1:
        yield "independent", f"about {shots.shots / shots.inefficiency:.0f} of {shots.shots} shots"
    yield "drift", f"p = {shots.drift_p_value:.2g} over all sites"
    if shots.readout is not None:
        yield from readout_rows(shots.readout, shots.basis)


def _repeated(repeats: Repeats, where: str) -> str:
    """Say how many shots equal the one before, and how many would by chance."""
    verb = "equals" if repeats.observed[0] == 1 else "equal"
    return (
        f"{counted(repeats.observed[0], 'shot')} {verb} the previous one{where}, "
        f"{repeats.expected[0]:.1f} expected by chance (p = {repeats.p_value[0]:.2g})"
    )


def _bases(shots: BasesDescription) -> Rows:
    yield "source", _origin(shots.provenance)
    fewest, most = int(shots.shots_in.min()), int(shots.shots_in.max())
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    yield "shots of a basis", each
    for k in range(min(_MOST_BASES, len(shots.bases))):
        name, means = shots.bases[k], shots.means[k]
        shown = name if len(name) <= _LONGEST_BASIS else f"{name[:_LONGEST_BASIS]}..."
        if shots.sites <= _MOST_MEANS:
            text = " ".join(f"{mean:+.4f}" for mean in means)
        else:
            text = _range(means, "site")
        yield f"  {shown}", f"{counted(shots.shots_in[k], 'shot')}, means {text}"
    if len(shots.bases) > _MOST_BASES:
        yield "  ...", f"{len(shots.bases) - _MOST_BASES} more; --json lists all"
    for letter, means in zip(LETTERS, shots.by_letter, strict=True):
        known = np.flatnonzero(np.isfinite(means))
        if len(known):
            low, high = known[means[known].argmin()], known[means[known].argmax()]
            yield (
                f"<{letter}> of a site",
                f"{means[low]:+.4f} (site {low}) to {means[high]:+.4f} (site {high}), measured at "
                f"{len(known)} of {counted(shots.sites, 'site')}",
            )
    if shots.comparisons:
        yield (
            "same means",
            f"p = {shots.marginals_p_value:.2g} over {shots.comparisons} means of a site that "
            "several bases measure",
        )
    else:
        yield "same means", "cannot be tested: no two bases share a letter at a site"
    yield "repeats", _repeated(shots.order.repeats, " in their basis")
    yield "memory", f"p = {shots.order.memory_p_value:.2g} over all sites"
    yield "drift", f"p = {shots.order.drift_p_value:.2g} over all sites and bases"
    if shots.readout is not None:
        yield from readout_rows(shots.readout, "operator")


def _range(values: Float64, word: str) -> str:
    low, high = int(values.argmin()), int(values.argmax())
    return (
        f"{values[low]:+.4f} ({word} {low}) to {values[high]:+.4f} ({word} {high}), mean "
        f"{values.mean():+.4f}"
    )


def _origin(provenance: Mapping[str, Any]) -> str:
    """Format the provenance in one line, without lists."""
    parts = []
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {item}" for name, item in value.items())
        if key == "training_warnings":
            continue  # printed as warnings
        if key == "source" and Path(str(value)).name == provenance.get("file"):
            continue  # of an imported file, which is named already
        if value not in ("", None) and not isinstance(value, list):
            parts.append(f"{key}: {value}")
    return "; ".join(parts) or "unknown"


def _state(state: StateDescription) -> Rows:
    yield "model", state.model
    bond = max(state.bond_dimensions)
    yield "bond dimension", f"up to {bond}; {state.free_parameters} free parameters"
    energy, exact = (number(each, ".10f") for each in (state.energy, state.exact_energy))
    known = f"exact {exact}; " if math.isfinite(state.exact_energy) else ""
    variance = number(state.energy_variance, ".1e")
    spread = f"; {known}variance {variance}" if math.isfinite(state.energy_variance) else ""
    yield "energy", f"{energy}{spread}"
    yield "truncation", f"largest discarded weight {state.truncation_error:.1e}"
    z = state.magnetization
    rounded = bool(np.abs(z).max() < 1e-12)
    yield "<Z> of a site", "0" if rounded else f"{z.min():+.2e} to {z.max():+.2e}"
    yield "<|m|>", f"{state.abs_magnetization:.8f}"
    yield "<Z Z>", f"{state.neighbours:.8f}, mean over nearest neighbours"


def _rbm(rbm: RBMDescription) -> Rows:
    units = rbm.weights_by_hidden
    yield (
        "weights",
        f"{rbm.weights} of {rbm.visible * rbm.hidden} ({rbm.density:.1%}); "
        f"{units.min()} to {units.max()} per hidden unit; {rbm.parameters} parameters",
    )
    yield "graph", f"{rbm.components} component{'' if rbm.components == 1 else 's'}"
    for name, values in rbm.ranges.items():
        low, middle, high = (number(value, "+.4g") for value in values)
        yield name, f"{low} to {high}, median {middle}"
    if rbm.clusters is not None:
        share = f"{rbm.clusters} of {rbm.hidden} hidden units"
        yield "clusters", f"in {share} (at most 5 % expected by chance)"
    for name, value in rbm.measures.items():
        if value != "":  # no warning
            yield name, value if isinstance(value, str) else f"{value:.6g}"
    yield "source", _origin(rbm.provenance)


def _dataset(dataset: DatasetDescription) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in dataset.sizes.items())
    table = [["variable", "dimensions", "min", "max", "missing", "units", "meaning"]]
    for variable in dataset.variables:
        low, high = number(variable.least, ".4g"), number(variable.largest, ".4g")
        missing = f"{variable.missing:.0%}" if variable.missing else ""
        cells = [
            variable.name,
            ", ".join(variable.dimensions),
            low,
            high,
            missing,
            variable.units,
            variable.meaning,
        ]
        table.append([cell or "-" for cell in cells])
    return "\n".join(
        [
            escape(f"{dataset.source}: dataset of kind '{dataset.kind}' with dimensions {sizes}"),
            *_lines([(name, str(value)) for name, value in dataset.attributes.items()]),
            align(table),
        ]
    )


def _run(run: RunDescription) -> str:
    command = f"psiprune {run.command}" if run.command else "an unknown command"
    total = len(run.done) + len(run.missing)
    use = "a process is writing to it" if run.running else "not in use"
    facts = facts_of(run.provenance).items()
    rows = [
        ("files", f"{run.files}, {run.bytes / 1e6:.1f} MB; {use}"),
        ("source", _origin(run.provenance)),
        *(item for item in facts if item[0] not in run.provenance),
        ("complete", f"{len(run.done)} of {total} expected files exist" if total else "unknown"),
    ]
    if run.missing:
        more = len(run.missing) - _MOST
        rest = f" and {more} more" if more > 0 else ""
        rows.append(("missing", ", ".join(run.missing[:_MOST]) + rest))
    if run.resume:
        rows.append(("resume", run.resume))
    answered = run.result and not run.result[-1].endswith((".nc", ".html", ".parquet"))
    answer = [*map(escape, run.result), ""] if answered else []
    rows += [("result", each) for each in run.result if not answer]
    warnings = [escape(f"warning: damaged: {file}: {why}") for file, why in run.damaged]
    settings = ["settings:", *_lines([(key, str(value)) for key, value in flat(run.config)])]
    return "\n".join(
        [f"{escape(run.source)}: run of {command}", *answer, *_lines(rows), *warnings, *settings]
    )


def _lines(rows: Sequence[tuple[str, str]]) -> list[str]:
    rows = [(escape(name), escape(text)) for name, text in rows]
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name.ljust(width)}  {text}".rstrip() for name, text in rows]


def _plain(value: Any) -> Any:
    """Convert dataclasses, named tuples and arrays to dictionaries and lists."""
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
