"""Runs that are killed at random moments, and what came of them: ``python -m tests.faults --help``."""
