"""Creates the project's two virtual environments, or leaves them alone if they are up to date.

Standard library only: this runs before anything is installed. `.venv` is the product's (with `--dev`, also the
tests'); `.venv-services` is for the embedded face services, whose dependencies conflict with Airflow's.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SUPPORTED = ((3, 11), (3, 12))
STAMP = ".up-to-date.json"


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
    with ThreadPoolExecutor(len(ENVIRONMENTS)) as side_by_side:  # pip takes minutes, on one processor
        list(side_by_side.map(partial(bring_up_to_date, parts=parts), ENVIRONMENTS))


def bring_up_to_date(environment: Environment, parts: tuple[str, ...]) -> None:
    """Install the parts whose requirements changed since they were last installed."""
    if not usable(environment):
        create(environment)
    stamp = environment.path / STAMP
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    wanted = {part: digest(environment, part) for part in parts}
    if all(installed.get(part) == value for part, value in wanted.items()):
        return
    stamp.unlink(missing_ok=True)
    for part in parts:
        print(f"{environment.name}: installing {environment.files[part]}", flush=True)
        pins = str(CHECKOUT / environment.files[part])
        # As constraints too: pips before 23.3 do not see that `celery==5.6.3` pins a dependency `celery[redis]`.
        install(environment, *environment.options, "-r", pins, "-c", pins)
    if environment.editable:
        install(environment, "--no-deps", "-e", str(CHECKOUT))
    stamp.write_text(json.dumps({**installed, **wanted}))


def usable(environment: Environment) -> bool:
    """Whether the environment's interpreter runs and is of a supported version."""
    if not environment.python.exists():
        return False
    probe = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([environment.python, "-c", probe], capture_output=True, text=True, check=False)
    return tuple(map(int, answer.stdout.split())) in SUPPORTED


def create(environment: Environment) -> None:
    """Create an empty environment in place of an unusable one."""
    shutil.rmtree(environment.path, ignore_errors=True)
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, environment.path])
        return
    if importlib.util.find_spec("ensurepip") is None:
        fail(f"{sys.executable} cannot create virtual environments: apt-get install python3-venv")
    run([sys.executable, "-m", "venv", environment.path])


def install(environment: Environment, *arguments: str) -> None:
    """Install with uv if available, otherwise with pip."""
    if uv := shutil.which("uv"):
        run([uv, "pip", "install", "--quiet", "--python", environment.python, *arguments])
        return
    pip = [environment.python, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        run([environment.python, "-m", "ensurepip"])  # created by uv, which is no longer available
    run([*pip, "install", "--quiet", "--disable-pip-version-check", *arguments])


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
