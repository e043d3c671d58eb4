"""The classical protocol on measured pairs: pure functions on arrays, no I/O, no MPI.

One chain: sift → estimate → reconcile → verify → amplify.  The modes are those of `caligo_mpi.config.modes`, each a
module with ``make_block``.
A **block** is the unit of a key: it has its own test set, verification tag and hash.  A **frame**
is the unit of a reconciliation code, many of which fit a block.
"""
