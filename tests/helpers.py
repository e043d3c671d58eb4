"""What tests and fixtures share."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLUGINS = Path(__file__).parent / "plugins"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a subprocess: finds this package and the test engines."""
    paths = [str(ROOT), str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **extra}


def names(folder: Path | str) -> list[str]:
    """Names in a folder, sorted."""
    return sorted(path.name for path in Path(folder).iterdir())


#: The examples that configure runs; the others configure protocols.
RUN_CONFIGS = sorted(
    path for path in (ROOT / "configs").glob("*.yaml") if "\nmode:" not in path.read_text("utf-8")
)
