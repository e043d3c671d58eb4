"""Other processes: ``mpirun``, its supervision, signals."""
