"""Sweeps: many runs of one base in one pool of ranks, from a file to a table."""
