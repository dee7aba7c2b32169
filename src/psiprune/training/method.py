"""Base class of the training methods: settings, `init` and `step`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from psiprune.core.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from psiprune.data.shots import Shots
    from psiprune.rbm.model import RBM

Initial = Literal["random", "local", "coded"]
#: flip: p(v) = p(1 - v). mirror: p(v) is the same with the order of sites reversed. lattice: it is
#: under all isometries of the positions of sites.
SymmetryName = Literal["flip", "mirror", "flip-mirror", "lattice", "flip-lattice"]
#: found: that which `find_symmetry` finds in the shots.
SymmetryChoice = Literal["flip", "mirror", "flip-mirror", "lattice", "flip-lattice", "found"]
#: Description of the field `weight_decay`, which has one meaning in all methods.
WEIGHT_DECAY = "L2 penalty on the weights, not on the biases, in nats per shot"
#: The same of the field `symmetry`.
SYMMETRY = (
    "symmetry of the state that the parameters are tied to: all bits flipped, the order of sites "
    "reversed (mirror), all rotations and reflections of its positions (lattice), a flip with one "
    "of these, or what the shots support (found)"
)


#: Fields of methods that are names; all others are numbers.
NAMES = ("method", "symmetry")


class State(Protocol):
    """The state of a training between two steps."""

    @property
    def epoch(self) -> int:
        """Steps done; each uses all shots."""

    @property
    def rbm(self) -> RBM:
        """The current RBM."""

    @property
    def done(self) -> bool:
        """Whether no further step can improve the RBM."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the state stored in these arrays; `self` is the state before the first step."""


class Method(Settings):
    """Base class of the training methods. An instance holds the settings of one training.

    To add a method, write a class with its fields, `SUMMARY`, `init` and `step` in a new file, and
    add a line to `psiprune.training.methods.METHODS`. These files import the kernels inside
    functions, because the command line reads the fields for every `--help`.
    """

    method: str = ""
    epochs: int = Field(ge=0, description="passes over all shots, or steps that use all shots")

    #: One line for `--help`, such as "contrastive divergence with persistent chains".
    SUMMARY: ClassVar[str]
    #: Defaults that differ when fine-tuning after a pruning step.
    FINE_TUNING: ClassVar[Mapping[str, float]] = {}
    #: Whether training ends at an optimum that does not depend on the seed.
    CONVERGES: ClassVar[bool] = False
    #: Steps between two likelihoods of held-out shots in a cross-validation.
    FOLD_STEPS: ClassVar[int] = 1
    #: Whether the chains of the training take global flips of all bits.
    FLIPS: ClassVar[bool] = False
    #: Initial weights of a new RBM; the next kind is tried if the result misses structure.
    INITIAL: ClassVar[tuple[Initial, ...]] = ("random",)

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name not in NAMES and isinstance(value, str | bool):
            raise ValueError("must be a number")
        return value

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What most trainings do not have is in no record of them.
        return {name: value for name, value in serialize(self).items() if value is not None}

    @classmethod
    def for_fine_tuning(cls, **values: Any) -> Self:
        """Return the method with the given values and the defaults for fine-tuning."""
        return cls(**{**cls.FINE_TUNING, **values})

    def model_post_init(self, _: Any) -> None:
        """Mark `method` as set, so that `model_dump(exclude_unset=True)` includes it."""
        self.model_fields_set.add("method")

    @abstractmethod
    def init(self, rbm: RBM, shots: Shots, seed: int) -> State:
        """Return the state before the first step.

        Args:
            rbm: the RBM to start from.
            shots: the training set.
            seed: random seed of the training.

        Raises:
            InputError: the RBM is too large for the method.
        """

    @abstractmethod
    def step(self, state: Any) -> tuple[State, Any]:
        """Return the state after one step, and diagnostics of the step.

        Random numbers depend only on the seed and the epoch, so a resumed training is bit-identical
        to an uninterrupted one.

        Raises:
            DivergenceError: a parameter is no longer finite.
        """

    @property
    def chain_steps(self) -> int | None:
        """Gibbs steps of the chains per update; None for a method without chains."""
        return None

    def gibbs_steps(self, shots: int) -> float:
        """Return how many Gibbs steps of one chain a training on so many shots takes."""
        return 0.0

    def for_size(
        self, visible: int, hidden: int, *, readout: bool = False, weights: int | None = None
    ) -> Self:
        """Check the size of the RBM and return the method itself; see `MethodBySize`.

        Args:
            visible: number of visible units.
            hidden: number of hidden units.
            readout: whether the shots carry readout errors.
            weights: number of weights; by default all.

        Raises:
            InputError: an RBM of this size is too large for the method.
        """
        self.check_size(visible, hidden, readout=readout, weights=weights)
        return self

    def check_size(
        self, visible: int, hidden: int, *, readout: bool = False, weights: int | None = None
    ) -> None:
        """Raise InputError if an RBM of this size is too large for the method; see `for_size`."""

    def __str__(self) -> str:
        """Return the method with every field: "cd (epochs=500, batch_size=100, ...)"."""
        fields = self.model_dump(exclude={"method"})
        return f"{self.method} ({', '.join(f'{name}={value}' for name, value in fields.items())})"


def number_of_parameters(visible: int, hidden: int, weights: int | None = None) -> int:
    """Return the number of weights, by default all, and biases."""
    return visible + hidden + (visible * hidden if weights is None else weights)


def decayed(rate: float, decay: float, epoch: int, epochs: int) -> float:
    """Return the learning rate of an epoch: rate * decay^(epoch / (epochs - 1))."""
    return rate * decay ** (epoch / max(1, epochs - 1))
