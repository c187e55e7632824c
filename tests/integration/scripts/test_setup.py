"""Where `make setup` has its uv from; nothing is downloaded."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from scripts import setup
from tests.real import CHECKOUT


def wheel(folder: Path, version: str) -> str:
    """Write a wheel of a uv that only says its version; its requirement, pinned by hash."""
    path = folder / f"uv-{version}-py3-none-any.whl"
    info = f"uv-{version}.dist-info"
    with ZipFile(path, "w") as archive:
        program = ZipInfo(f"uv-{version}.data/scripts/uv")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, f"#!/bin/sh\necho uv {version}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"uv=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the pin, in a checkout on a machine without uv, whose pip has only the wheels beside it."""
    monkeypatch.setattr(setup, "CHECKOUT", tmp_path)
    monkeypatch.setattr(setup, "UV", tmp_path / ".uv")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_ROOT_USER_ACTION", "ignore")
    path = tmp_path / "scripts" / "uv-requirements.txt"
    path.parent.mkdir()
    return path


def version_of(uv: str) -> str:
    """What it says."""
    return subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def test_the_pinned_uv_is_fetched_when_the_pin_changes(pins: Path, tmp_path: Path) -> None:
    """Once for each pin, into a folder of the checkout."""
    pins.write_text(wheel(tmp_path, "1.0"))
    found = setup.find_uv()
    assert found == str(tmp_path / ".uv" / "bin" / "uv")
    assert version_of(found) == "uv 1.0"
    (tmp_path / "uv-1.0-py3-none-any.whl").unlink()
    assert setup.find_uv() == found
    pins.write_text(wheel(tmp_path, "2.0"))
    assert version_of(setup.find_uv()) == "uv 2.0"


def test_another_uv_than_the_pinned_one_is_refused(
    pins: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The hash decides; there is nothing that a later set-up would take for installed."""
    pins.write_text(wheel(tmp_path, "1.0").replace("sha256:", f"sha256:{'0' * 64} #"))
    with pytest.raises(SystemExit, match=r"setup: exit code 1 of .* pip install"):
        setup.find_uv()
    assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err
    assert not (tmp_path / ".uv" / setup.STAMP).exists()


def test_the_machines_own_uv_is_used_if_it_runs(pins: Path, tmp_path: Path) -> None:
    """A version manager's shim may exist and fail."""
    own = tmp_path / "bin" / "uv"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    pins.write_text(wheel(tmp_path, "1.0"))
    assert setup.find_uv() != str(own)
    own.write_text("#!/bin/sh\nexit 0\n")
    assert setup.find_uv() == str(own)


def program(path: Path, line: str) -> Path:
    """Write a program of one line of shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("minor", "usable"), [(0, True), (1, False)], ids=["same", "another"])
def test_an_environment_of_another_python_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minor: int, usable: bool
) -> None:
    """`make setup PYTHON=...` would otherwise go on with the version that is there."""
    major, here = sys.version_info[:2]
    monkeypatch.setattr(setup, "PYTHON", program(tmp_path / "python", f"echo {major} {here + minor}"))
    assert setup.usable() is usable


def test_what_the_environment_was_made_with_is_found_first(tmp_path: Path) -> None:
    """So `PYTHON=...` is said once; an environment whose Python is gone says nothing."""
    find = tmp_path / "scripts" / "find-python"
    find.parent.mkdir()
    find.write_bytes((CHECKOUT / "scripts" / "find-python").read_bytes())
    here = Path(sys.executable)
    path = {"PATH": f"{here.parent}:{os.defpath}"}

    def found() -> str:
        return subprocess.run(["sh", find], env=path, capture_output=True, text=True, check=True).stdout.strip()

    own = program(tmp_path / ".venv" / "bin" / "python", f'exec {here} "$@"')
    assert Path(found()).resolve() == own
    program(own, "exit 1")
    assert Path(found()).parent == here.parent


def test_uv_has_a_cache_where_the_home_directory_has_no_room_for_one(pins: Path, tmp_path: Path) -> None:
    """It would fail without one; where it can make its own, it is left alone."""
    uv = program(tmp_path / "uv", f"echo {tmp_path}/home/.cache/uv")
    (tmp_path / "home").touch()
    assert setup.cache_of(str(uv)) == {"UV_CACHE_DIR": str(tmp_path / ".uv" / "cache")}
    (tmp_path / "home").unlink()
    assert setup.cache_of(str(uv)) == {}
