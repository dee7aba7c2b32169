"""Judge a run of the paper by its datasets alone: claims, headlines, Table I, and their files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import write_bytes
from psiprune.io.run import read_provenance
from psiprune.paper.banner import banner, banner_markdown
from psiprune.paper.claims.base import Datasets, Judged
from psiprune.paper.claims.judge import (
    claims_markdown,
    claims_numbers,
    claims_text,
    counts,
    judge,
)
from psiprune.paper.claims.robust import (
    robustness_markdown,
    robustness_numbers,
    robustness_text,
)
from psiprune.paper.headlines import headlines, headlines_numbers
from psiprune.paper.kept import copy_paper, read_paper
from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import TIMES, read_times
from psiprune.paper.tables import schedule_numbers
from psiprune.reporting.page import Headline

#: The table that can be made alone, like the figures.
TABLE = "table1"
#: The verdicts for RBMs trained otherwise, among the numbers.
ROBUSTNESS = "robustness"
#: The verdicts with all their numbers, in the folder of a run.
CLAIMS = "claims.json"
#: Largest relative difference of equal numbers: kept datasets have 24 bits.
_SAME = 1e-4
#: Differences that a text lists.
_MOST = 10


class Outcome(NamedTuple):
    """What a command reports: a text, the same as plain numbers, and what it wrote beside that."""

    text: str
    numbers: dict[str, Any]
    written: str = ""


class Judgement(NamedTuple):
    """The claims with their verdicts, the numbers to read first, and all of it as plain numbers."""

    judged: Sequence[Judged]
    headlines: Sequence[Headline]
    numbers: dict[str, Any]

    @property
    def text(self) -> str:
        """The headlines, the verdicts in a table, and those for other trainings."""
        parts = [
            "\n".join(f"{each.number.shown}  {each.meaning.text}" for each in self.headlines),
            claims_text(self.judged),
        ]
        if self.numbers[ROBUSTNESS]:
            parts.append(robustness_text(self.judged))
        return "\n\n".join(parts)


def judge_datasets(datasets: Datasets) -> Judgement:
    """Judge all claims by the datasets of a run.

    Returns:
        `numbers` has headlines, counts, claims, robustness and table1.
    """
    judged = judge(datasets)
    first = headlines(datasets, judged)
    numbers = {
        "headlines": headlines_numbers(first),
        "counts": counts(judged),
        "claims": claims_numbers(judged),
        ROBUSTNESS: robustness_numbers(judged),
        TABLE: schedule_numbers(datasets["study"]),
    }
    return Judgement(judged, first, numbers)


def write_claims(folder: Path, settings: PaperSettings, judgement: Judgement) -> None:
    """Write claims.json and claims.md into the folder of a run or a copy of it.

    Raises:
        InputError: its provenance or its times are damaged.
        OSError: the folder cannot be written.
    """
    provenance = read_provenance(folder / "provenance.json")
    content = {"provenance": provenance, **judgement.numbers}
    text = json.dumps(content, indent=2, allow_nan=False)
    write_bytes(folder / CLAIMS, f"{text}\n".encode())
    facts = banner(settings, read_times(folder / TIMES), provenance)
    parts = [banner_markdown(facts), claims_markdown(judgement.judged)]
    if judgement.numbers[ROBUSTNESS]:
        parts += ["## Trained in other ways\n", robustness_markdown(judgement.judged)]
    write_bytes(folder / "claims.md", "\n".join(parts).encode())


def judge_folder(folder: Path) -> Outcome:
    """Judge a finished run, or a copy of it, from its datasets, and compare with its claims.json.

    Nothing is trained and nothing written.

    Returns:
        `numbers` has those of `judge_datasets`, "equal" and "differences", one text each.

    Raises:
        InputError: the folder holds no finished run of this version, or a file is damaged.
    """
    paper = read_paper(folder)
    provenance = read_provenance(folder / "provenance.json")
    facts = banner(paper.settings, read_times(folder / TIMES), provenance)
    made, ours = provenance["psiprune"], version("psiprune")
    if made != ours:
        facts["version"] = f"made by psiprune {made}, judged by {ours}, whose rules may differ"
    try:
        judgement = judge_datasets(paper.datasets)
    except KeyError as error:
        raise InputError(
            f"{folder}: a dataset lacks {error}; it was made by psiprune {made}, this is {ours}"
        ) from None
    head = "\n".join(f"{name}: {value}" for name, value in facts.items())
    found = list(differences(judgement.numbers, read_claims(folder)))
    lines = [f"{folder / CLAIMS}: the same verdicts and numbers"]
    if found:
        lines = [f"{folder / CLAIMS}: {len(found)} differences", *(f"  {d}" for d in found[:_MOST])]
    numbers = {**judgement.numbers, "equal": not found, "differences": found}
    return Outcome("\n\n".join(["\n".join(lines), head, judgement.text]), numbers)


def keep_paper(run: Path, folder: Path) -> list[str]:
    """Keep a small copy of a finished run in an empty folder, with the claims judged by it.

    Returns:
        What differs between its claims.json and that of the run.

    Raises:
        InputError: the run is not finished, or a file in it is damaged.
        OSError: the folder cannot be written.
    """
    copy_paper(run, folder)
    paper = read_paper(folder)
    judgement = judge_datasets(paper.datasets)
    write_claims(folder, paper.settings, judgement)
    return list(differences(judgement.numbers, read_claims(run)))


def read_claims(folder: Path) -> dict[str, Any]:
    """Return the content of a run's claims.json.

    Raises:
        InputError: it is missing or damaged.
    """
    file = folder / CLAIMS
    try:
        found = dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{file}: cannot be read: {error}; psiprune paper writes it at the end of a run"
        ) from None
    found.pop("provenance", None)
    return found


def differences(found: Any, kept: Any, where: str = "") -> Iterator[str]:
    """Iterate over what differs between two JSON values: "claims/pm-over-half/verdict: ...".

    Numbers are the same if they differ by at most 1e-4, relative to the larger.
    """
    if isinstance(found, Mapping) and isinstance(kept, Mapping):
        for name in dict.fromkeys([*kept, *found]):
            yield from differences(found.get(name), kept.get(name), f"{where}/{name}".strip("/"))
    elif isinstance(found, list) and isinstance(kept, list):
        yield from differences(_by_key(found), _by_key(kept), where)
    elif not _same(found, kept):
        yield f"{where}: {json.dumps(kept)} before, now {json.dumps(found)}"


def _by_key(rows: list[Any]) -> dict[str, Any]:
    """Name the rows of a list by their keys, or else by their numbers."""
    return {
        str(row.get("key", k) if isinstance(row, Mapping) else k): row for k, row in enumerate(rows)
    }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_SAME)
    return bool(one == other)
