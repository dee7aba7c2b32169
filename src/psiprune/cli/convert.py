"""The commands `import` (shots of other programs) and `export` (shots and RBMs for them)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from psiprune.cli.app import Flat, Out, chosen_format, command_line, new_dataset, new_file, show
from psiprune.cli.options import Json, ReadoutOptions, with_readout
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.data.formats.base import read_content
from psiprune.data.formats.bases import names_file
from psiprune.data.formats.settings import ReadSettings

if TYPE_CHECKING:
    from psiprune.data.shots import Shots

_STATE = "qucumber-psi"  # the only format that holds a state


def import_command(
    format: str,
    /,
    *files: Path,
    out: Out,
    settings: Annotated[ReadSettings | None, Flat] = None,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    rows: str | None = None,
    basis: str | None = None,
    modulus: bool = False,
    json: Json = False,
) -> None:
    """Read measured shots of other programs and write them as a file of psiprune.

    Formats: text, qucumber, numpy, hdf5, netcdf, qiskit, cirq, braket, quera, pulser, stim-01,
    stim-b8, stim-r8, stim-hits, stim-dets, stim-ptb64; or auto, which detects it. The format
    qucumber-psi reads the amplitudes of a state, and writes a state. See docs/formats.md.

    Args:
        format: format of the files
        files: files of shots; several are concatenated in this order
        out: file to write the shots to
        rows: shots to keep of all files together, START:STOP:STEP as slices of Python, such as ::2
            (every second one) or :10000 (the first)
        basis: keep the shots in this basis alone: a letter for all sites, such as Z, or a letter
            for each site, site 0 first
        modulus: of a state with phases (qucumber-psi) read |psi| alone
    """
    from psiprune.data.join_shots import join_shots
    from psiprune.data.read_shots import read_shots
    from psiprune.reporting.readout_tables import readout_numbers, readout_text

    if not files:
        raise InputError("files: needs at least one file of shots, found none")
    name, given = chosen_format(format, settings)
    each_given = _for_each(files, given)
    by_bases: dict[Any, list[Path]] = {}  # in other bases the same counts are other shots
    for file, each in zip(files, each_given, strict=True):
        by_bases.setdefault(each.get("bases"), []).append(file)
    for alike in by_bases.values():
        check_different(alike)
    kept = None if rows is None else _slice(rows)
    if name == _STATE:
        for option, value in (("rows", rows), ("basis", basis), ("readout", readout)):
            if value is not None:
                raise InputError(f"--{option}: applies to shots, but {_STATE} reads a state")
        _import_state(files, given, modulus, out, json)
        return
    if modulus:
        raise InputError(f"--modulus: applies to the format {_STATE} alone, found {format}")
    with new_dataset(out):
        parts = [
            read_shots(file, name, **each) for file, each in zip(files, each_given, strict=True)
        ]
        shots, left_out = with_readout(join_shots(parts), readout), Counter[str]()
        if kept is not None:
            total, shots = len(shots), _keep(shots, kept, str(rows))
            left_out[f"not in rows {rows}"] = total - len(shots)
        if basis is not None:
            total, shots = len(shots), _in_basis(shots, basis)
            left_out[f"not in basis {basis}"] = total - len(shots)
        shots.save(out)
    origin = _origin(parts, left_out)
    numbers = {"file": str(out), "shots": len(shots), "sites": shots.sites, **origin}
    text = _import_text(numbers)
    if shots.basis != "Z":
        numbers["bases"] = {name: len(bits) for name, bits in shots.by_basis().items()}
        text += f"; measured in {shots.basis}"
    if shots.readout is not None:
        numbers["readout"] = readout_numbers(shots.readout)
        text += f"; readout errors: {readout_text(shots.readout)}"
    show(numbers, text, json, command_line("info", out))


def _import_state(
    files: Sequence[Path], given: Mapping[str, Any], modulus: bool, out: Path, json: bool
) -> None:
    """Read the amplitudes of one file and write them as a state."""
    from psiprune.states.amplitudes import read_amplitudes

    if len(files) > 1:
        raise InputError(f"files: {_STATE} takes one file, found {len(files)}")
    order = given.get("order", "listed")
    if set(given) - {"order"} or order == "numbered":
        option = next((name for name in given if name != "order"), "order")
        raise InputError(f"{option}: {_STATE} takes --modulus and --order listed or reversed")
    first_site: Literal["highest", "lowest"] = "lowest" if order == "reversed" else "highest"
    with new_dataset(out):
        state = read_amplitudes(files[0], first_site, modulus)
        state.save(out)
    bit_order = f"site 0 is the {first_site} bit of a line's number"
    bond = max(state.bond_dimensions)
    numbers = {"file": str(out), "files": [str(files[0])], "format": _STATE, "sites": state.sites}
    numbers |= {"largest_bond": bond, "modulus": modulus, "bit_order": bit_order}
    what = "state with phases" if state.is_complex else "state"
    what = "modulus of a state" if modulus else what
    text = f"{out}: {what} of {state.sites} sites, bond dimension {bond}; {bit_order}"
    show(numbers, text, json, command_line("info", out))


def check_different(files: Sequence[Path]) -> None:
    """Raise `InputError` if two files have the same content: their shots would count twice."""
    seen: dict[str, Path] = {}
    for file in files if len(files) > 1 else ():
        content = hashlib.sha256(read_content(file)).hexdigest()
        other = seen.setdefault(content, file)
        if other is not file:
            raise InputError(
                f"files: {other} and {file} hold the same bytes, so every shot would count twice; "
                "give one of them"
            )


def _slice(rows: str) -> slice:
    """Parse START:STOP:STEP."""
    try:
        start, stop, step = [int(n) if n else None for n in f"{rows}:".split(":")][:3]
        if rows.count(":") in (1, 2) and (step is None or step > 0):
            return slice(start, stop, step)
    except ValueError:
        pass
    raise InputError(
        f"--rows: must be START:STOP or START:STOP:STEP with a step of at least 1, found {rows!r}; "
        "for example ::2 keeps every second shot, :10000 the first 10000"
    )


def _keep(shots: Shots, kept: slice, rows: str) -> Shots:
    """Return the shots in a slice of the record, which the provenance names."""
    if not len(shots.bits[kept]):
        raise InputError(f"--rows: {rows} keeps none of the {len(shots)} shots; keep at least one")
    return replace(shots.take(kept), provenance={**shots.provenance, "rows": rows})


def _for_each(files: Sequence[Path], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of each file: several files take a basis each, or share letters."""
    bases = given.get("bases", ())
    if len(files) == 1 or not bases:
        return [dict(given)] * len(files)
    if len(bases) == 1 and not names_file(bases):
        bases = bases * len(files)
    if len(bases) != len(files):
        raise InputError(
            f"--bases: needs one entry for each of {len(files)} files, a file of bases or letters, "
            f"found {len(bases)}; or import each file with its bases, then join the results: "
            "psiprune import netcdf A.nc B.nc -o AB.nc"
        )
    return [{**given, "bases": (basis,)} for basis in bases]


def _in_basis(shots: Shots, basis: str) -> Shots:
    """Return the shots in one basis, which the provenance names where others are left out."""
    try:
        kept = shots.in_basis(basis)
    except InputError as error:
        raise InputError(f"--basis: {error}") from None
    note = {"basis": basis} if kept is not shots else {}
    return replace(kept, provenance={**shots.provenance, **note})


def _origin(parts: list[Shots], left_out: Counter[str]) -> dict[str, Any]:
    """Return the formats, bit orders and dropped shots of all parts together."""
    dropped = Counter(left_out)
    for part in parts:
        dropped.update(part.provenance.get("dropped", {}))
    formats = [str(part.provenance.get("format", "psiprune")) for part in parts]
    orders = [str(part.provenance.get("bit_order", "as in the file of psiprune")) for part in parts]
    return {
        "files": [part.source for part in parts],
        "format": ", ".join(dict.fromkeys(formats)),
        "dropped": dict(dropped),
        "bit_order": "; ".join(dict.fromkeys(orders)),
    }


def _import_text(numbers: Mapping[str, Any]) -> str:
    count = len(numbers["files"])
    dropped = ", ".join(f"{number} {reason}" for reason, number in numbers["dropped"].items())
    return (
        f"{numbers['file']}: {counted(numbers['shots'], 'shot')} of "
        f"{counted(numbers['sites'], 'site')} from {counted(count, 'file')} of format "
        f"{numbers['format']}; left out: {dropped or 'none'}; {numbers['bit_order']}"
    )


def export_command(format: str, file: Path, /, *, out: Out, json: Json = False) -> None:
    """Write shots or an RBM as a file of another program.

    Shots: text, numpy, qucumber (and NAME_bases.txt beside it), netket, qiskit (counts), stim-b8.
    RBM: numpy, qucumber, netket. State with phases: numpy, qucumber. See docs/formats.md.

    Args:
        format: format to write
        file: file of shots (NetCDF of psiprune, .npy, .npz, or text) or of an RBM, with or without
            phases
        out: file to write; for qucumber .npz, or .pt, which needs torch
    """
    from psiprune.data.export import SHOT_FORMATS, bases_beside, export_shots
    from psiprune.data.read_shots import read_shots
    from psiprune.io.netcdf import kind_of
    from psiprune.rbm.export import RBM_FORMATS, export_rbm
    from psiprune.rbm.phase import load_phase_rbm
    from psiprune.rbm.phase_export import export_phase_rbm
    from psiprune.rbm.serialization import load_rbm

    if format not in {*SHOT_FORMATS, *RBM_FORMATS}:
        known = ", ".join(dict.fromkeys((*SHOT_FORMATS, *RBM_FORMATS)))
        raise InputError(f"format: must be one of {known}, found {format!r}")
    with new_file(out):
        kind = kind_of(file)
        if kind == "phase_rbm":
            both = load_phase_rbm(file)
            export_phase_rbm(both, out, format)
            what: dict[str, Any] = {"kind": kind, "visible": both.visible}
            what |= {"hidden": both.amplitude.hidden, "phase_hidden": both.phase.hidden}
            text = (
                f"state with phases of {counted(both.visible, 'site')}, "
                f"{counted(both.amplitude.hidden, 'hidden unit')} "
                f"for the amplitudes and {both.phase.hidden} for the phases,"
            )
        elif kind == "rbm":
            rbm = load_rbm(file)
            export_rbm(rbm, out, format)
            what = {"kind": "rbm", "visible": rbm.visible, "hidden": rbm.hidden}
            text = f"RBM of {rbm.visible} visible and {counted(rbm.hidden, 'hidden unit')}"
        else:
            shots = read_shots(file)
            if format == "qucumber" and bases_beside(out).exists():
                raise InputError(f"{bases_beside(out)}: exists already; give another name")
            export_shots(shots, out, format)
            if shots.readout is not None:
                tell(
                    f"psiprune: note: {out}: the format {format} cannot hold the readout errors of "
                    f"{file} ({shots.readout.source}); give them by --readout to import it again"
                )
            what = {"kind": "shots", "shots": len(shots), "sites": shots.sites}
            text = f"{counted(len(shots), 'shot')} of {counted(shots.sites, 'site')}"
            if format == "qucumber":
                what["bases"] = str(bases_beside(out))
                text += f", bases in {bases_beside(out)},"
    numbers = {"file": str(out), "format": format, **what}
    then = command_line("info", out) if kind not in ("rbm", "phase_rbm") else ""
    show(numbers, f"{out}: {text} as {format}", json, then)
