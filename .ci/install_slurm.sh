#!/usr/bin/env bash
# Slurm and munge for tests/slurm, where apt and root are there; elsewhere those tests are skipped and say so.
set -euo pipefail
have() { command -v "$1" >/dev/null; }
if have slurmctld && have slurmd && have munged && have sbatch; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
    echo "install_slurm: needs root and apt-get; the tests of tests/slurm will be skipped"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Slurm's PMIx plug-in opens libpmix.so, a name that only the development package has.
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge libpmix-dev; }; then
    echo "install_slurm: apt-get failed; the tests of tests/slurm will be skipped"
fi
