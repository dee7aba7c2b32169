"""Whether shots in several bases determine a state with phases, and which bases would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psiprune.core.repr import notebook_table
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots
from psiprune.metrics.phase_held_out import BasisFit, held_out_by_basis, split_by_basis
from psiprune.metrics.phase_information import (
    PhaseInformation,
    candidate_bases,
    distinguishing_bases,
    phase_information,
    suggested_bases,
)
from psiprune.rbm.phase import PhaseRBM
from psiprune.reporting.tables import Column, table
from psiprune.training.phase_starts import PhaseUnits
from psiprune.training.phases import (
    EPOCHS,
    SAME_STATE,
    STARTS,
    agreement_of,
    independent_fits,
    rival_of,
)

#: Mean infidelity and deviation of held-out shots up to which a state counts as determined.
_INFIDELITY, _DEVIATION = 0.1, 4.0
_FITS: tuple[Column, ...] = (
    ("nats below the likeliest", "nats", ".2f"),
    ("fidelity with it", "fidelity", ".4f"),
)
#: Columns of held-out shots by basis.
BASES: tuple[Column, ...] = (
    ("basis", "basis", ""),
    ("shots", "shots", ",d"),
    ("nats per shot", "log_likelihood", ".4f"),
    ("of the state", "expected", ".4f"),
    ("σ", "z", "+.1f"),
)
_SUGGESTED: tuple[Column, ...] = (("basis", "basis", ""), ("infidelity then", "value", ".4f"))
_APART: tuple[Column, ...] = (("basis", "basis", ""), ("nats per shot", "value", ".4f"))


@notebook_table("determined", "agreement", "infidelity", "held_out", "suggested")
@dataclass(frozen=True, eq=False)
class Identifiability:
    """Whether shots determine a state with phases.

    Attributes:
        fits: (nats below the likeliest on all training shots, fidelity with it) of each fit.
        agreement: least fidelity of the likeliest with those within 2 nats of it, see
            `psiprune.training.phases.agreement_of`.
        held_out: how the likeliest describes held-out shots of each basis.
        information: fractions of the information about the state that the shots carry.
        infidelity: mean infidelity of a fit to so many shots, by these fractions.
        suggested: bases that would lower it most, each with the infidelity then, for a tenth of the
            shots more in each, one after the other.
        distinguishing: bases that tell the likeliest and the most different of the equally likely
            fits and mirror images (`psiprune.training.mirror_images`) apart, with nats per shot;
            empty where these agree.
        rbm: the likeliest fit to the training part of the shots.
    """

    fits: tuple[tuple[float, float], ...]
    agreement: float
    held_out: tuple[BasisFit, ...]
    information: PhaseInformation
    infidelity: float
    suggested: tuple[tuple[str, float], ...]
    distinguishing: tuple[tuple[str, float], ...]
    rbm: PhaseRBM

    @property
    def determined(self) -> bool:
        """Whether the fits agree (0.9), infidelity is at most 0.1, and no basis deviates by 4."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the state is not determined; empty if it is."""
        found = []
        if not self.agreement >= SAME_STATE:
            found.append(f"the agreement is below {SAME_STATE:g}")
        if not self.infidelity <= _INFIDELITY:
            found.append(f"the infidelity is above {_INFIDELITY:g}")
        worst = max(self.held_out, key=lambda fit: abs(fit.z), default=None)
        if worst is not None and not abs(worst.z) <= _DEVIATION:
            found.append(f"held-out shots in {worst.basis} deviate by {worst.z:+.1f} σ")
        return tuple(found)

    def __repr__(self) -> str:
        """Return the result in one line."""
        word = "determined" if self.determined else "not determined"
        return (
            f"Identifiability({word}: agreement {self.agreement:.4f}, infidelity "
            f"{self.infidelity:.3g}, {len(self.held_out)} bases)"
        )

    def __str__(self) -> str:
        """Return the answer and all numbers as tables."""
        answer = "The shots determine the state" if self.determined else "Not determined"
        parts = [
            f"{answer}: agreement {self.agreement:.4f} of equally likely states, infidelity "
            f"{self.infidelity:.3g} to expect" + "".join(f"\n{each}" for each in self.reasons),
            _under("Fits", _FITS, self.fits),
            f"Held-out shots\n{table(BASES, [fit._asdict() for fit in self.held_out])}",
        ]
        if self.suggested:
            title = "A tenth of the shots more in these bases, one after the other"
            parts.append(_under(title, _SUGGESTED, self.suggested))
        if self.distinguishing:
            title = "Bases that tell the equally likely states apart"
            parts.append(_under(title, _APART, self.distinguishing))
        return "\n\n".join(parts)


def _under(title: str, columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> str:
    keys = [key for _, key, _ in columns]
    return f"{title}\n{table(columns, [dict(zip(keys, row, strict=True)) for row in rows])}"


def identifiability(
    shots: Shots,
    *,
    hidden: int | None = None,
    phase_hidden: int | None = None,
    starts: int = STARTS,
    epochs: int = EPOCHS,
    held_out: float = 0.2,
    seed: int = 0,
    progress: bool = True,
) -> Identifiability:
    """Find out whether shots in several bases determine a state, and which bases would help.

    Fits to four fifths of the shots start from independent weights. Where equally likely ones are
    different states, the bases do not tell these apart, however many the shots. Where they agree,
    the Fisher information says how well so many shots determine the state, in theory; held-out
    shots say whether the state describes each basis.

    Args:
        shots: shots with a basis each, up to 16 sites.
        hidden: as in `train_phases`.
        phase_hidden: as in `train_phases`.
        starts: independent fits, at least 2: whether they agree is what they show.
        epochs: the most steps of each.
        held_out: fraction of the shots of each basis that the fits do not see.
        seed: of the initial weights and of the split.
        progress: show a progress bar.

    Raises:
        InputError: as in `train_phases`, or a number is out of range.
    """
    check_count("starts", starts, 2)
    training, test = split_by_basis(shots, held_out, seed)
    fits = independent_fits(
        training,
        PhaseUnits(hidden, phase_hidden),
        starts=starts,
        epochs=epochs,
        seed=seed,
        progress=progress,
    )
    best, number = fits[0], len(training)
    compared = [
        ((best.log_likelihood - fit.log_likelihood) * number, best.rbm.fidelity(fit.rbm))
        for fit in fits
    ]
    rival = rival_of(fits)
    agreement = agreement_of(fits)
    data, candidates = best.data, candidate_bases(shots.sites)
    information = phase_information(best.rbm, data.bases, data.shots / number, data.readout)
    suggested = suggested_bases(best.rbm, information, number, candidates, readout=data.readout)
    distinguishing = []
    if rival.fidelity < SAME_STATE:
        distinguishing = distinguishing_bases(
            best.rbm.vector, rival.vector, candidates, readout=data.readout
        )
    return Identifiability(
        fits=tuple(compared),
        agreement=agreement,
        held_out=tuple(held_out_by_basis(best.rbm, test)),
        information=information,
        infidelity=information.infidelity(number),
        suggested=tuple(suggested),
        distinguishing=tuple(distinguishing),
        rbm=best.rbm,
    )
