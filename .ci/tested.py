"""The releases in this environment, as constraints for pip.

python .ci/tested.py                                  print them
python .ci/tested.py --compare constraints/tested.txt   say what is newer or older than there
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path

_OURS = {"caligo-mpi", "pip", "setuptools", "wheel"}
_HEADER = "# The newest releases that the tests have passed with; see README, Two commands.\n"


def installed() -> dict[str, str]:
    """Name → version of each distribution here, but for this package and pip."""
    found = {
        d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()
    }
    return {name: version for name, version in sorted(found.items()) if name not in _OURS}


def main() -> None:
    """Print or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", type=Path, metavar="FILE")
    args = parser.parse_args()
    here = installed()
    if not args.compare:
        sys.stdout.write(_HEADER)
        sys.stdout.writelines(f"{name}=={version}\n" for name, version in here.items())
        return
    lines = args.compare.read_text().splitlines()
    recorded = dict(line.split("==") for line in lines if not line.startswith("#"))
    for name, version in here.items():
        if recorded.get(name) != version:
            print(f"{name} {version} is tested; {args.compare} has {recorded.get(name, 'none')}")


if __name__ == "__main__":
    main()
