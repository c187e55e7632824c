"""A whole stack where the checkout cannot be written and there is no home directory, as in many a container."""

import subprocess
from pathlib import Path

import pytest

from face_import.stack.processes import end_members
from tests.doubles.process import FaceServices, ImageHost
from tests.integration.test_packaging import files
from tests.real import AS_A_USER, CHECKOUT, COMMAND, RealStack
from tests.stack.main_job.test_main_job import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what git knows, which nobody may write, nor anything in it."""
    folder = tmp_path / "checkout"
    for name in files(".", ":!tests", ":!docs"):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((CHECKOUT / name).read_bytes())
    subprocess.run(["chmod", "--recursive", "a-w", folder], check=True)
    return folder


def test_an_import(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, services: FaceServices, images: ImageHost
) -> None:
    """It runs to its end; nobody tries to write beside the code."""
    monkeypatch.setenv("PYTHONPATH", f"{checkout / 'plugins'}:{checkout}")
    monkeypatch.delenv("HOME")
    refused = subprocess.run([*AS_A_USER, "touch", checkout / "dags" / "x"], capture_output=True, check=False)
    assert refused.returncode == 1
    urls = {"FACE_IMPORT_INFO_URL": services.url, "FACE_IMPORT_LIBRARY_URL": services.url}
    stack = RealStack(tmp_path / "home", (*AS_A_USER, str(COMMAND)), FACE_IMPORT_EXECUTOR_SLOTS="2", **urls)
    try:
        with stack:
            assert str(checkout) in {process.cwd() for process in stack.processes()}
            task_id = stack.api.create(rows(images, 5))
            stack.api.ok(f"{task_id}/start")
            assert stack.api.state(task_id, 3, 4)["success_num"] == 5
            assert "Permission denied" not in stack.log_ends(10_000)
    finally:
        end_members(stack.layout.stack_id, grace=0)
        subprocess.run(["chmod", "--recursive", "u+w", checkout], check=True)
