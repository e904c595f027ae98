"""Separate machines on this one: each has a network, processes, mounts, users and an SSH server of its own.

Linux namespaces make them, so this needs root, iproute2 and OpenSSH. They share the kernel and the disk, which is left
out of what they see: `/home`, `/tmp` and `/run` are each machine's own, `/srv/shared` is the mount that all have.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.hosts.image import write_environment

BRIDGE = "pinfunnel0"
SUBNET = "10.61.7"
USER = "ray"
UID = 4711
SHARED = "/srv/shared"
NEEDED = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "sshd": "openssh-server",
    "rsync": "rsync",
}

INIT = r"""
set -e
mount --make-rprivate /
hostname {name}
mkdir -p {shared}
mount --bind {root}/shared {shared}
mount --bind {root}/python {root}/python
mount -t tmpfs -o mode=755 tmpfs /root
mkdir -p {python}
mount --bind {root}/python {python}
mount --bind {root}/{name}/home /home
mount --bind {root}/environment /home/{user}/pinfunnel-venv
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
mount --bind {root}/{name}/tmp /tmp
exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
"""

SSHD = """
Port 22
HostKey {key}
PasswordAuthentication no
PermitRootLogin no
UsePAM no
MaxStartups 100
MaxSessions 100
SetEnv PATH={python}/bin:/usr/local/bin:/usr/bin:/bin
"""


def missing() -> str:
    """Why there can be no machines here; empty where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux, and root for its namespaces"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if lacking := sorted({package for tool, package in NEEDED.items() if shutil.which(tool, path=path) is None}):
        return f"needs {', '.join(lacking)}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


class Host:
    """One machine. `power_off` ends all its processes at once, and nobody is told; its disk stays."""

    def __init__(self, name: str, number: int, root: Path):
        self.name = name
        self.short = name.split(".")[0]
        self.address = f"{SUBNET}.{number}"
        self.root = root
        self.space = f"pf-{self.short}"
        self.link = f"pf{number}"
        self._init: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """Of the user, as this machine's disk holds it."""
        return self.root / self.name / "home" / USER

    def connect(self) -> None:
        """A network namespace on the bridge."""
        _do("ip", "netns", "add", self.space)
        _do("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        _do("ip", "link", "set", self.link, "master", BRIDGE, "up")
        inside = ("ip", "-n", self.space)
        _do(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _do(*inside, "link", "set", "eth0", "up")
        _do(*inside, "link", "set", "lo", "up")

    def power_on(self) -> None:
        """Returns when its SSH server answers."""
        _do("ip", "link", "set", self.link, "up")
        script = INIT.format(name=self.name, root=self.root, shared=SHARED, python=sys.base_prefix, user=USER)
        inside = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        with (self.root / f"{self.short}.sshd.log").open("ab") as log:
            self._init = subprocess.Popen(
                ["ip", "netns", "exec", self.space, *inside, "bash", "-c", script],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        for _ in range(100):
            told = subprocess.run(
                ["ip", "netns", "exec", self.space, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/22"], capture_output=True
            )
            if told.returncode == 0:
                return
            if self._init.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not start: {(self.root / f'{self.short}.sshd.log').read_text()[-500:]}")

    def processes(self) -> list[int]:
        """All that run on it, by their numbers outside."""
        return children(self._init.pid) if self._init is not None else []

    def power_off(self) -> None:
        """The network first, as the kernel would tell others that connections end; then SIGKILL to everything on it."""
        if self._init is not None:
            _do("ip", "link", "set", self.link, "down")
            for child in self.processes():
                with suppress(ProcessLookupError):  # with the init of its processes the kernel kills the others
                    os.kill(child, signal.SIGKILL)
            self._init.kill()
            self._init.wait()
            self._init = None


def children(pid: int) -> list[int]:
    """Processes that `pid` has started, and they, from the last."""
    own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in own for each in [*children(child), child]]


class Machines:
    """Some hosts, and the desk: a machine of somebody who starts them over SSH, without an SSH server of its own."""

    def __init__(self, root: Path, names: Sequence[str]):
        self.root = root
        self.desk = Host("desk", 1, root)
        self.hosts = [Host(name, number, root) for number, name in enumerate(names, start=10)]

    def __getitem__(self, short: str) -> Host:
        return next(host for host in self.hosts if host.short == short)

    def run(self, command: str, timeout: float = 120.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A shell command at the desk, in the checkout there. Raises AssertionError with its output where it fails."""
        home = self.root / "desk" / "home"
        environment = {
            "HOME": str(home),
            "PYTHONPATH": f"{home}/pinfunnel",
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/sbin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        line = f"cd ~/pinfunnel && {command}"
        done = subprocess.run(
            ["ip", "netns", "exec", self.desk.space, "bash", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(
                f"$ {command}\nexit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done


@contextmanager
def machines(names: Sequence[str], checkout: Path, environment: Path) -> Iterator[Machines]:
    """Hosts that run, with `environment` as the image's virtual environment, and a desk with `checkout` and a key."""
    root = Path(tempfile.mkdtemp(prefix="pinfunnel-hosts-", dir="/var/tmp"))
    root.chmod(0o755)
    made = Machines(root, names)
    try:
        _fill(made, checkout, environment)
        _do("ip", "link", "add", BRIDGE, "type", "bridge")
        _do("ip", "addr", "add", f"{SUBNET}.254/24", "dev", BRIDGE)
        _do("ip", "link", "set", BRIDGE, "up")
        for host in (made.desk, *made.hosts):
            host.connect()
        for host in made.hosts:
            host.power_on()
        yield made
    finally:
        for host in made.hosts:
            host.power_off()
        for host in (made.desk, *made.hosts):
            # before the namespace, which lives on for as long as a process there, as SSH's that waits for more
            subprocess.run(["ip", "link", "del", host.link], capture_output=True)
            subprocess.run(["ip", "netns", "del", host.space], capture_output=True)
            shutil.rmtree(f"/etc/netns/{host.space}", ignore_errors=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)
        subprocess.run(["umount", f"{root}/python"], capture_output=True)
        shutil.rmtree(root, ignore_errors=True)


def _fill(made: Machines, checkout: Path, environment: Path) -> None:
    root = made.root
    (root / "shared").mkdir(mode=0o777)
    (root / "shared").chmod(0o777)
    (root / "python").mkdir()
    _do("mount", "--bind", sys.base_prefix, f"{root}/python")
    home = f"/home/{USER}"
    write_environment(environment, root / "environment", checkout, f"{home}/pinfunnel-venv", f"{home}/pinfunnel")
    desk = root / "desk" / "home"
    (desk / ".ssh").mkdir(parents=True, mode=0o700)
    key = desk / ".ssh" / "id_ed25519"
    _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    shutil.copytree(checkout, desk / "pinfunnel", symlinks=True)
    names = "\n".join(f"{host.address} {host.name}" for host in (made.desk, *made.hosts))
    accounts = {
        "passwd": f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/bash\n",
        "group": f"{USER}:x:{UID}:\n",
        "shadow": f"{USER}:*:19000:0:99999:7:::\n",
    }
    for host in (made.desk, *made.hosts):
        etc = Path("/etc/netns") / host.space
        shutil.rmtree(etc, ignore_errors=True)
        etc.mkdir(parents=True)  # `ip netns exec` lays its files over those of /etc
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}\n")
    # ssh asks the accounts for the folder of a user, not HOME
    passwd = re.sub(r"(?m)^(root:.*:)[^:]*(:[^:]*)$", rf"\g<1>{desk}\g<2>", Path("/etc/passwd").read_text())
    (Path("/etc/netns") / made.desk.space / "passwd").write_text(passwd)
    for host in made.hosts:
        etc = Path("/etc/netns") / host.space
        for name, line in accounts.items():
            (etc / name).write_text(Path(f"/etc/{name}").read_text() + line)
        ssh = etc / "ssh"
        ssh.mkdir()
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / "host_key"))
        config = SSHD.format(key="/etc/ssh/host_key", python=sys.base_prefix)
        (ssh / "sshd_config").write_text(config)
        (root / host.name / "tmp").mkdir(parents=True)
        (root / host.name / "tmp").chmod(0o1777)
        (host.home / ".ssh").mkdir(parents=True, mode=0o700)
        shutil.copy(f"{key}.pub", host.home / ".ssh" / "authorized_keys")
        (host.home / "pinfunnel-venv").mkdir()
        (host.home / ".bashrc").write_text(f"export PATH={sys.base_prefix}/bin:$PATH\n")
        (host.home / ".profile").write_text('. "$HOME/.bashrc"\n')
        _do("chown", "-R", f"{UID}:{UID}", str(host.home))
