"""A SLURM cluster of three nodes on this one machine, for as long as a `with` lasts.

slurmctld, three slurmd (c1 and c2 in the partition cpu, g1 in gpu with two pretended GPUs), munge, and slurmdbd on a
MariaDB of its own, from Debian's packages, without systemd. All daemons are children of this process and are ended by
it, with whatever they started; their files lie in one private folder. The one thing outside is a link: the inner
`srun` of Snakemake's plugin is started without SLURM_CONF, so the default path must lead to the configuration.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import psutil

PACKAGES = ("slurm-wlm", "slurmdbd", "munge", "mariadb-server")
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "sbatch", "sacctmgr")
DEFAULT_CONF = Path("/etc/slurm/slurm.conf")
FOLDER_PREFIX = "txm2sem-slurm-"
CPUS, MEMORY_MB = 8, 64000  # what every node claims to have; a job that takes more memory than its own is killed
NODES = {"c1": "", "c2": "", "g1": "Gres=gpu:2"}


class NoClusterError(Exception):
    """A cluster cannot be had here; the message says why."""


def install_packages() -> None:
    """Install what is missing.

    Raises:
        NoClusterError: it cannot be installed.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise NoClusterError("SLURM's daemons need root on Linux")
    os.environ["PATH"] += os.pathsep + os.pathsep.join(("/usr/sbin", "/sbin"))
    if all(shutil.which(program) for program in PROGRAMS):
        return
    if shutil.which("apt-get") is None:
        raise NoClusterError("SLURM is not installed, and there is no apt-get to install it")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:  # keeps the packages from starting daemons of their own
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for arguments in (("update",), ("install", "--yes", "--no-install-recommends", *PACKAGES)):
            done = subprocess.run(
                ("apt-get", "-qq", *arguments), env=environment, capture_output=True, text=True, timeout=240
            )
            if done.returncode:
                raise NoClusterError(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-300:]}")
    except subprocess.TimeoutExpired:
        raise NoClusterError("apt-get did not end within four minutes") from None
    finally:
        if ours:
            policy.unlink()


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return as soon as the condition holds.

    Raises:
        TimeoutError: names what was waited for.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.1)


def run(*command: str, timeout: float = 30) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a command ends with 0 within ten seconds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Kill them, whether or not they are still there."""
    for process in processes:
        try:
            process.kill()  # psutil compares the time of the start: a later process of the same number is safe
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)


class Cluster:
    """The cluster; see the module."""

    def __init__(self) -> None:
        self.folder = Path()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Cluster:
        install_packages()
        _refuse_other_configuration()
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self.folder.chmod(0o755)  # munge and mysql run as users of their own
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    # --- what tests do with it

    def node_dies(self, node: str) -> None:
        """End a node as a power cut does: its daemon and every process of its jobs, at once."""
        daemon = self._daemons.pop(f"slurmd-{node}")
        end_processes([psutil.Process(daemon.pid), *psutil.Process(daemon.pid).children(recursive=True)])
        daemon.wait()
        run("scontrol", "update", f"nodename={node}", "state=down", "reason=power cut")

    def node_returns(self, node: str) -> None:
        """Start the daemon of a node that died, and give the node back to the scheduler."""
        self._start_node(node)
        run("scontrol", "update", f"nodename={node}", "state=resume")
        self._wait_for_nodes()

    def accounting(self, *fields: str) -> list[dict[str, str]]:
        """What sacct knows of every job so far, one entry a run: a job that was requeued has several."""
        table = run("sacct", "-X", "-n", "-P", "-D", "-a", "-S", "now-1day", "-o", ",".join(fields))
        return [dict(zip(fields, line.split("|"), strict=True)) for line in table.splitlines()]

    # --- its life

    def _start(self) -> None:
        ports = _free_ports(3 + len(NODES))
        self._write_configuration(ports)
        os.environ["SLURM_CONF"] = str(self.folder / "etc/slurm.conf")
        DEFAULT_CONF.parent.mkdir(parents=True, exist_ok=True)
        DEFAULT_CONF.symlink_to(self.folder / "etc/slurm.conf")
        self._start_munge()
        self._start_accounting(ports[2])
        self._daemon("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self._start_node(node)
        self._wait_for_nodes()

    def _daemon(self, name: str, *command: str, user: str | None = None) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            # a session of its own: an interrupt at the terminal is for this process, which then ends them in order
            self._daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, start_new_session=True
            )

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir()
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        for path in (folder, folder / "munge.key"):
            shutil.chown(path, "munge", "munge")
        files = ("key-file=munge.key", "socket=munge.socket", "pid-file=munged.pid", "log-file=munged.log")
        files += ("seed-file=munged.seed",)
        options = [f"--{name}={folder / file}" for name, _, file in (entry.partition("=") for entry in files)]
        self._daemon(
            "munged",
            "munged",
            "--foreground",
            "--force",
            f"--seed-file={folder / 'munged.seed'}",
            *options,
            user="munge",
        )
        self._wait_for("munged", lambda: succeeds("munge", "-n", "-S", str(folder / "munge.socket")))

    def _start_accounting(self, port: int) -> None:
        folder, socket_ = self.folder / "mysql", str(self.folder / "mysql/s.sock")
        folder.mkdir()
        shutil.chown(folder, "mysql", "mysql")
        install = ("mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={folder}", "--skip-test-db")
        run(*install, "--auth-root-authentication-method=normal", timeout=60)
        options = (f"--datadir={folder}", f"--socket={socket_}", f"--port={port}", "--bind-address=127.0.0.1")
        limits = ("--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900")
        self._daemon("mariadbd", "mariadbd", "--no-defaults", *options, *limits, user="mysql")
        client = ("mariadb", "--no-defaults", "-S", socket_, "-u", "root", "-e")
        self._wait_for("mariadbd", lambda: succeeds(*client, "select 1"))
        statements = ["CREATE DATABASE slurm"]
        for host in ("127.0.0.1", "localhost"):
            statements.append(f"CREATE USER 'slurm'@'{host}' IDENTIFIED BY 'slurm'")
            statements.append(f"GRANT ALL ON slurm.* TO 'slurm'@'{host}'")
        run(*client, "; ".join(statements))
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self._wait_for("slurmdbd", lambda: succeeds("sacctmgr", "-n", "-i", "list", "cluster"))
        run("sacctmgr", "-i", "-Q", "add", "cluster", "testing")
        run("sacctmgr", "-i", "-Q", "add", "account", "lab", "Description=lab", "Organization=lab", "Cluster=testing")
        run("sacctmgr", "-i", "-Q", "add", "user", getpass.getuser(), "Account=lab", "Cluster=testing")

    def _start_node(self, node: str) -> None:
        self._daemon(f"slurmd-{node}", "slurmd", "-D", "-N", node)

    def _wait_for(self, name: str, condition: Callable[[], bool]) -> None:
        try:
            wait_until(lambda: condition() or self._daemons[name].poll() is not None, 40, name)
            if self._daemons[name].poll() is not None:
                raise NoClusterError(f"{name} ended at once")
        except (TimeoutError, NoClusterError) as error:
            raise NoClusterError(f"{error}; its last words: {self._last_words(name)}") from None

    def _last_words(self, name: str) -> str:
        logs = [path for path in (self.folder / "log").glob(f"{name}.*") if path.stat().st_size]
        logs += list((self.folder / "munge").glob("*.log")) if name == "munged" else []
        return " | ".join(line for path in logs for line in path.read_text(errors="replace").splitlines()[-3:])

    def _wait_for_nodes(self) -> None:
        def up() -> bool:
            states = run("sinfo", "-h", "-N", "-o", "%N %t").splitlines()
            return len({line for line in states if line.split()[1] in ("idle", "mix", "alloc")}) == len(NODES)

        try:
            wait_until(up, 40, "three nodes that are up")
        except TimeoutError as error:
            raise NoClusterError(f"{error}: {run('sinfo', '-N', '-l')} {self._last_words('slurmctld')}") from None

    def _stop(self) -> None:
        children = []
        if "slurmctld" in self._daemons:
            subprocess.run(("scancel", "--user", getpass.getuser()), capture_output=True, timeout=30)
        for daemon in self._daemons.values():
            if daemon.poll() is None:
                children += psutil.Process(daemon.pid).children(recursive=True)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(timeout=15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        end_processes(children)
        self._daemons.clear()
        os.environ.pop("SLURM_CONF", None)
        if DEFAULT_CONF.is_symlink() and DEFAULT_CONF.readlink() == self.folder / "etc/slurm.conf":
            DEFAULT_CONF.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_configuration(self, ports: Sequence[int]) -> None:
        folder, host = self.folder, socket.gethostname().split(".")[0]
        for name in ("etc", "log", "run", "dev", "spool/slurmctld", *(f"spool/{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        for number in (0, 1):  # slurmd wants character devices, and takes CUDA_VISIBLE_DEVICES from their digits
            try:
                os.mknod(folder / f"dev/nvidia{number}", 0o20666, os.makedev(1, 3))
            except PermissionError:
                raise NoClusterError("this machine lets root make no device files for the pretended GPUs") from None
        controller, database, storage, *daemons = ports
        munge = f"{folder}/munge/munge.socket"
        size = f"CPUs={CPUS} RealMemory={MEMORY_MB}"
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size} {gres}"
            for (node, gres), port in zip(NODES.items(), daemons, strict=True)
        )
        (folder / "etc/slurm.conf").write_text(
            SLURM_CONF.format(folder=folder, host=host, port=controller, dbd_port=database, munge=munge, nodes=nodes)
        )
        (folder / "etc/gres.conf").write_text(f"AutoDetect=off\nNodeName=g1 Name=gpu File={folder}/dev/nvidia[0-1]\n")
        dbd = folder / "etc/slurmdbd.conf"
        dbd.touch(mode=0o600)
        dbd.write_text(SLURMDBD_CONF.format(folder=folder, host=host, port=database, storage=storage, munge=munge))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _refuse_other_configuration() -> None:
    """Only a link that an earlier run left behind, when it was killed, is put away."""
    if not DEFAULT_CONF.exists() and not DEFAULT_CONF.is_symlink():
        return
    target = DEFAULT_CONF.readlink() if DEFAULT_CONF.is_symlink() else DEFAULT_CONF
    if not target.parts[-3:-2] or not target.parts[-3].startswith(FOLDER_PREFIX):
        raise NoClusterError(f"{DEFAULT_CONF} is there: this machine belongs to a cluster")
    if succeeds("scontrol", "ping"):
        raise NoClusterError(f"{target.parent.parent} is the cluster of another run of these tests, still going on")
    DEFAULT_CONF.unlink()


# urgent: jobs there push jobs of the partition gpu back into the queue.
# cred_expire: the seconds that a job put back into the queue waits at least.
SLURM_CONF = """\
ClusterName=testing
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge},cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/spool/slurmctld
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=1000,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
DefMemPerCPU=256
MinJobAge=300
InactiveLimit=0
SlurmdTimeout=30
SlurmctldTimeout=30
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={munge}
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=c1,c2 Default=YES MaxTime=7-00:00:00 State=UP PriorityTier=1
PartitionName=gpu Nodes=g1 MaxTime=7-00:00:00 State=UP PriorityTier=1
PartitionName=urgent Nodes=g1 MaxTime=7-00:00:00 State=UP PriorityTier=9
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={munge}
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/run/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
