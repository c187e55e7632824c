"""The wheel: it has everything that git knows of our packages, and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

import face_import
from tests.real import CHECKOUT, free_ports

ROOTS = {"face_import": "plugins", "api_shim": ".", "face_console": "."}
"""Our packages, and the folders they lie in."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline, from a copy, as setuptools leaves files where it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in files(".", "--exclude=/tests", "--exclude=/docs"):
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, copy)
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(folder / "source"))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it, which finds its dependencies in ours: nothing is downloaded."""
    path = tmp_path_factory.mktemp("environment")
    venv.create(path, with_pip=False, symlinks=True)
    (packages,) = path.glob("lib/python*/site-packages")
    # A path in a .pth file is only searched: the .pth files in it, and so our editable install, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip(f"--python={path / 'bin' / 'python'}", "install", "--no-deps", "--no-index", str(wheel))
    return path


def test_the_wheel_has_every_file_of_our_packages(wheel: Path) -> None:
    """Code, migrations, templates, texts, static files, `py.typed`: all that git knows, and nothing else."""
    with ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        name.removeprefix("plugins/") for package, root in ROOTS.items() for name in files(str(Path(root) / package))
    }
    assert found == expected
    assert {f"{package}/py.typed" for package in ROOTS} < found


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    """Its version, and each line of requirements.in as a dependency, without what is for tests and the demo."""
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    assert f"Version: {face_import.__version__}" in lines
    needed = {line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")}
    listed = {line.partition("#")[0].strip() for line in (CHECKOUT / "requirements.in").read_text().splitlines()}
    assert needed == listed - {""}
    assert {"flask", "apache-airflow==3.3.2"} < needed
    assert needed.isdisjoint({"pytest", "scikit-image"})


def test_the_command_runs_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    """`face-import --help` names its commands, and the code is that of the wheel."""
    done = run(environment, tmp_path, "face-import", "--help")
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout
    code = "import face_import, api_shim, face_console.language as l; print(face_import.__file__, len(l.chinese()))"
    done = run(environment, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    place, texts = done.stdout.split()
    assert place.startswith(str(environment))
    assert int(texts) > 100


def test_the_doctor_of_a_wheel_says_what_needs_a_checkout(environment: Path, tmp_path: Path) -> None:
    """It looks at everything, from the home that an installed package has, and names the one thing that is missing."""
    done = run(environment, tmp_path, "face-import", "doctor")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert [line for line in lines if line.startswith("problem")] == [
        line for line in lines if "`face-import up` runs from a checkout" in line
    ]
    assert any(f"{tmp_path / '.face_import'}, " in line for line in lines if " home " in line)
    assert not (tmp_path / ".face_import").exists()


def files(*arguments: str) -> list[str]:
    """The files of the checkout that git knows, or would if they were added."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *arguments]
    output = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [name for name in output.splitlines() if (CHECKOUT / name).is_file()]


def pip(*arguments: str) -> None:
    """Run our environment's pip, which asks nobody."""
    variables = os.environ | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "pip", "--quiet", *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(environment: Path, home: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of the environment as a person elsewhere on the machine would, with ports that are free."""
    ports = zip(("PORT", "AIRFLOW_PORT", "SERVICES_PORT"), free_ports(3), strict=True)
    return subprocess.run(
        [environment / "bin" / program, *arguments],
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": os.defpath,
            "COLUMNS": "250",
            **{f"FACE_IMPORT_{name}": str(port) for name, port in ports},
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
