"""A Docker daemon of our own: everything it keeps is in one folder, and nothing is left when it ends."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BRIDGE = "fi-test0"
"""The bridge of single containers; those of Compose are removed by `down`."""
BRIDGE_ADDRESS = "10.213.0.1/24"
POOL = "10.214.0.0/16"
"""Addresses for Compose's networks, /24 each."""
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
CGROUPS = "face-import-test"
"""Parent of the containers' control groups."""
TRACES = (Path("/etc/docker/key.json"), Path("/run/docker"), Path("/run/containerd"))
"""What the daemon makes outside its folder."""
FIREWALLS = ("iptables", "ip6tables")
DISK_BYTES = 3 * 2**30
"""The disk of all volumes; a file in which what was never written takes no room."""


class Unavailable(Exception):
    """No daemon can run here; the text says why."""


class Daemon:
    """dockerd, in a folder.

    Args:
        folder: for its data, sockets and logs; must be on a file system that overlay2 works on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What clients need: this daemon, and the folder with Compose as a plugin."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        return {
            **own,
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "0",  # BuildKit's client is a plugin that Debian 12 does not have
        }

    @property
    def volumes(self) -> Path:
        """Where all volumes are: a disk of their own, which can be filled."""
        return self.folder / "data" / "volumes"

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            Unavailable: it does not within a minute.
        """
        options = {
            "data-root": self.folder / "data",
            "exec-root": self.folder / "exec",
            "pidfile": self.folder / "dockerd.pid",
            "host": f"unix://{self.folder}/docker.sock",
            "bridge": BRIDGE,
            "config-file": self.folder / "daemon.json",
            "cgroup-parent": f"/{CGROUPS}",
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        (self.folder / "daemon.json").write_text(
            json.dumps({"default-address-pools": [{"base": POOL, "size": 24}], "userland-proxy": True})
        )
        with (self.folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(["dockerd", *words], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while self.ask("version").returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "dockerd.log").read_text()[-1500:]
                raise Unavailable(f"dockerd does not run here:\n{tail}")
            time.sleep(0.2)

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A docker command whose failure is an answer."""
        return subprocess.run(["docker", *words], env=self.environment, capture_output=True, text=True, check=False)

    def stop(self) -> None:
        """End it, and with it all containers, as a shutdown of the machine does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def running(folder: Path) -> Iterator[Daemon]:
    """A daemon for a while; afterwards the machine is as it was.

    Raises:
        Unavailable: it cannot run here.
    """
    if missing := [name for name in ("dockerd", "docker", "iptables", "ip") if shutil.which(name) is None]:
        raise Unavailable(f"not installed: {', '.join(missing)}")
    if " DOCKER" in _run("iptables", "-S"):
        raise Unavailable("another Docker daemon has rules in this machine's firewall; two would share them badly")
    forwarding = FORWARDING.read_text()
    policies = {name: _policy(name) for name in FIREWALLS}
    traces = [path for path in TRACES if not path.exists()]
    daemon = Daemon(folder)
    try:
        _mount_disk(folder / "volumes.ext4", daemon.volumes)
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "address", "add", BRIDGE_ADDRESS, "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        for bridge in (BRIDGE, *_bridges()):
            _run("ip", "link", "delete", bridge)
        for name, policy in policies.items():
            _forget(name, policy)
        FORWARDING.write_text(forwarding)
        for path in traces:
            path.unlink(missing_ok=True) if path.suffix else shutil.rmtree(path, ignore_errors=True)
        _remove_cgroups()
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _mount_disk(file: Path, folder: Path) -> None:
    """Make a file system in a file, and mount it.

    The folder above becomes a mount, too: the daemon would make it one itself, and so hide what is mounted in it.
    """
    folder.mkdir(parents=True)
    _run("mount", "--bind", str(folder.parent), str(folder.parent))
    _run("mount", "--make-shared", str(folder.parent))
    with file.open("wb") as disk:
        disk.truncate(DISK_BYTES)
    _run("mkfs.ext4", "-q", "-m", "0", str(file))
    _run("mount", "-o", "loop", str(file), str(folder))
    if not folder.is_mount():
        raise Unavailable("a file cannot be mounted as a disk of its own, which the volumes need here")


def _run(*words: str, given: str | None = None) -> str:
    """What a program prints; nothing if it fails or is not there."""
    with suppress(FileNotFoundError):
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""
    return ""


def _bridges() -> list[str]:
    """Those of Compose's networks that the daemon did not live to remove."""
    return re.findall(r"^\d+: (br-\w+) +inet 10\.214\.", _run("ip", "-4", "-oneline", "address"), re.MULTILINE)


def _policy(firewall: str) -> str:
    """What happens to forwarded packets that no rule is about; the daemon drops them."""
    found = re.search(r"-P FORWARD (\w+)", _run(firewall, "-S", "FORWARD"))
    return found[1] if found else ""


def _forget(firewall: str, policy: str) -> None:
    """Remove the daemon's chains and rules, and leave all others."""
    theirs = re.compile(rf"DOCKER|{BRIDGE}|\bbr-[0-9a-f]{{12}}\b|\b10\.21[34]\.")
    kept = [line for line in _run(f"{firewall}-save").splitlines() if not theirs.search(line)]
    if kept:
        _run(f"{firewall}-restore", given="\n".join(kept) + "\n")
    if policy:
        _run(firewall, "-P", "FORWARD", policy)


def _remove_cgroups() -> None:
    """Remove the control groups, which are empty; there is one hierarchy, or one for each kind of resource."""
    for root, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
        if CGROUPS in Path(root).parts:
            Path(root).rmdir()


def _unmount(folder: Path) -> None:
    """Detach what is still mounted below it, innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), key=len, reverse=True):
        _run("umount", "--lazy", mount)
