#!/usr/bin/env bash
# System packages of the tests, where apt and root are there; elsewhere the tests that need them are skipped and say so.
set -euo pipefail
have() { for name; do command -v "$name" >/dev/null || return 1; done; }
if have slurmctld slurmd munged sbatch ip dropbear mkfs.ext4 btrfs cc h5repack chromium zsh fish; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
    echo "install_packages: needs root and apt-get; tests of Slurm, of two hosts, of disks, of the report in a browser and of shells will be skipped"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
packages=(
    slurm-wlm munge libpmix-dev      # Slurm's PMIx plug-in opens libpmix.so, a name that only the -dev package has
    iproute2 dropbear-bin            # two hosts as namespaces, with SSH between them
    e2fsprogs btrfs-progs            # disks that fail
    gcc libc6-dev                    # clocks that jump
    hdf5-tools                       # files that another tool rewrote
    chromium fonts-dejavu-core       # the report in a real browser
    zsh fish                         # completion scripts in their shells
)
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; }; then
    echo "install_packages: apt-get failed; tests of Slurm, of two hosts, of disks, of the report in a browser and of shells will be skipped"
fi
