"""A real Slurm of one node in a temporary directory: munged, slurmctld and slurmd, no systemd, no database."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from caligo_mpi import store

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "tests" / "plugins"
DAEMONS = ("munged", "slurmctld", "slurmd")

CONFIG = """\
pairs: 81_920
seed: 7
chunk_size: 1024
engine: {name: trouble}
"""

# Ranks share the machine with whatever else runs there, so more CPUs are declared than there may be.
CONFIGURATION = """\
ClusterName=caligo
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
DefMemPerCPU=500
SlurmdTimeout=5
KillWait=15
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=16000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=01:00:00 State=UP
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Slurm:
    """A running cluster and the commands that talk to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir()
        self.configuration = folder / "slurm.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=folder, host=socket.gethostname(), user=getpass.getuser(),
                controller_port=free_port(), node_port=free_port(),
            )
        )  # fmt: skip
        # In /tmp, what a killed step leaves behind would meet the same step of the next cluster.
        (folder / "mpi.conf").write_text(f"PMIxCliTmpDirBase={folder}\n")
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "CALIGO_"))
        }
        command = folder / "bin" / "caligo-mpi"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m caligo_mpi "$@"\n')
        command.chmod(0o755)
        self.env |= {
            "SLURM_CONF": str(self.configuration),
            "PYTHONPATH": f"{ROOT}:{PLUGINS}",
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}:/usr/sbin",
        }

        self._stopping = threading.Event()
        self._hurrying = threading.Thread(target=self._hurry, daemon=True)

    # Daemons.

    def start(self) -> None:
        paths = [
            f"--{name}={self.folder}/munge.{name.split('-')[0]}"
            for name in ("key-file", "socket", "seed-file")
        ]
        self._daemon("munged", "--force", f"--pid-file={self.folder}/munged.pid",
                     f"--log-file={self.folder}/munged.log", *paths)  # fmt: skip
        self._daemon("slurmctld", "-f", str(self.configuration))
        self.start_node()
        self._hurrying.start()

    def start_node(self) -> None:
        self._daemon("slurmd", "-f", str(self.configuration), "-N", socket.gethostname())
        self.run(
            "scontrol", "update", f"NodeName={socket.gethostname()}", "State=RESUME", check=False
        )
        self.wait(
            lambda: (
                self.run("sinfo", "-h", "-o", "%T", check=False) in ("idle", "mixed", "allocated")
            ),
            "node up",
        )

    def stop_daemon(self, name: str, number: int = signal.SIGTERM) -> None:
        pid_file = self.folder / f"{name}.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        self.wait(lambda: not Path(f"/proc/{pid}").exists(), f"end of {name}")

    def stop(self) -> None:
        self._stopping.set()
        self.run("scancel", "--user", getpass.getuser(), check=False)
        with contextlib.suppress(AssertionError):
            self.wait(
                lambda: not self.run("squeue", "-h", check=False), "end of all jobs", timeout=15
            )
        for name in reversed(DAEMONS):
            self.stop_daemon(name, signal.SIGKILL)

    def _daemon(self, *command: str) -> None:
        # Captured output would be held open by the daemon.
        with (self.folder / "daemons.log").open("a") as log:
            subprocess.run(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
            )

    def _hurry(self) -> None:
        """Let requeued jobs start soon: Slurm waits for two minutes, and refuses a job in the second of its requeue."""
        hurried: dict[str, float] = {}
        while not self._stopping.wait(0.5):
            for line in self.run(
                "squeue", "-h", "-t", "PENDING", "-o", "%i %r", check=False
            ).splitlines():
                job, reason = line.split(maxsplit=1)
                if reason == "BeginTime" and time.monotonic() > hurried.get(job, 0) + 10:
                    hurried[job] = time.monotonic()
                    self.run("scontrol", "update", f"JobId={job}", "StartTime=now+2", check=False)

    # Commands.

    def run(self, *command: object, check: bool = True, **options: object) -> str:
        """Standard output of a command that knows this cluster."""
        options = {"env": self.env, "capture_output": True, "text": True, "timeout": 120, **options}
        result = subprocess.run([str(word) for word in command], check=False, **options)  # type: ignore[call-overload]
        assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return str(result.stdout).strip()

    def submit(self, *arguments: object, cwd: Path, **env: str) -> str:
        """``sbatch`` something; returns the job's id."""
        return self.run("sbatch", "--parsable", *arguments, cwd=cwd, env={**self.env, **env})

    def show(self, job: str) -> dict[str, str]:
        """What ``scontrol`` knows about a job."""
        text = self.run("scontrol", "show", "job", job, check=False)
        return dict(re.findall(r"(?:^|\s)(\w+)=(\S*)", text))

    def finish(self, job: str, timeout: float = 120) -> str:
        """Wait for a job's end; returns ``STATE code:signal``."""
        facts: dict[str, str] = {}

        def ended() -> bool:
            nonlocal facts
            facts = self.show(job)
            return facts.get("JobState") not in (
                "PENDING",
                "RUNNING",
                "COMPLETING",
                "CONFIGURING",
                "SUSPENDED",
                None,
            )

        self.wait(ended, f"end of job {job}", timeout=timeout)
        return f"{facts['JobState']} {facts['ExitCode']}"

    def wait_for_restart(self, job: str) -> None:
        """Until a job has gone back into the queue and runs again."""
        before = self.show(job)["Restarts"]

        def again() -> bool:
            facts = self.show(job)
            return facts["Restarts"] != before and facts["JobState"] != "PENDING"

        self.wait(again, f"restart of job {job}", timeout=60)

    def kill_node(self) -> None:
        """What a power failure leaves of a node: neither slurmd nor anything that ran in a job; Slurm is told."""
        self.stop_daemon("slurmd", signal.SIGKILL)
        # What reports the end of a job goes before the job.
        for pid in [
            *self._processes("cmdline", b"slurmstepd"),
            *self._processes("environ", b"SLURM_JOB_ID="),
        ]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run(
            "scontrol", "update", f"NodeName={socket.gethostname()}", "State=DOWN", "Reason=power"
        )

    def _processes(self, file: str, pattern: bytes) -> list[int]:
        """Processes that belong to this cluster and have ``pattern`` in that file of ``/proc``."""
        found, mark = [], f"SLURM_CONF={self.configuration}\0".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (
                    mark in (entry / "environ").read_bytes()
                    and pattern in (entry / file).read_bytes()
                ):
                    found.append(int(entry.name))
        return found

    @staticmethod
    def wait(condition, what: str, timeout: float = 30) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"{what} did not come within {timeout} s"
            time.sleep(0.1)


class Runs:
    """Runs of one slow configuration in a directory of its own, its scripts copied as a site would have them."""

    def __init__(self, slurm: Slurm, folder: Path) -> None:
        self.slurm, self.folder = slurm, folder
        self.scripts = folder / "site scripts"
        shutil.copytree(ROOT / "slurm", self.scripts)
        self.set_site("")
        self.config = folder / "my run.yaml"
        self.config.write_text(CONFIG)

    def set_site(self, lines: str) -> None:
        """What ``env.sh`` does for each launch; ``$CALIGO_TEST_SECONDS`` is the time of a chunk."""
        (self.scripts / "env.sh").write_text(lines + "\n")

    def submit(
        self,
        *options: object,
        script: str = "generate.sbatch",
        file: str = "run.h5",
        more=(),
        **env,
    ) -> str:
        """Submit a script for two ranks; returns the job's id."""
        arguments = ["-n", 2, *options, self.scripts / script, self.config, file, *more]
        return self.slurm.submit(*arguments, cwd=self.folder, **env)

    def wait_for_chunks(self, chunks: int, file: str = "run.h5") -> None:
        """Until a running file has this many committed chunks."""

        def there() -> bool:
            try:
                return store.status(self.folder / file).chunks_done >= chunks
            except store.StoreError:
                return False  # not there yet, or being created

        self.slurm.wait(there, f"{chunks} chunks", timeout=60)

    def log(self, job: str) -> str:
        """What a job has printed."""
        return "".join(path.read_text() for path in self.folder.glob(f"*-{job}.log"))

    def identity(self, file: str = "run.h5") -> tuple[str, str]:
        """What must be equal for two files to hold the same run."""
        path = self.folder / file
        return store.status(path).data_digest, store.pairs_hash(path)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The cluster; one for all tests."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if missing := [name for name in (*DAEMONS, "sbatch") if not shutil.which(name, path=path)]:
        pytest.skip(
            f"Slurm is not installed ({', '.join(missing)}); .ci/install_packages.sh does it where apt is available"
        )
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def make_runs(slurm):
    """Make a directory one for runs of the slow configuration."""
    return functools.partial(Runs, slurm)


@pytest.fixture
def runs(make_runs, tmp_path):
    """A directory for runs of the slow configuration."""
    return make_runs(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(slurm, tmp_path_factory):
    """The identity of the slow configuration's serial run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "run.yaml").write_text(CONFIG)
    slurm.run(
        sys.executable, "-m", "caligo_mpi", "generate", "run.yaml", "-q", "-o", "run.h5", cwd=folder
    )
    return store.status(folder / "run.h5").data_digest, store.pairs_hash(folder / "run.h5")
