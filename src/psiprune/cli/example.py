"""The command `example`, which writes the file of shots that the first pages use."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from psiprune.cli.app import command_line, new_file, show
from psiprune.cli.options import Json


def example_command(out: Path, /, *, json: Json = False) -> None:
    """Write an example file: shots of a chain of 10 spins at its critical point.

    Text with one shot of 0 and 1 per line. The state is the ground state of the transverse-field
    Ising chain at h = J, measured in the Z basis without readout errors.

    Args:
        out: file to write, such as shots.txt
    """
    from psiprune.io.netcdf import write_bytes
    from psiprune.io.paths import TEXT, check_suffix

    check_suffix(out, TEXT)
    content = files("psiprune.data").joinpath("example.txt").read_bytes()
    with new_file(out):
        write_bytes(out, content)
    shots, sites = content.count(b"\n"), content.index(b"\n")
    show(
        {"file": str(out), "shots": shots, "sites": sites},
        f"{out}: {shots} shots of {sites} sites",
        json,
        command_line("info", out),
    )
