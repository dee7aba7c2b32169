"""Make the files in fixtures/ with the packages of the vendors: `python make_fixtures.py`.

Run by hand where those packages are installed (`pip install '.[vendors]'`), never by the tests.
Vendors that are missing are left out, and the versions used are written to fixtures/versions.json.

One circuit of five qubits throughout: H on 0, X on 4, a rotation of 1 copied to 2, nothing on 3. So
every shot is (random, s, s, 0, 1): read from the wrong end it begins with 1. What the vendor's own
functions say the bits of qubits 0 to 4 are stands in expected.json, shot by shot, or sorted where
the file is of counts.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "fixtures"
SHOTS = 24
EXPECTED: dict[str, list[str]] = {}


def expect(name: str, bits: Any, *, counts: bool = False) -> Path:
    """Note what a file holds; return its path."""
    rows = ["".join(map(str, np.asarray(row, dtype=int))) for row in bits]
    EXPECTED[name] = sorted(rows) if counts else rows
    return FOLDER / name


def write_json(path: Path, data: Any, **options: Any) -> None:
    path.write_text(json.dumps(data, **options) + "\n")


def make_qiskit() -> tuple[str, ...]:
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.primitives import BitArray, StatevectorSampler
    from qiskit.providers.basic_provider import BasicSimulator
    from qiskit_ibm_runtime import RuntimeEncoder

    qubits, left = QuantumRegister(5, "q"), ClassicalRegister(2, "a")
    circuit = QuantumCircuit(qubits, left, ClassicalRegister(3, "b"))
    circuit.h(0)
    circuit.ry(1.2, 1)
    circuit.cx(1, 2)
    circuit.x(4)
    circuit.measure(range(5), range(5))
    result = StatevectorSampler(seed=1).run([circuit], shots=SHOTS).result()
    registers = result[0].data
    bits = np.concatenate(
        # order="little" puts bit 0 of the register first.
        [registers[name].to_bool_array(order="little") for name in ("a", "b")],
        axis=1,
    )
    path = expect("qiskit_primitive_result.json", bits)
    write_json(path, result, cls=RuntimeEncoder)
    path = expect("qiskit_bit_array.json", bits[:, 2:])
    write_json(path, registers.b, cls=RuntimeEncoder)
    path = expect("qiskit_bit_array.npz", bits[:, 2:])
    np.savez(path, array=registers.b.array, num_bits=registers.b.num_bits)
    wide = np.random.default_rng(1).integers(2, size=(SHOTS, 11)).astype(bool)  # two bytes a shot
    array = BitArray.from_bool_array(wide, order="little")
    path = expect("qiskit_bit_array_wide.npz", wide)
    np.savez(path, array=array.array, num_bits=array.num_bits)
    whole = result[0].join_data()
    bits = whole.to_bool_array(order="little")
    write_json(expect("qiskit_counts.json", bits, counts=True), whole.get_counts())
    write_json(expect("qiskit_memory.json", bits), whole.get_bitstrings())
    old = BasicSimulator().run(circuit, shots=SHOTS, memory=True, seed_simulator=1).result()
    rows = [[int(bit) for bit in row.replace(" ", "")[::-1]] for row in old.get_memory()]
    write_json(expect("qiskit_registers.json", rows, counts=True), old.get_counts())
    write_json(expect("qiskit_memory_registers.json", rows), old.get_memory())
    write_json(expect("qiskit_result.json", rows), old.to_dict(), default=str)
    path = expect("qiskit_hex_counts.json", rows, counts=True)
    write_json(path, old.data()["counts"])
    make_qiskit_bases()
    return "qiskit", "qiskit-ibm-runtime"


def make_qiskit_bases() -> None:
    """|+>, |0> + i|1>, |1>: certain in the basis XYZ, site 0 first, which is the label ZYX."""
    from qiskit import QuantumCircuit
    from qiskit.primitives import StatevectorSampler
    from qiskit_ibm_runtime import RuntimeEncoder

    circuits = []
    for basis in ("XYZ", "XYX", "ZYZ"):
        circuit = QuantumCircuit(3, 3)
        circuit.h([0, 1])
        circuit.s(1)
        circuit.x(2)
        for qubit, letter in enumerate(basis):
            if letter == "Y":
                circuit.sdg(qubit)
            if letter != "Z":
                circuit.h(qubit)
        circuit.measure(range(3), range(3))
        circuit.metadata = {"basis": basis[::-1]}
        circuits.append(circuit)
    result = StatevectorSampler(seed=1).run(circuits, shots=SHOTS).result()
    bits = np.concatenate([pub.data.c.to_bool_array(order="little") for pub in result])
    write_json(expect("qiskit_bases.json", bits), result, cls=RuntimeEncoder)


def make_braket_bases() -> None:
    """The same state, of which the product of X, Y and Z is the observable of a result type."""
    from braket.circuits import Circuit, Observable
    from braket.devices import LocalSimulator
    from braket.task_result import GateModelTaskResult

    circuit = Circuit().h(0).h(1).s(1).x(2)
    circuit.expectation(Observable.X() @ Observable.Y() @ Observable.Z(), target=[0, 1, 2])
    result = LocalSimulator().run(circuit, shots=SHOTS).result()
    body = GateModelTaskResult(
        measurements=result.measurements.tolist(),
        measuredQubits=result.measured_qubits,
        taskMetadata=result.task_metadata,
        additionalMetadata=result.additional_metadata,
    )
    expect("braket_bases.json", result.measurements).write_text(body.json() + "\n")


def make_cirq() -> tuple[str, ...]:
    import cirq

    qubits = cirq.LineQubit.range(5)
    gates = (
        cirq.H(qubits[0]),
        cirq.ry(1.2)(qubits[1]),
        cirq.CNOT(qubits[1], qubits[2]),
        cirq.X(qubits[4]),
    )
    together = cirq.Circuit(gates, cirq.I(qubits[3]), cirq.measure(*qubits, key="m"))
    result = cirq.Simulator(seed=1).run(together, repetitions=SHOTS)
    columns = result.data["m"]  # big-endian integers: an account of the order of its own
    bits = [[int(bit) for bit in f"{value:05b}"] for value in columns]
    cirq.to_json(result, str(expect("cirq_result.json", bits)))
    unnamed = cirq.Circuit(gates, cirq.I(qubits[3]), cirq.measure(*qubits))  # key "q(0),q(1),..."
    table = cirq.Simulator(seed=1).run(unnamed, repetitions=SHOTS).data
    table.to_csv(expect("cirq_integers.csv", result.measurements["m"]))
    one_by_one = cirq.Circuit(gates, cirq.I(qubits[3]), cirq.measure_each(*qubits))
    result = cirq.Simulator(seed=1).run(one_by_one, repetitions=SHOTS)
    bits = np.stack([result.data[str(qubit)] for qubit in qubits], axis=1).tolist()
    cirq.to_json(result, str(expect("cirq_keys.json", bits)))
    result.data.to_csv(expect("cirq_columns.csv", bits), index=False)
    # The older layout, which today's Cirq still reads.
    data = json.loads(cirq.to_json(result))
    old = data | {"cirq_type": "TrialResult", "measurements": data.pop("records")}
    for record in old["measurements"].values():
        record["shape"] = [record["shape"][0], record["shape"][2]]
    assert cirq.read_json(json_text=json.dumps(old)) == result
    write_json(expect("cirq_old.json", bits), old)
    levels = cirq.ResultDict(records={"m": np.array([[[0, 1, 2]], [[1, 0, 0]]], dtype=np.int8)})
    cirq.to_json(levels, str(FOLDER / "cirq_qutrits.json"))
    return ("cirq-core",)


def make_braket() -> tuple[str, ...]:
    from braket.circuits import Circuit
    from braket.circuits.serialization import IRType
    from braket.default_simulator import StateVectorSimulator
    from braket.tasks import GateModelQuantumTaskResult

    def run(circuit: Any) -> Any:
        program = circuit.to_ir(ir_type=IRType.OPENQASM)
        return StateVectorSimulator().run(program, shots=SHOTS)

    circuit = Circuit().h(0).ry(1, 1.2).cnot(1, 2).i(3).x(4)
    result = run(circuit)
    view = GateModelQuantumTaskResult.from_object(result)
    path = expect("braket_result.json", view.measurements)
    path.write_text(result.json() + "\n")
    path = expect("braket_counts.json", view.measurements, counts=True)
    write_json(path, dict(view.measurement_counts))
    turned = run(Circuit().h(0).ry(1, 1.2).cnot(1, 2).i(3).x(4).measure([4, 2, 0, 1, 3]))
    view = GateModelQuantumTaskResult.from_object(turned)
    assert view.measured_qubits == [4, 2, 0, 1, 3]
    path = expect("braket_turned.json", view.measurements[:, [2, 3, 1, 4, 0]])
    path.write_text(turned.json() + "\n")
    bare = result.copy(update={"measurements": None, "measurementProbabilities": {"00001": 1.0}})
    (FOLDER / "braket_probabilities.json").write_text(bare.json() + "\n")
    make_braket_bases()
    return "amazon-braket-sdk", "amazon-braket-schemas", "amazon-braket-default-simulator"


def analog_program() -> Any:
    """Five atoms far apart but for two, and a vacant site at index 2."""
    from braket.ahs import AnalogHamiltonianSimulation, AtomArrangement, DrivingField
    from braket.ahs.atom_arrangement import SiteType
    from braket.timings import TimeSeries

    register = AtomArrangement()
    for place in range(6):
        kind = SiteType.VACANT if place == 2 else SiteType.FILLED
        register.add((0, place * 2e-5), kind)
    rabi, rest = TimeSeries(), TimeSeries()
    for time, value in ((0, 0), (5e-7, 4e6), (1e-6, 0)):
        rabi.put(time, value)
        rest.put(time, 0)
    drive = DrivingField(amplitude=rabi, phase=rest, detuning=rest)
    return AnalogHamiltonianSimulation(register=register, hamiltonian=drive)


def make_quera() -> tuple[str, ...]:
    """Braket's own simulator, then two shots marred as a machine mars them."""
    from braket.analog_hamiltonian_simulator.rydberg.rydberg_simulator import RydbergAtomSimulator
    from braket.task_result import AnalogHamiltonianSimulationTaskResult
    from braket.tasks.analog_hamiltonian_simulation_quantum_task_result import (
        AnalogHamiltonianSimulationQuantumTaskResult,
    )

    program = analog_program().to_ir()
    result = json.loads(RydbergAtomSimulator().run(program, shots=SHOTS, steps=50).json())
    result["additionalMetadata"] = {"action": json.loads(program.json())}
    shots = result["measurements"]
    shots[3]["shotResult"]["preSequence"][1] = shots[3]["shotResult"]["postSequence"][1] = 0
    shots[5]["shotResult"]["preSequence"][5] = shots[5]["shotResult"]["postSequence"][5] = 0
    shots[8] = {
        "shotMetadata": {"shotStatus": "Failure"},
        "shotResult": {"preSequence": None, "postSequence": None},
    }
    parsed = AnalogHamiltonianSimulationTaskResult.parse_raw(json.dumps(result))
    counts = AnalogHamiltonianSimulationQuantumTaskResult.from_object(parsed).get_counts()
    rows = []
    for state, count in counts.items():  # "egr": empty, ground, Rydberg
        atoms = state[:2] + state[3:]
        assert state[2] == "e"
        if "e" not in atoms:
            rows += [[int(atom == "r") for atom in atoms]] * count
    path = expect("quera_braket.json", rows, counts=True)
    path.write_text(parsed.json() + "\n")
    return "amazon-braket-sdk", "amazon-braket-schemas", "amazon-braket-default-simulator"


def make_bloqade() -> tuple[str, ...]:
    from bloqade.analog import dumps, start

    batch = (
        start.add_position([(0, 0), (0, 30), (0, 36)])
        .rydberg.rabi.amplitude.uniform.piecewise_linear([0.1, 0.4, 0.1], [0, 4, 4, 0])
        .detuning.uniform.constant(0.0, 0.6)
        .bloqade.python()
        .run(SHOTS)
    )
    report = batch.report()
    rows = 1 - np.asarray(report.bitstrings()[0])  # 1 is the ground state there
    expect("quera_bloqade.json", rows, counts=True).write_text(dumps(batch) + "\n")
    densities = np.asarray(report.rydberg_densities())[0]
    assert np.allclose(rows.mean(axis=0), densities)
    return ("bloqade-analog",)


def pulser_sequence() -> Any:
    """Each atom driven by its name, in an order that is not that of the alphabet.

    Rabi angles stand for the gates of the circuit: w and k turned, a left alone, m flipped. z is
    driven off resonance by its interaction with k, so it is flipped just where k is excited.
    """
    from pulser import Pulse, Register, Sequence
    from pulser.devices import MockDevice

    shift, rabi = 60.0, 2.0
    near = (MockDevice.interaction_coeff / shift) ** (1 / 6)
    places = {"w": -60.0, "k": 0.0, "z": near, "a": 60.0, "m": 120.0}
    register = Register({name: (place, 0.0) for name, place in places.items()})
    sequence = Sequence(register, MockDevice)
    sequence.declare_channel("local", "rydberg_local", initial_target="w")
    for atom, angle, detuning in (
        ("w", np.pi / 2, 0.0),
        ("k", 1.2, 0.0),
        ("z", np.pi, shift),
        ("m", np.pi, 0.0),
    ):
        sequence.target(atom, "local")
        duration = round(1000 * angle / rabi)
        strength = 1000 * angle / duration
        sequence.add(Pulse.ConstantPulse(duration, strength, detuning, 0), "local")
    return sequence


def make_pulser() -> tuple[str, ...]:
    from pulser.backend import BitStrings
    from pulser_simulation import QutipBackendV2, QutipConfig

    np.random.seed(1)  # noqa: NPY002 - the generator that Pulser draws from
    config = QutipConfig(observables=[BitStrings(num_shots=SHOTS)])
    result = QutipBackendV2(pulser_sequence(), config=config).run()
    counter = result.final_bitstrings
    strings = list(counter.elements())
    rows = [
        [int(string[result.atom_order.index(atom)]) for atom in ("w", "k", "z", "a", "m")]
        for string in strings
    ]
    # What was done to each atom by its name, whatever Pulser's order is.
    assert all((k, a, m) == (z, 0, 1) for _, k, z, a, m in rows)
    assert 0 < np.mean(rows, axis=0)[0] < 1
    text = result.to_abstract_repr()
    expect("pulser_results.json", rows, counts=True).write_text(text + "\n")
    write_json(expect("pulser_counter.json", rows, counts=True), counter)
    # As pasqal-cloud's Job.full_result: JobResult in pasqal_cloud/utils/jsend.py.
    full = {"raw": strings, "counter": counter, "serialised_results": None}
    write_json(expect("pulser_pasqal.json", rows), full)
    return "pulser-core", "pulser-simulation"


def make_stim() -> tuple[str, ...]:
    import stim

    # Two measurements of the same make twice, so that b8 needs a second byte: ten bits.
    text = "H 0\nH 1\nCX 1 2\nX 4\nM 0 1 2 3 4\nM 0 1 2 3 4"
    circuit = stim.Circuit(text)
    for form in ("01", "b8", "r8", "hits", "dets", "ptb64"):
        path = FOLDER / f"stim.{form}"
        shots = 64 if form == "ptb64" else SHOTS  # written in blocks of 64
        circuit.compile_sampler(seed=1).sample_write(shots, filepath=str(path), format=form)
        options = {"path": str(path), "format": form, "num_measurements": 10}
        expect(f"stim.{form}", stim.read_shot_data_file(**options).astype(int))
    return ("stim",)


VENDORS: dict[str, Callable[[], tuple[str, ...]]] = {
    "qiskit": make_qiskit,
    "cirq": make_cirq,
    "braket": make_braket,
    "quera": make_quera,
    "bloqade": make_bloqade,
    "pulser": make_pulser,
    "stim": make_stim,
}


def main() -> None:
    """Make all that can be made; keep the entries of the rest."""
    FOLDER.mkdir(exist_ok=True)
    versions: dict[str, str] = {}
    files: dict[str, dict[str, Any]] = {"versions": versions, "expected": EXPECTED}
    for name, file in files.items():
        there = FOLDER / f"{name}.json"
        file.update(json.loads(there.read_text()) if there.exists() else {})
    for vendor, make in VENDORS.items():
        try:
            packages = make()
        except ImportError as error:
            print(f"{vendor}: left out, {error}")
            continue
        versions.update({name: importlib.metadata.version(name) for name in packages})
    for name, file in files.items():
        text = json.dumps(dict(sorted(file.items())), indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
