"""The configurations that ``init`` writes: the one with every key, and the examples of ``configs/``."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_EXAMPLES = _PACKAGE / "config/starters"
#: Names of kinds.  An example that configures a protocol has the name of its mode: the pairs for that come first.
_KINDS = {
    "rot": _EXAMPLES / "rot-pairs.yaml",
    "rot-protocol": _EXAMPLES / "rot.yaml",
    "sweep": _EXAMPLES / "sweep-fidelity.yaml",
    "bench": _PACKAGE / "bench/presets/size-sweep.yaml",
}


def names() -> list[str]:
    """What ``--like`` takes."""
    return sorted(_files())


def text(name: str | None) -> str:
    """The example of that name, or the configuration with every key."""
    if name is None:
        return (_PACKAGE / "config/starter.yaml").read_text("utf-8")
    whole = _files()[name].read_text("utf-8")
    # Editors would not find the schema from elsewhere.
    return "".join(
        line for line in whole.splitlines(keepends=True) if "yaml-language-server" not in line
    )


def _files() -> dict[str, Path]:
    """The examples by name."""
    kinds = {name: path for name, path in _KINDS.items() if path.exists()}
    others = {path.stem: path for path in _EXAMPLES.glob("*.yaml") if path not in kinds.values()}
    return {**others, **kinds}


def next_command(text: str, path: str) -> str:
    """What to run with a configuration: its kind shows in its keys."""
    keys = {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    if "mode" in keys:
        return f"caligo-mpi distill RUN.h5 --config {path}"
    if "axes" in keys or "points" in keys:
        return f"caligo-mpi sweep {path} --ranks 2"
    if "engines" in keys:
        return f"caligo-mpi bench {path} --plan"
    if "sequential" in keys:
        return f"caligo-mpi sequential {path}"
    return f"caligo-mpi generate {path} --ranks 2"
