"""The command `calibrate`: readout errors from shots of prepared basis states."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from psiprune.cli.app import Flat, Out, chosen_format, command_line, new_file, show
from psiprune.cli.options import Json
from psiprune.core.exceptions import InputError
from psiprune.data.formats.settings import ReadSettings
from psiprune.io.paths import JSON, check_suffix

if TYPE_CHECKING:
    from psiprune.data.shots import Shots

#: Prepared states of any number of sites.
_SHORT = {"all0": "0", "all1": "1"}


def calibrate_command(
    *states: str,
    out: Out,
    groups: str | None = None,
    format: str | None = None,
    settings: Annotated[ReadSettings | None, Flat] = None,
    json: Json = False,
) -> None:
    """Estimate readout errors from shots of prepared basis states.

    Prepare all qubits in 0, then all in 1, and measure each a few thousand times: psiprune
    calibrate all0=zeros.txt all1=ones.txt -o readout.json. Then give --readout readout.json to the
    commands that read your shots.

    Args:
        states: STATE=FILE for each prepared state: a bit string, site 0 first, or all0 or all1, and
            the shots measured after it, in any format that psiprune import reads
        out: JSON file to write the errors to
        groups: sites that are read together, such as 0-1,2-3; each group of k sites needs shots of
            all its 2^k states; default: each site by itself
        format: format of the shots, as in psiprune import (default: detected)
    """
    from psiprune.cli.convert import check_different
    from psiprune.data.calibration import calibrate_readout
    from psiprune.data.join_shots import join_shots
    from psiprune.data.read_shots import read_shots
    from psiprune.io.netcdf import write_bytes
    from psiprune.reporting.readout_tables import (
        calibration_table,
        rates_text,
        readout_numbers,
    )
    from psiprune.reporting.tables import wrap

    check_suffix(out, JSON)
    pairs = [_state_and_file(text) for text in states]
    check_different([file for _, file in pairs])
    joined = _groups(groups)
    form, given = chosen_format(format, settings)
    with new_file(out):
        prepared: dict[str, list[Shots]] = {}
        for name, file in pairs:
            shots = replace(read_shots(file, form, **given), readout=None)
            state = _SHORT[name] * shots.sites if name in _SHORT else name
            prepared.setdefault(state, []).append(shots)
        error = calibrate_readout(
            {state: join_shots(parts) for state, parts in prepared.items()},
            joined,
            source=f"calibration shots in {', '.join(str(file) for _, file in pairs)}",
        )
        content = json_format.dumps(error.to_json(), indent=1)
        write_bytes(out, f"{content}\n".encode())
    number = sum(len(shots) for parts in prepared.values() for shots in parts)
    numbers = {
        "file": str(out),
        "sites": error.sites,
        "states": len(prepared),
        "shots": number,
        **readout_numbers(error),
    }
    first = (
        f"{error.sites} sites, {number} shots of {len(prepared)} prepared states: "
        f"{rates_text(error)}"
    )
    text = f"{wrap(first)}\n\n{calibration_table(error)}\n\n{out}: readout errors"
    show(numbers, text, json, command_line("reconstruct", "SHOTS", "--readout", out))


def _state_and_file(text: str) -> tuple[str, Path]:
    """Parse STATE=FILE."""
    state, _, file = text.partition("=")
    if not file or not (state in _SHORT or (state and not state.strip("01"))):
        raise InputError(
            f"states: each must be STATE=FILE with the prepared bit string, site 0 first, or all0 "
            f"or all1, found {text!r}; for example all0=zeros.txt all1=ones.txt"
        )
    return state, Path(file)


def _groups(text: str | None) -> Sequence[Sequence[int]]:
    """Parse groups of sites such as 0-1,2-3."""
    try:
        return [[int(site) for site in part.split("-")] for part in (text or "").split(",") if text]
    except ValueError:
        raise InputError(
            f"--groups: must be sites joined by - and groups by commas, such as 0-1,2-3, found "
            f"{text!r}"
        ) from None
