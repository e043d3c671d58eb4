"""Stand-in for netsquid.qubits, for tests only."""
