"""Batch entry point: ``mpirun -n N python jobs/sweep.py SWEEP -o DIR`` is ``caligo-mpi sweep``."""

import sys

from caligo_mpi.cli import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
