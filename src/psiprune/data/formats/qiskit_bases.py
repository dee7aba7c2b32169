"""The bases of Qiskit's circuits, which their metadata may hold."""

from __future__ import annotations

from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import brief
from psiprune.data.formats.bases import is_letters

#: Qiskit Experiments numbers its measurements in Pauli bases so.
_NUMBERED = "ZXY"


def circuit_metadata(data: Any) -> list[Any]:
    """Return the metadata of each circuit of a result, None where there are none; [] of counts."""
    if not isinstance(data, dict):
        return []
    value = data.get("__value__")
    if isinstance(data.get("results"), list):
        return [_metadata(result) for result in data["results"]]
    if isinstance(value, dict) and isinstance(value.get("pub_results"), list):
        return [_metadata(pub.get("__value__", {})) for pub in _objects(value["pub_results"])]
    return []


def _objects(entries: list[Any]) -> list[dict[str, Any]]:
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _metadata(result: Any) -> Any:
    """Return what the user wrote to `circuit.metadata`, of a `Result` or a pub's result."""
    if not isinstance(result, dict):
        return None
    for name in ("header", "metadata"):
        holder = result.get(name)
        for entry in ("metadata", "circuit_metadata"):
            if isinstance(holder, dict) and isinstance(holder.get(entry), dict):
                return holder[entry]
    return None


def basis_of_metadata(metadata: Any, place: str) -> str | None:
    """Return the basis, site 0 first, that a circuit's metadata name; None if they do not.

    `basis` is a Pauli label as Qiskit writes them, qubit 0 rightmost: in "XZ" qubit 0 is measured
    in Z. `m_idx` is that of Qiskit Experiments, with 0 for Z, 1 for X and 2 for Y of each bit in
    `clbits`.

    Raises:
        InputError: `basis` is no string of X, Y and Z.
    """
    if not isinstance(metadata, dict):
        return None
    if "basis" in metadata:
        label = metadata["basis"]
        if not isinstance(label, str) or not is_letters(label):
            raise InputError(
                f"{place}: the metadata of a circuit name the basis {brief(label)}, but a basis is "
                "a label of X, Y and Z such as 'XZ'; give the bases by --bases"
            )
        return label[::-1]
    numbers, bits = metadata.get("m_idx"), metadata.get("clbits")
    if not isinstance(numbers, list) or not all(number in (0, 1, 2) for number in numbers):
        return None
    if bits is None:
        bits = list(range(len(numbers)))
    if not isinstance(bits, list) or sorted(map(str, bits)) != sorted(map(str, range(len(bits)))):
        return None
    letters = dict(zip(bits, (_NUMBERED[number] for number in numbers), strict=False))
    return "".join(letters[bit] for bit in range(len(letters)))
