"""A full disk in the middle of an import: no process of the stack ends for good, and nothing needs a hand."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from face_import.stack import supervisor
from tests.conftest import STACK
from tests.disks import fill, fill_with_files, make_room, small_disk
from tests.doubles.process import FaceServices, ImageHost
from tests.faults.conftest import Faults
from tests.real import RealStack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = 1500
DISK_BYTES, DISK_FILES = 100 * 2**20, 3000


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 100 MB."""
    with small_disk(tmp_path_factory.mktemp("disk"), size=DISK_BYTES, files=DISK_FILES) as folder:
        yield folder


@pytest.fixture(scope="module")
def _stack(
    request: pytest.FixtureRequest, disk: Path, _services: FaceServices, _images: ImageHost
) -> Iterator[RealStack]:
    """In place of the other one: a stack whose home is that file system."""
    with ExitStack() as after:
        if other := request.config.stash.get(STACK, None):
            after.callback(request.config.stash.__setitem__, STACK, other)
        urls = {"FACE_IMPORT_INFO_URL": _services.url, "FACE_IMPORT_LIBRARY_URL": _services.url}
        with RealStack(
            disk / "home", **urls, FACE_IMPORT_EXECUTOR_SLOTS="4", FACE_IMPORT_START_TIMEOUT_S="240"
        ) as stack:
            request.config.stash[STACK] = stack
            yield stack


def full_and_free(faults: Faults, disk: Path, task_id: str, fill_up: Callable[[Path], None]) -> None:
    """Fill the disk until nothing works on the import any more, look at what the stack says, and make room."""
    fill_up(disk)
    refused = faults.stack.api.post("create", data={"group_name": "staff"}, files={"file": "uri,tag,description\n"})
    assert (refused.status_code, refused.json()["code"]) == (503, "disk_full")
    assert "FACE_IMPORT_HOME" in refused.json()["error"]
    detail = faults.stack.api.detail(task_id)
    assert (detail["state"], detail["last_error"]) == (2, "")
    assert "rows wait" in detail["notice"]
    assert "FACE_IMPORT_HOME" in faults.stack.run("doctor", check=False).stdout
    assert "rows wait" in faults.stack.run("status", check=False).stdout
    make_room(disk)


def nothing_happens(faults: Faults, task_id: str, seconds: float = 3.0) -> bool:
    """Whether no row is handled for a while."""
    before, end = faults.stack.api.detail(task_id)["handled_num"], time.monotonic() + seconds
    while time.monotonic() < end:
        if faults.stack.api.detail(task_id)["handled_num"] != before:
            return False
        time.sleep(0.1)
    return True


def supervisors_programs(faults: Faults) -> dict[str, int]:
    """Process ids by program."""
    states = supervisor.states(faults.stack.layout)
    assert states is not None, "the supervisor is gone"
    return {name: state.pid for name, state in states.items()}


def test_full_twice_in_the_middle_of_an_import(faults: Faults, disk: Path) -> None:
    """Not a byte left, until every lease has run out; the keeper, the API and the guard live through it."""
    task_id = faults.started(ROWS, thread_num=10)
    before = supervisors_programs(faults)
    for _ in range(2):
        handled = faults.stack.api.detail(task_id)["handled_num"]
        faults.stack.api.handled(task_id, handled + 50, 180)

        def fill_for_long(disk: Path) -> None:
            fill(disk)
            faults.until(lambda: not faults.stack.catalogue.leases.live(task_id))

        full_and_free(faults, disk, task_id, fill_for_long)
    faults.completes(task_id, ROWS)
    after = supervisors_programs(faults)
    assert {after[name] for name in ("guard", "keeper", "shim", "api-server")} <= set(before.values())


def test_no_inode_left(faults: Faults, disk: Path) -> None:
    """Files that are open can still be written: rows wait all the same, before the first of them fails."""
    task_id = faults.started(ROWS, thread_num=10)

    def fill_until_rows_wait(disk: Path) -> None:
        fill_with_files(disk)
        faults.until(lambda: nothing_happens(faults, task_id))
        assert faults.stack.catalogue.leases.live(task_id)

    full_and_free(faults, disk, task_id, fill_until_rows_wait)
    faults.completes(task_id, ROWS)


def test_down_on_a_full_disk(faults: Faults, disk: Path) -> None:
    """It ends everything, without a byte to write."""
    fill(disk)
    faults.stack.down()
    assert faults.stack.processes() == []
    assert faults.stack.run("status", check=False).stdout == "not running\n"
