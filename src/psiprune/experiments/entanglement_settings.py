"""Settings of the entanglement of pruned RBMs."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from psiprune.core.settings import Seeds
from psiprune.experiments.masks_settings import Kind, MasksSettings


class EntanglementSettings(MasksSettings):
    """Measure entanglement entropies through pruning, and with masks made before training."""

    fields: tuple[float, ...] = Field(
        default=(0.5, 1.0, 2.0),
        min_length=1,
        description="transverse fields h, or with a model values of its field",
    )
    seeds: Seeds = Field(default=10, description="number of RBMs of each kind per field")
    cut: int | None = Field(
        default=None, ge=1, description="number of sites left of the cut (default: N/2)"
    )
    weights_per_site: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1.5, 1.83, 2.28, 2.83, 3.5, 4.28, 5.28, 6.56, 8.0),
        min_length=1,
        description="numbers of weights per site; where so many weights cannot connect all units, "
        "or a dense RBM has no more, there is no RBM",
    )
    kinds: tuple[Kind, ...] | None = Field(
        default=("scale-free", "cluster", "magnitude", "surgeon"),
        description="masks beside the dense RBM",
    )

    def for_size(self) -> Self:
        """Return the settings with methods and the cut resolved by the size."""
        cut = self.sites // 2 if self.cut is None else self.cut
        # In config.toml the cut tells these settings from those of `masks`.
        return super().for_size().model_copy(update={"cut": cut})

    def _check_together(self) -> None:
        super()._check_together()
        if self.cut is not None and self.cut >= self.sites:
            raise ValueError(f"cut: must be less than sites = {self.sites}, found {self.cut}")
        if self.dense_widths is not None and set(self.dense_widths) != set(self.mask_widths):
            raise ValueError(
                "dense_widths: pruned RBMs are compared with dense ones of as many hidden units, "
                f"{self.mask_widths}, found {self.dense_widths}; omit it"
            )
