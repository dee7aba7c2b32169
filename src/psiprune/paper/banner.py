"""What a run of the paper was: full or quick, seeds, sizes, time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psiprune.paper.settings import PaperSettings
from psiprune.paper.stages import stages_of


def banner(
    settings: PaperSettings, times: Mapping[str, float], provenance: Mapping[str, Any]
) -> dict[str, str]:
    """Return the facts that a reader needs before the results: name -> text.

    Args:
        settings: of the run.
        times: seconds by stage, of those that were timed.
        provenance: of the run.
    """
    sizes = [(settings.sites, settings.seeds)]
    sizes += [(sites, settings.size(sites).seeds) for sites in settings.other_sites]
    fields = ", ".join(f"{field:g}" for field in settings.fields)
    return {
        "run": _kind(settings),
        "qubits": ", ".join(f"{sites} ({seeds} seeds)" for sites, seeds in sorted(sizes)),
        "shots": f"{settings.shots:,} at each field h = {fields}",
        "time": _time([stage.name for stage in stages_of(settings)], times, provenance),
    }


def banner_markdown(facts: Mapping[str, str]) -> str:
    """Format the facts as a line of Markdown."""
    return f"{'; '.join(f'**{name}** {value}' for name, value in facts.items())}.\n"


def _kind(settings: PaperSettings) -> str:
    if settings == PaperSettings():
        return "full (all defaults)"
    if settings == PaperSettings(**PaperSettings.quick()):
        return "quick (--quick)"
    return "with other settings than the defaults"


def _time(stages: list[str], times: Mapping[str, float], provenance: Mapping[str, Any]) -> str:
    known = [times[name] for name in stages if name in times]
    if not known:
        return "not recorded"
    minutes = sum(known) / 60
    taken = f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
    part = "" if len(known) == len(stages) else f" for {len(known)} of {len(stages)} stages"
    machine = ", ".join(
        str(provenance[name]) for name in ("machine", "processor") if name in provenance
    )
    return f"{taken}{part} ({machine})" if machine else f"{taken}{part}"
