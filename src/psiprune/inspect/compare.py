"""`compare_runs`: whether the numbers of two runs agree to the bit, or only statistically."""

from __future__ import annotations

import filecmp
import os
from dataclasses import dataclass
from pathlib import Path

from psiprune.core.exceptions import InputError
from psiprune.core.settings import flat
from psiprune.inspect.contents import read_config
from psiprune.io.provenance import why_not_same_bits
from psiprune.io.run import read_provenance


@dataclass(frozen=True)
class RunComparison:
    """Two runs compared.

    Attributes:
        first, second: the folders.
        settings: settings that differ, as "seed: 0 and 1".
        reasons: differences of versions or CPU family that change the last bits; empty if none.
        same, different: numbers of result files (.nc) with equal and other bytes in both runs.
        missing: number of result files that only one of them has.
        verdict: "to the bit" if settings, versions and CPU family are the same, and so are all
            files of both; "damaged or edited" if a file nevertheless differs; "statistically" if
            only the settings are the same; else "other settings".
    """

    first: str
    second: str
    settings: tuple[str, ...]
    reasons: tuple[str, ...]
    same: int
    different: int
    missing: int

    @property
    def verdict(self) -> str:
        """What to expect of the numbers of both runs."""
        if self.settings:
            return "other settings"
        if self.reasons:
            return "statistically"
        return "damaged or edited" if self.different else "to the bit"


def compare_runs(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> RunComparison:
    """Compare two run folders: settings, versions, CPU family, and the bytes of their results.

    With the same settings, versions, vector instructions and BLAS kernels two runs agree to the
    bit, for any number of cores. Otherwise sums are rounded differently, chains take other paths,
    and results agree within their error bars only.

    Raises:
        InputError: a folder contains no run, or its config.toml or provenance.json is damaged.
    """
    folders = Path(first), Path(second)
    for folder in folders:
        if not (folder / "config.toml").exists():
            raise InputError(f"{folder}: contains no run (no config.toml); give two run folders")
    one, other = (dict(flat(read_config(folder))) for folder in folders)
    settings = tuple(
        f"{name}: {one.get(name, '(none)')} and {other.get(name, '(none)')}"
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    )
    reasons = why_not_same_bits(*(read_provenance(each / "provenance.json") for each in folders))
    names = [{file.relative_to(folder) for file in folder.rglob("[!.]*.nc")} for folder in folders]
    shared = names[0] & names[1]
    same = sum(filecmp.cmp(folders[0] / name, folders[1] / name, shallow=False) for name in shared)
    return RunComparison(
        str(first),
        str(second),
        settings,
        reasons,
        same,
        len(shared) - same,
        len(names[0] ^ names[1]),
    )


def comparison_text(runs: RunComparison) -> str:
    """Format a comparison: one line per topic, the verdict last."""
    files = runs.same + runs.different
    only = f"; {runs.missing} more exist in one of the runs only" if runs.missing else ""
    return "\n".join(
        (
            f"{runs.first} and {runs.second}:",
            *_lines("settings", runs.settings or ("the same",)),
            *_lines("bits", runs.reasons or ("the same versions and CPU family",)),
            *_lines("results", (f"{runs.same} of {files} files have equal bytes{only}",)),
            _VERDICTS[runs.verdict],
        )
    )


def _lines(title: str, entries: tuple[str, ...]) -> list[str]:
    return [f"  {title if k == 0 else '':<8}  {entry}" for k, entry in enumerate(entries)]


_VERDICTS = {
    "to the bit": "The runs are reproducible to the bit.",
    "damaged or edited": "The runs should agree to the bit, but files differ: damaged or edited.",
    "statistically": "The runs agree statistically, within error bars, not to the bit.",
    "other settings": "The runs have other settings, so their numbers need not agree.",
}
