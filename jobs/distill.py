"""Batch entry point: ``mpirun -n N python jobs/distill.py RUN --config PROTOCOL -o KEYS`` is ``caligo-mpi distill``."""

import sys

from caligo_mpi.cli import main

if __name__ == "__main__":
    sys.exit(main(["distill", *sys.argv[1:]]))
