"""A full disk of PostgreSQL in the middle of an import: it waits, and goes on by itself once there is room."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest
from sqlalchemy.exc import OperationalError

from face_import.contract import Notice
from tests.conftest import STACK
from tests.disks import fill, make_room, small_disk
from tests.doubles.process import FaceServices, ImageHost
from tests.faults.conftest import Faults
from tests.real import RealStack, free_ports
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = 1500
DISK_BYTES = 200 * 2**20
SETTINGS = {"max_wal_size": "8MB", "min_wal_size": "2MB", "max_connections": "200", "unix_socket_directories": ""}
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Cluster:
    """A PostgreSQL server of the test's own, run by an ordinary user, which PostgreSQL demands.

    Args:
        folder: an empty one, of that user.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)

    def __enter__(self) -> Self:
        """Create and start it."""
        self._run("initdb", "--auth=trust", "--username=postgres", "--wal-segsize=1", "-D", str(self._data))
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "stop", "-D", str(self._data), "--mode=immediate", check=False)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it unless it runs, as its service manager does: a server that cannot write its log of changes ends."""
        until(self._is_up, 60, every_s=1)

    @property
    def is_running(self) -> bool:
        """Whether the server has not ended."""
        return self._run("pg_ctl", "status", "-D", str(self._data), check=False).returncode == 0

    def _is_up(self) -> bool:
        if self.is_running:
            return True
        options, log = f"--port={self.port} --listen_addresses=127.0.0.1", str(self.folder / "log")
        start = self._run("pg_ctl", "start", "-D", str(self._data), "-l", log, "-o", options, "--wait", check=False)
        return start.returncode == 0

    def database(self, name: str) -> str:
        """Create a database; returns its URL."""
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=postgres", name)
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*as_a_user(), str(PROGRAMS[-1] / program), *arguments]
        return subprocess.run(
            command, cwd="/", check=check, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
        )


def as_a_user() -> list[str]:
    """The words before a command that make root an ordinary user."""
    user = pwd.getpwuid(owner())
    return [] if os.getuid() else ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def owner() -> int:
    """Whose the server is: this user's, or nobody's where this one is root."""
    return os.getuid() or pwd.getpwnam("nobody").pw_uid


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server on a small disk."""
    if not PROGRAMS or (os.getuid() == 0 and not shutil.which("setpriv")):
        pytest.skip("PostgreSQL's server or setpriv is not installed")
    with (
        TemporaryDirectory() as folder,  # pytest's own are closed to other users
        small_disk(Path(folder), size=DISK_BYTES, files=100_000, owner=owner()) as disk,
        Cluster(disk) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def _stack(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    cluster: Cluster,
    _services: FaceServices,
    _images: ImageHost,
) -> Iterator[RealStack]:
    """In place of the other one: a stack with both databases on that server."""
    with ExitStack() as after:
        if other := request.config.stash.get(STACK, None):
            after.callback(request.config.stash.__setitem__, STACK, other)
        with RealStack(
            tmp_path_factory.mktemp("on-postgres") / "home",
            FACE_IMPORT_DATABASE_URL=cluster.database("catalogue"),
            FACE_IMPORT_AIRFLOW_DATABASE_URL=cluster.database("airflow"),
            FACE_IMPORT_INFO_URL=_services.url,
            FACE_IMPORT_LIBRARY_URL=_services.url,
            FACE_IMPORT_EXECUTOR_SLOTS="4",
            FACE_IMPORT_START_TIMEOUT_S="240",
        ) as stack:
            request.config.stash[STACK] = stack
            yield stack


def test_full_twice_in_the_middle_of_an_import(faults: Faults, cluster: Cluster) -> None:
    """Until nothing is written any more; then there is room, and the import ends without a hand."""
    task_id = faults.started(ROWS, thread_num=10)
    for _ in range(2):
        handled = progress(faults, task_id)
        fill(cluster.folder)
        faults.until(lambda: is_told(faults, cluster, task_id), 60)
        for command in ("status", "doctor"):
            faults.until(lambda command=command: is_told_by(faults, cluster, command), 60)
        faults.until(lambda: nothing_is_written(faults, cluster, task_id), 120)
        make_room(cluster.folder)
        cluster.start()
        faults.until(lambda handled=handled: progress(faults, task_id) >= min(handled + 50, ROWS), 180)
    faults.completes(task_id, ROWS)


def is_told(faults: Faults, cluster: Cluster, task_id: str) -> bool:
    """Whether people are told why rows wait; a server that has ended is away for everybody."""
    detail = faults.stack.api.get(f"{task_id}/detail")
    if detail.status_code == 503:
        return not cluster.is_running
    notice = detail.json()["notice"]
    assert notice in {"", Notice.DATABASE_FULL}
    return notice == Notice.DATABASE_FULL


def is_told_by(faults: Faults, cluster: Cluster, command: str) -> bool:
    """Whether a command says so, which makes a connection of its own; the server may have ended meanwhile."""
    told = faults.stack.run(command, check=False).stdout
    return Notice.DATABASE_FULL in " ".join(told.split()) or not cluster.is_running


def nothing_is_written(faults: Faults, cluster: Cluster, task_id: str) -> bool:
    """Whether no lease is renewed any more, or the server has ended."""
    try:
        return not faults.stack.catalogue.leases.live(task_id)
    except OperationalError:
        return not cluster.is_running


def progress(faults: Faults, task_id: str) -> int:
    """Rows handled; none while the server is away."""
    try:
        return faults.stack.catalogue.ledger.progress(task_id).handled
    except OperationalError:
        return 0
