"""A map over workers: in this process, on MPI ranks, and on ranks that outlive others."""
