"""Stand-in for netsquid-netbuilder, for tests only."""
