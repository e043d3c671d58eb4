"""Batch entry point: ``mpirun -n N python jobs/generate.py CONFIG [-o FILE]`` is ``caligo-mpi generate``."""

import sys

from caligo_mpi.cli import main

if __name__ == "__main__":
    sys.exit(main(["generate", *sys.argv[1:]]))
