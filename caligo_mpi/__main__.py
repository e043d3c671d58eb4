"""``python -m caligo_mpi``."""

from .cli import main

raise SystemExit(main())
