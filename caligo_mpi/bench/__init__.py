"""Benches: engines × parameters, each run in a process of its own, recorded and compared."""
