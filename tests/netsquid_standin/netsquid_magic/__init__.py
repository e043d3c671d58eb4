"""Stand-in for netsquid-magic, for tests only."""
