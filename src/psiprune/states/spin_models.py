"""Ready-made Hamiltonians: Ising and XXZ chains, Rydberg arrays, the Ising model in 2D, any sum."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from math import dist, inf
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from psiprune.core.exceptions import InputError
from psiprune.core.limits import CHAIN_SITES, PAULI_TERMS
from psiprune.core.settings import Settings, check_numbers
from psiprune.states.hamiltonian import Hamiltonian, Positions
from psiprune.states.lattices import REACH, lattice_positions, neighbours, snake_site

Strings = Iterator[tuple[float, dict[int, str]]]
#: Largest interaction of a Rydberg array in units of omega: sites a tenth of the blockade radius
#: apart. DMRG then loses six of its sixteen digits.
_STRONGEST = 1e6


def _pair(value: Any) -> Any:
    """Split "x,y", as an option is given."""
    if not isinstance(value, str):
        return value
    if value.count(",") != 1:
        raise ValueError("should be two numbers, x,y")
    return tuple(value.split(","))


Position = Annotated[tuple[float, float], BeforeValidator(_pair)]


class SpinModel(Settings):
    """Base class of the ready-made models: parameters that stand for a `Hamiltonian`."""

    kind: str = ""

    def model_post_init(self, _: Any) -> None:
        """Mark `kind` as set, so that `model_dump(exclude_unset=True)` includes it."""
        self.model_fields_set.add("kind")

    def hamiltonian(self) -> Hamiltonian:
        """Return the sum of Pauli strings, named after the parameters, with the positions."""
        return Hamiltonian(list(self._strings()), self.size, name=repr(self), positions=self.places)

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of sites."""

    @property
    def places(self) -> Positions | None:
        """The coordinates of each site; None for a chain."""
        return None

    @property
    def title(self) -> str:
        """The model in a table or above a figure; its parameters where it has no other words."""
        return repr(self)

    @property
    def one_field(self) -> float | None:
        """The `field` of all sites, which experiments can vary; None if there is no such number."""
        return getattr(self, "field", None)

    @abstractmethod
    def _strings(self) -> Strings:
        """Yield the strings; zeros and repetitions are allowed."""


class _Chain(SpinModel):
    sites: int = Field(ge=2, le=CHAIN_SITES, description="number N of spins")
    boundary: Literal["open", "periodic"] = Field(
        default="open", description="ends of the chain: open, or periodic for a ring"
    )

    @property
    def size(self) -> int:
        """The number of sites."""
        return self.sites

    def _bonds(self) -> list[tuple[int, int]]:
        ring = [(self.sites - 1, 0)] if self.boundary == "periodic" else []
        return [(i, i + 1) for i in range(self.sites - 1)] + ring

    def _check_together(self) -> None:
        if self.boundary == "periodic" and self.sites < 3:
            raise ValueError(f"sites: a ring needs at least 3, found {self.sites}")


class IsingChain(_Chain):
    """H = -sum_{i<j} J_ij Z_i Z_j - sum_i h_i X_i - g sum_i Z_i, open or periodic.

    J_ij is J between neighbours, or J / r^alpha at the distance r (on a ring the shorter way). For
    the open chain of nearest neighbours `TFIM` has exact energies and correlations at any size.

    Examples:
        >>> IsingChain(sites=3, field=0.5, boundary="periodic").hamiltonian().terms[0]
        PauliTerm(flips=0, signs=3, coefficient=-1.0)
    """

    kind: Literal["tfim"] = "tfim"
    coupling: float = Field(default=1.0, description="Ising coupling J, of either sign")
    field: float = Field(default=1.0, description="transverse field h along X, of either sign")
    longitudinal_field: float = Field(default=0.0, description="field g along Z")
    alpha: float | None = Field(
        default=None,
        gt=0,
        description="exponent of couplings J / r^alpha between all pairs; without it, only "
        "neighbours interact",
    )
    couplings: tuple[float, ...] = Field(
        default=(), description="coupling J of each bond, from the left, in place of one value"
    )
    fields: tuple[float, ...] = Field(
        default=(), description="field h of each site, in place of one value"
    )

    def _check_together(self) -> None:
        _Chain._check_together(self)
        bonds = len(self._bonds())
        for one, each, count in (
            ("coupling", self.couplings, bonds),
            ("field", self.fields, self.sites),
        ):
            if each and getattr(self, one) != type(self).model_fields[one].default:
                raise ValueError(f"{one}, {one}s: give one value or one for each, not both")
            if each and len(each) != count:
                raise ValueError(f"{one}s: needs {count} values, found {len(each)}")
        if self.couplings and self.alpha is not None:
            raise ValueError("alpha, couplings: give J / r^alpha or the value of each bond")
        pairs = self.sites * (self.sites - 1) // 2
        if self.alpha is not None and pairs > PAULI_TERMS:
            raise ValueError(
                f"alpha: couplings between all pairs are limited to {PAULI_TERMS:,}, found "
                f"{pairs:,}; use fewer sites"
            )

    @property
    def one_field(self) -> float | None:
        """The field, unless it differs between sites."""
        return None if self.fields else self.field

    @property
    def is_plain(self) -> bool:
        """Whether a `TFIM` describes it: open, of one coupling above 0 and one field above 0."""
        more = self.couplings or self.fields or self.longitudinal_field or self.alpha is not None
        return not more and self.boundary == "open" and self.coupling > 0 and self.field > 0

    def _strings(self) -> Strings:
        if self.alpha is None:
            values = self.couplings or (self.coupling,) * len(self._bonds())
            for value, (i, j) in zip(values, self._bonds(), strict=True):
                yield -value, {i: "Z", j: "Z"}
        else:
            around = self.sites if self.boundary == "periodic" else inf
            for i, j in combinations(range(self.sites), 2):
                yield -self.coupling / min(j - i, around - (j - i)) ** self.alpha, {i: "Z", j: "Z"}
        for i, value in enumerate(self.fields or (self.field,) * self.sites):
            yield -value, {i: "X"}
            yield -self.longitudinal_field, {i: "Z"}


class XXZ(_Chain):
    """H = J sum_i [S^x_i S^x_i+1 + S^y_i S^y_i+1 + Delta S^z_i S^z_i+1] - sum_i h_i S^z_i.

    S = Pauli / 2; h_i = h + (-1)^i g. J > 0 is the antiferromagnet, critical for -1 < Delta <= 1;
    Delta = 1 is the Heisenberg chain.

    Examples:
        >>> print(XXZ(sites=2, delta=0.5).hamiltonian())
        0.125 [Z0 Z1] +
        0.25 [X0 X1] +
        0.25 [Y0 Y1]
    """

    kind: Literal["xxz"] = "xxz"
    delta: float = Field(default=1.0, description="anisotropy Delta of the Z couplings")
    coupling: float = Field(default=1.0, description="exchange J, positive for antiferromagnets")
    field: float = Field(default=0.0, description="field h along Z")
    staggered_field: float = Field(default=0.0, description="field g along Z, + on site 0, - on 1")

    def _strings(self) -> Strings:
        for i, j in self._bonds():
            for letter, factor in (("X", 1.0), ("Y", 1.0), ("Z", self.delta)):
                yield 0.25 * factor * self.coupling, {i: letter, j: letter}
        for i in range(self.sites):
            yield -0.5 * (self.field + (-1) ** i * self.staggered_field), {i: "Z"}


class _OnLattice(SpinModel):
    length: int | None = Field(
        default=None, ge=2, le=CHAIN_SITES, description="number of columns of a 2D lattice"
    )
    width: int | None = Field(
        default=None, ge=2, le=CHAIN_SITES, description="number of sites in a column"
    )
    lattice: Literal["square", "triangular"] = Field(
        default="square", description="square, or triangular: every other column half a site down"
    )
    boundary: Literal["open", "cylinder"] = Field(
        default="open", description="open edges, or a cylinder, whose columns are rings"
    )
    positions: tuple[Position, ...] = Field(
        default=(), description="x,y of each site, such as 0,0 1,0.5, in place of a lattice"
    )

    def site(self, x: int, y: int) -> int:
        """Return the number of the site in column x and row y of a lattice."""
        return snake_site(self.width or 0, x, y)

    @property
    def size(self) -> int:
        """The number of sites."""
        return len(self.positions) or (self.length or 0) * (self.width or 0)

    def _lattice_places(self, spacing: float = 1.0) -> Positions:
        """Return the coordinates of each site: as given, or those of `lattice_positions`."""
        if self.length is None or self.width is None:
            return self.positions
        cylinder = self.boundary == "cylinder"
        table = lattice_positions(self.lattice, self.length, self.width, cylinder=cylinder)
        return tuple(map(tuple, (spacing * table).tolist()))

    def _set(self, names: Iterable[str]) -> list[str]:
        """Return those of these fields that have no default."""
        default = type(self).model_fields
        return [name for name in names if getattr(self, name) != default[name].default]

    def _check_lattice(self) -> None:
        missing = [name for name in ("length", "width") if getattr(self, name) is None]
        if self.positions:
            for name in self._set(("length", "width", "lattice", "boundary")):
                raise ValueError(f"{name}, positions: give positions or a lattice, not both")
            if not 2 <= self.size <= CHAIN_SITES:
                raise ValueError(f"positions: needs from 2 to {CHAIN_SITES:,}, found {self.size}")
        elif missing:
            name = type(self).__name__
            raise ValueError(f"{missing[0]}: is missing; {name} requires it, or positions")
        elif self.size > CHAIN_SITES:
            raise ValueError(f"length, width: at most {CHAIN_SITES:,} sites, found {self.size:,}")
        elif self.boundary == "cylinder" and (self.width or 0) < 3:
            raise ValueError(f"width: a cylinder needs at least 3, found {self.width}")


class Rydberg(_OnLattice):
    """H = (Omega / 2) sum_i X_i - Delta sum_i n_i + sum_{i<j} (C6 / r_ij^6) n_i n_j.

    n_i = (1 - Z_i) / 2 is 1 in the Rydberg state, bit 1. Atoms are in a row or on a lattice, as
    that of `TFIM2D`, with neighbours `spacing` apart, or at `positions`, whose order is that of the
    sites; on a cylinder, distances are those through space. Neighbours within the blockade radius
    (C6 / Omega)^(1/6) are hardly ever excited together.

    Examples:
        >>> Rydberg(sites=9, spacing=0.8, delta=1.5).hamiltonian().sites
        9
    """

    kind: Literal["rydberg"] = "rydberg"
    sites: int | None = Field(
        default=None, ge=2, le=CHAIN_SITES, description="number N of atoms in a row"
    )
    spacing: float = Field(
        default=1.0, gt=0, description="distance of neighbours in the row or on the lattice"
    )
    omega: float = Field(default=1.0, gt=0, description="Rabi frequency Omega")
    delta: float = Field(default=0.0, description="detuning Delta; positive favours excitation")
    c6: float = Field(
        default=1.0, ge=0, description="van der Waals coefficient, in units of Omega and length^6"
    )

    def _check_together(self) -> None:
        on_lattice = self._set(("length", "width", "lattice", "boundary"))
        if self.positions and self._set(("sites", "spacing")):
            raise ValueError("sites, positions: give positions, or sites and spacing, not both")
        if self.sites is not None and on_lattice:
            raise ValueError(f"sites, {on_lattice[0]}: give a row or a lattice, not both")
        if not (self.positions or self.sites or on_lattice):
            raise ValueError(
                "sites: is missing; Rydberg requires it, a length and width, or positions"
            )
        if self.sites is None:
            self._check_lattice()
        pairs = self.size * (self.size - 1) // 2
        if not 1 <= pairs <= PAULI_TERMS:
            raise ValueError(
                f"positions: needs 1 to {PAULI_TERMS:,} pairs of atoms, found {pairs:,}"
            )
        nearest, i, j = min((dist(a, b), i, j) for (i, a), (j, b) in self._pairs())
        if self.positions and nearest**6 == 0:  # below 1e-54, too
            where = ",".join(f"{x:g}" for x in self.positions[i])
            raise ValueError(
                f"positions: atoms {i} and {j} are at the same place, {where}; move one of them"
            )
        if not self.c6 < _STRONGEST * self.omega * nearest**6:
            radius = (self.c6 / self.omega) ** (1 / 6)
            raise ValueError(
                f"positions: atoms {i} and {j} are {nearest:g} apart, less than a tenth of the "
                f"blockade radius {radius:g}; move them apart, or reduce c6"
            )

    @property
    def size(self) -> int:
        """The number of atoms."""
        return self.sites or super().size

    @property
    def places(self) -> Positions | None:
        """The coordinates of each atom; None for a row."""
        return None if self.sites else self._lattice_places(self.spacing)

    def _atoms(self) -> Positions:
        return self.places or tuple((i * self.spacing, 0.0) for i in range(self.size))

    def _pairs(self) -> Iterator[tuple[tuple[int, tuple[float, ...]], ...]]:
        return combinations(enumerate(self._atoms()), 2)

    def _strings(self) -> Strings:
        for i in range(self.size):
            yield 0.5 * self.omega, {i: "X"}
            yield -0.5 * self.delta, {}
            yield 0.5 * self.delta, {i: "Z"}
        for (i, a), (j, b) in self._pairs():
            quarter = self.c6 / dist(a, b) ** 6 / 4
            yield from ((quarter, {}), (-quarter, {i: "Z"}), (-quarter, {j: "Z"}))
            yield quarter, {i: "Z", j: "Z"}


class TFIM2D(_OnLattice):
    """`H = -J sum_<ij> Z_i Z_j - h sum_i X_i` on a lattice in snake order, or at given positions.

    Site `width` x + y is at row y of column x; every other column is numbered downwards, so that
    sites in a row are neighbours. A cylinder closes each column to a ring. Pairs `<ij>` are those
    at most `reach` times the smallest distance apart.

    Examples:
        >>> TFIM2D(length=2, width=2).site(1, 0)
        3
        >>> len(TFIM2D(length=3, width=3, lattice="triangular").bonds)
        16
    """

    kind: Literal["tfim-2d"] = "tfim-2d"
    reach: float = Field(
        default=REACH,
        ge=1,
        description="largest distance of neighbours, in units of the smallest",
    )
    coupling: float = Field(default=1.0, description="Ising coupling J, of either sign")
    field: float = Field(default=1.0, description="transverse field h along X, of either sign")

    @property
    def places(self) -> Positions:
        """The coordinates of each site: as given, or those of `lattice_positions`."""
        return self._lattice_places()

    @property
    def title(self) -> str:
        """The lattice and the field, such as "6 x 6 square lattice, h = 3.04"."""
        shape = "cylinder" if self.boundary == "cylinder" else "lattice"
        place = f"{self.length} x {self.width} {self.lattice} {shape}"
        if self.positions:
            place = f"{self.size} sites at given positions"
        coupling = f", J = {self.coupling:g}" if self.coupling != 1 else ""
        reach = f", reach {self.reach:g}" if self.reach != REACH else ""
        return f"{place}, h = {self.field:g}{coupling}{reach}"

    @property
    def bonds(self) -> list[tuple[int, int]]:
        """The pairs of neighbours."""
        return neighbours(self.places, self.reach)

    def _check_together(self) -> None:
        self._check_lattice()
        if self.positions:
            neighbours(self.positions, self.reach)

    def _strings(self) -> Strings:
        for i in range(self.size):
            yield -self.field, {i: "X"}
        for i, j in self.bonds:
            yield -self.coupling, {i: "Z", j: "Z"}


class PauliSum(SpinModel):
    """Any sum of Pauli strings, as text that `Hamiltonian` takes.

    Examples:
        >>> PauliSum(terms="-1.0 [Z0 Z1] + -0.5 [X0] + -0.5 [X1]").size
        2
    """

    kind: Literal["terms"] = "terms"
    terms: str = Field(description="terms such as -1.0 [Z0 Z1] + 0.5 [X0]; sites count from 0")
    sites: int | None = Field(
        default=None,
        ge=2,
        le=CHAIN_SITES,
        description="number N of spins, if the last have no term",
    )
    name: str = Field(default="a sum of Pauli strings", description="what tables and files call it")

    def hamiltonian(self) -> Hamiltonian:
        """Return the sum of Pauli strings.

        Raises:
            InputError: as `Hamiltonian`.
        """
        return Hamiltonian(self.terms, self.sites, name=self.name)

    @property
    def size(self) -> int:
        """The number of sites."""
        return self.hamiltonian().sites

    def _strings(self) -> Strings:
        return ((term.coefficient, term.letters) for term in self.hamiltonian().terms)

    def _check_together(self) -> None:
        self.hamiltonian()


#: All models by kind. To add one, add a class and a line here.
MODELS: dict[str, type[SpinModel]] = {
    "tfim": IsingChain,
    "xxz": XXZ,
    "rydberg": Rydberg,
    "tfim-2d": TFIM2D,
    "terms": PauliSum,
}
#: The fields of all models.
MODEL_FIELDS = tuple(dict.fromkeys(name for kind in MODELS.values() for name in kind.model_fields))


def as_model(
    given: SpinModel | Hamiltonian | str | Mapping[str, Any],
    sites: int | None = None,
    coupling: float | None = None,
) -> SpinModel:
    """Convert a kind, a table {"kind": "xxz", "delta": 0.5} or a Hamiltonian to a model.

    Args:
        given: what to convert; a model is returned as it is.
        sites, coupling: values for a table that lacks them, if the model takes them. They do not
            count as set.

    Raises:
        InputError: there is no such kind, or a value is invalid.
    """
    if isinstance(given, SpinModel):
        return given
    if isinstance(given, Hamiltonian):
        named: dict[str, Any] = {"name": given.name} if given.name else {}
        return PauliSum(terms=str(given), sites=given.sites, **named)
    if not isinstance(given, str | Mapping):
        raise InputError(
            f"kind: must be one of {', '.join(MODELS)}, or a table with the kind, found {given!r}"
        )
    table = {"kind": given} if isinstance(given, str) else dict(given)
    kind = MODELS.get(str(table.get("kind", "tfim")))
    if kind is None:
        raise InputError(f"kind: must be one of {', '.join(MODELS)}, found {table['kind']!r}")
    check_numbers(kind, table)
    added: dict[str, Any] = {
        name: value
        for name, value, instead in (
            ("sites", sites, ("positions", "terms")),
            ("coupling", coupling, ("couplings",)),
        )
        if value is not None and name in kind.model_fields and not {name, *instead} & set(table)
    }
    model = kind(**table, **added)
    model.model_fields_set.difference_update(added)
    return model
