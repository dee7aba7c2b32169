"""Contrastive divergence: Gibbs chains that start at the shots of each batch."""

from __future__ import annotations

from typing import ClassVar, Literal

from psiprune.training.contrastive_divergence import ContrastiveDivergence


class CD(ContrastiveDivergence):
    """Contrastive divergence, CD-k: the method of Golubeva & Melko 2022, Section II.

    Chains of k Gibbs steps start at the shots of each batch. They do not cross between separate
    modes of the distribution, so CD gets the probability of each mode wrong: use it to reproduce
    the paper, and `ExactNaturalGradient` or `NaturalGradient` for your own shots.

    Raises:
        InputError: a value is invalid, or CD has no such field.

    Examples:
        >>> import psiprune as pp
        >>> pp.CD(steps=1, epochs=5).learning_rate
        0.1
    """

    method: Literal["cd"] = "cd"

    SUMMARY: ClassVar[str] = "contrastive divergence with chains restarted at the shots"
