"""Creates the project's two virtual environments, or leaves them alone if they are up to date.

Standard library only: this runs before anything is installed. `.venv` is the product's (with `--dev`, also the
tests'); `.venv-services` is for the embedded face services, whose dependencies conflict with Airflow's. uv
installs both, in a third of the time that pip takes.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SUPPORTED = ((3, 11), (3, 12))
STAMP = ".up-to-date.json"
UV = CHECKOUT / ".uv"


@dataclass(frozen=True)
class Environment:
    """A virtual environment and its contents.

    Attributes:
        files: requirement files by part; `dev` is installed in addition to `run`.
        options: for the installer.
        editable: whether the project itself is installed into it.
    """

    name: str
    files: dict[str, str]
    options: tuple[str, ...] = ()
    editable: bool = False

    @property
    def path(self) -> Path:
        """Its directory."""
        return CHECKOUT / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


ENVIRONMENTS = (
    Environment(".venv", {"run": "requirements.txt", "dev": "requirements-dev.txt"}, editable=True),
    Environment(
        ".venv-services",
        {"run": "face_services/requirements.txt", "dev": "face_services/requirements-dev.txt"},
        # mediapipe requires more than its face models need; the file lists what is used.
        options=("--no-deps",),
    ),
)


def main() -> None:
    """Bring both environments up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also install what tests and checks need")
    parts = ("run", "dev") if parser.parse_args().dev else ("run",)
    if sys.version_info[:2] not in SUPPORTED:
        fail(f"Python 3.11 or 3.12 is required, this is {sys.version.split()[0]}: make PYTHON=/path/to/python")
    stale = [environment for environment in ENVIRONMENTS if not is_up_to_date(environment, parts)]
    if stale:
        # The first two are settings of some developers, by which pip would refuse to install into a folder.
        os.environ.update({"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"})
        uv = find_uv()
        os.environ.update(settings_of_pip())
        with ThreadPoolExecutor(len(stale)) as side_by_side:
            list(side_by_side.map(partial(bring_up_to_date, parts=parts, uv=uv), stale))


def is_up_to_date(environment: Environment, parts: tuple[str, ...]) -> bool:
    """Whether it is usable, and these parts were installed from the current requirements."""
    installed = installed_parts(environment) if usable(environment) else {}
    return all(installed.get(part) == digest(environment, part) for part in parts)


def installed_parts(environment: Environment) -> dict[str, str]:
    """Digest of the requirements that each part was installed from."""
    stamp = environment.path / STAMP
    return dict(json.loads(stamp.read_text())) if stamp.exists() else {}


def bring_up_to_date(environment: Environment, parts: tuple[str, ...], uv: str) -> None:
    """Install the parts, into a new environment if there is none that runs."""
    if not usable(environment):
        shutil.rmtree(environment.path, ignore_errors=True)
        run([uv, "venv", "--quiet", "--python", sys.executable, environment.path])
    installed = installed_parts(environment)
    (environment.path / STAMP).unlink(missing_ok=True)
    # Compiled here: otherwise the processes of the first `up` would all do it at once, and take twice as long to start.
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", environment.python]
    for part in parts:
        print(f"{environment.name}: installing {environment.files[part]}", flush=True)
        run([*install, *environment.options, "--require-hashes", "-r", CHECKOUT / environment.files[part]])
    if environment.editable:
        run([*install, "--no-deps", "-e", CHECKOUT])
    wanted = {part: digest(environment, part) for part in parts}
    (environment.path / STAMP).write_text(json.dumps({**installed, **wanted}))


def find_uv() -> str:
    """The machine's uv, or else the pinned one in `.uv`, which this Python's pip fetches when it is not there."""
    found = shutil.which("uv")
    if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        return found
    pins = CHECKOUT / "scripts" / "uv-requirements.txt"
    stamp = UV / STAMP
    if not stamp.exists() or stamp.read_text() != pins.read_text():
        shutil.rmtree(UV, ignore_errors=True)
        print(f"{UV.name}: installing scripts/{pins.name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            options = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--no-deps", "--require-hashes")
            run([*a_pip(Path(folder)), "install", *options, f"--target={UV}", "-r", pins])
        stamp.write_text(pins.read_text())
    return str(UV / "bin" / "uv")


def a_pip(folder: Path) -> list[object]:
    """This Python's pip, or that of an environment made in a folder, which Debian has in a package of its own."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        fail(f"{sys.executable} has no pip, which would fetch uv: apt-get install python3-venv")
    run([sys.executable, "-m", "venv", folder])
    return [folder / "bin" / "python", "-m", "pip"]


def settings_of_pip() -> dict[str, str]:
    """The variables by which uv goes by what pip is told of a mirror: it reads none of pip's own settings."""
    config = ConfigParser(interpolation=None)
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    own = os.environ.get("PIP_CONFIG_FILE", os.devnull)
    config.read(["/etc/xdg/pip/pip.conf", "/etc/pip.conf", Path.home() / ".pip/pip.conf", folder / "pip/pip.conf", own])
    found = {}
    for setting, variable in {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}.items():
        in_files = config.get("install", setting, fallback="") or config.get("global", setting, fallback="")
        value = os.environ.get(f"PIP_{setting.replace('-', '_').upper()}") or in_files
        if value and variable not in os.environ:
            found[variable] = value
    return found


def usable(environment: Environment) -> bool:
    """Whether the environment's interpreter runs and is of a supported version."""
    if not environment.python.exists():
        return False
    probe = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([environment.python, "-c", probe], capture_output=True, text=True, check=False)
    return tuple(map(int, answer.stdout.split())) in SUPPORTED


def digest(environment: Environment, part: str) -> str:
    """Digest of the requirements, the project's metadata, the interpreter version and the checkout's path."""
    content = hashlib.sha256((CHECKOUT / environment.files[part]).read_bytes())
    content.update(repr((sys.version_info[:2], str(CHECKOUT))).encode())
    if environment.editable:
        content.update((CHECKOUT / "pyproject.toml").read_bytes())
    return content.hexdigest()


def run(command: list[object]) -> None:
    """Run a command with its output shown; exit if it fails."""
    words = [str(word) for word in command]
    if code := subprocess.run(words, check=False).returncode:
        fail(f"exit code {code} of {' '.join(words)}")


def fail(message: str) -> None:
    """Exit with a one-line message."""
    raise SystemExit(f"setup: {message}")


if __name__ == "__main__":
    main()
