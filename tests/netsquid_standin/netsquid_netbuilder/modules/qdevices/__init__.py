"""Stand-in for netsquid_netbuilder.modules.qdevices, for tests only."""

from __future__ import annotations

from netsquid_netbuilder.yaml_loadable import YamlLoadable


class GenericQDeviceConfig(YamlLoadable):
    """Times in ns; the defaults are noisy, so whoever leaves a field out gets that noise."""

    num_qubits: int = 2
    num_comm_qubits: int = 2
    T1: float = 10_000_000_000
    T2: float = 1_000_000_000
    init_time: float = 10_000
    single_qubit_gate_time: float = 1_000
    two_qubit_gate_time: float = 100_000
    measure_time: float = 10_000
    single_qubit_gate_depolar_prob: float = 0.0
    two_qubit_gate_depolar_prob: float = 0.01

    @classmethod
    def perfect_config(cls, num_qubits: int = 100) -> GenericQDeviceConfig:
        noiseless = dict.fromkeys(set(cls.model_fields) - {"num_qubits", "num_comm_qubits"}, 0)
        return cls(num_qubits=num_qubits, num_comm_qubits=num_qubits, **noiseless)


class NVQDeviceConfig(YamlLoadable):
    pass
