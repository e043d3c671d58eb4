"""What surrounds a process: environment variables, terminal, words for people, kept compiled code, provenance."""
