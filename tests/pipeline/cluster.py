"""A real SLURM cluster of one node on this machine, with one make-believe GPU. Needs root, slurm-wlm and munge.

The node says that it has as many cores and as much memory as the jobs of profiles/slurm ask for.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MinJobAge=86400
KillWait=3
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 Gres=gpu:1
PartitionName=cpu Nodes=ALL Default=YES
PartitionName=gpu Nodes=ALL
"""
# Where every SLURM command looks by itself; the executor takes variables such as SLURM_CONF from its jobs.
PLACE = Path("/etc/slurm")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")


def missing_programs() -> list[str]:
    """What of SLURM is not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Cluster:
    """A running cluster, its files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, *words: str) -> str:
        """Run one of SLURM's commands; returns its output."""
        return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout

    def jobs(self) -> dict[int, dict[str, str]]:
        """All jobs so far by number, with SLURM's fields."""
        found = {}
        for line in self.command("scontrol", "--oneliner", "show", "jobs").splitlines():
            fields = dict(word.partition("=")[::2] for word in line.split() if "=" in word)
            if "JobId" in fields:
                found[int(fields["JobId"])] = fields
        return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def one_node_cluster(folder: Path) -> Iterator[Cluster]:
    """Start the daemons, wait for the node, and end them in the end."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    settings = {"host": socket.gethostname().partition(".")[0], "folder": folder}
    settings |= {"controller_port": _free_port(), "node_port": _free_port()}
    files = [PLACE / "slurm.conf", PLACE / "gres.conf"]
    for file in files:
        assert not file.exists(), f"{file}: this machine has a SLURM of its own"
    files[0].write_text(CONFIGURATION.format(**settings))
    files[1].write_text(f"NodeName={settings['host']} Name=gpu File=/dev/null\n")
    cluster = Cluster(folder)
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    daemons = [["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge]]
    daemons += [["slurmctld", "-D"], ["slurmd", "-D"]]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in daemons:
            with open(folder / f"{command[0]}.out", "wb") as output:
                process = subprocess.Popen(command, stdout=output, stderr=output)
            running.append(process)
            time.sleep(1.0)
            assert process.poll() is None, (folder / f"{command[0]}.out").read_text()
        while "idle" not in cluster.command("sinfo", "--noheader", "--format=%T"):
            assert all(process.poll() is None for process in running)
            time.sleep(0.2)
        yield cluster
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        for file in files:
            file.unlink()
