"""Stand-in for netsquid-driver, for tests only."""
