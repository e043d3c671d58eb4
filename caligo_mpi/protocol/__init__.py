"""The classical protocol on measured pairs: pure functions on arrays, no I/O, no MPI.

One chain, two modes (``bbm92`` and ``rot``): sift → estimate → reconcile → verify → amplify.
A **block** is the unit of a key: it has its own test set, verification tag and hash.  A **frame**
is the unit of a reconciliation code, many of which fit a block.
"""
