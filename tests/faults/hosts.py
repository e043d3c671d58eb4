"""Two hosts on one machine: namespaces of network, processes, mounts and host name, joined by a cable and by SSH."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

TOOLS = ("ip", "unshare", "nsenter", "dropbear", "dropbearkey", "dbclient")


def missing() -> str:
    """What keeps this machine from having hosts inside it; empty if nothing does."""
    if os.geteuid():
        return "network namespaces need root"
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(absent)} not installed; .ci/install_packages.sh does it where apt is available"
    probe = subprocess.run(
        ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "true"], check=False
    )
    return "namespaces cannot be made here" if probe.returncode else ""


def _output(*words: object) -> str:
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True).stdout


def _ip(*words: object) -> None:
    _output("ip", *words)


class Host:
    """One host.  Its first process is an SSH server, with which all others end."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        self.name, self.address, self._folder = name, address, folder
        self.link = f"cal{name}{os.getpid()}"
        self.network = f"caligo-{name}-{os.getpid()}"
        _ip("netns", "add", self.network)
        _ip("-n", self.network, "link", "set", "lo", "up")

    def boot(self) -> None:
        """Start the first process and wait until it answers."""
        home = self._folder / "home"
        script = (
            f"hostname host-{self.name} && mount --bind {self._folder}/passwd /etc/passwd && "
            f"exec dropbear -F -E -p 22 -P '' -r {home}/.ssh/id"
        )
        line = [
            "ip",
            "netns",
            "exec",
            self.network,
            "unshare",
            "--uts",
            "--pid",
            "--fork",
            "--mount-proc",
        ]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._outer = subprocess.Popen([*line, "sh", "-c", script], stdout=log, stderr=log)
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        while not (found := children.read_text().split()):
            time.sleep(0.01)
        self.first = int(found[0])
        while Path(f"/proc/{self.first}/comm").read_text().strip() != "dropbear":
            time.sleep(0.01)
        self._space = os.readlink(f"/proc/{self.first}/ns/pid")  # noqa: PTH115

    def die(self) -> None:
        """All processes of this host are gone at once."""
        os.kill(self.first, 9)
        self._outer.wait()

    def cut(self) -> None:
        """Pull the cable: nobody is told anything."""
        _ip("-n", self.network, "link", "set", self.link, "down")

    def mend(self) -> None:
        """Plug the cable in again."""
        _ip("-n", self.network, "link", "set", self.link, "up")

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` on this host."""
        return ["nsenter", "-t", str(self.first), "--net", "--uts", "--pid", "--mount", *command]

    def processes(self) -> list[int]:
        """All processes on this host but the first one."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                here = entry.name.isdigit() and os.readlink(entry / "ns/pid") == self._space  # noqa: PTH115
                if here and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
        return sorted({*found} - {self.first})

    def remove(self) -> None:
        self.die()
        _ip("netns", "del", self.network)


class Pair:
    """Two hosts ``here`` and ``there``; `environment` is what a user sets to use both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keys = folder / "home" / ".ssh"
        keys.mkdir(parents=True)
        for path in (keys.parent, keys):
            path.chmod(0o700)
        made = _output("dropbearkey", "-t", "ed25519", "-f", keys / "id")
        public = next(line for line in made.splitlines() if line.startswith("ssh-"))
        (keys / "authorized_keys").write_text(public + "\n")
        (keys / "authorized_keys").chmod(0o600)
        # Daemons that are killed leave directories by their pid, and pids begin anew on a host that boots.
        (keys.parent / ".profile").write_text(f"export TMPDIR=$(mktemp -d -p {keys.parent})\n")
        (folder / "passwd").write_text(f"root:x:0:0:root:{keys.parent}:/bin/sh\n")
        self.here, self.there = Host(folder, "a", "10.77.0.1"), Host(folder, "b", "10.77.0.2")
        a, b = self.here, self.there
        _ip(
            "link",
            "add",
            a.link,
            "netns",
            a.network,
            "type",
            "veth",
            "peer",
            "name",
            b.link,
            "netns",
            b.network,
        )
        for host in (a, b):
            _ip("-n", host.network, "address", "add", f"{host.address}/24", "dev", host.link)
            host.mend()
            host.boot()

    def environment(self, *slots: int) -> dict[str, str]:
        """For so many ranks on each host: what Open MPI reads, and what MPICH does."""
        files = {"slots": self.folder / "hosts", "colons": self.folder / "hosts-mpich"}
        agent = self.folder / "ssh"
        agent.write_text(f'#!/bin/sh\nexec dbclient -y -y -i {self.folder}/home/.ssh/id "$@"\n')
        agent.chmod(0o755)
        places = [
            (host.address, count)
            for host, count in zip((self.here, self.there), slots, strict=True)
        ]
        files["slots"].write_text(
            "".join(f"{address} slots={count}\n" for address, count in places)
        )
        files["colons"].write_text("".join(f"{address}:{count}\n" for address, count in places))
        return {
            "PRTE_MCA_prte_default_hostfile": str(files["slots"]),
            "PRTE_MCA_plm_ssh_agent": str(agent),
            "PRTE_MCA_hwloc_default_binding_policy": "none",  # both hosts are the same cores
            "HYDRA_HOST_FILE": str(files["colons"]),
            "HYDRA_LAUNCHER": "rsh",
            "HYDRA_LAUNCHER_EXEC": str(agent),
            "UCX_TLS": "tcp,self",  # else it finds both hosts on one machine and tries its memory
        }

    def remove(self) -> None:
        for host in (self.here, self.there):
            host.remove()
