"""One import of a real stack whose sources are in an object store and whose metrics go to a StatsD socket."""

import re
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from face_import.domain.identity import task_id_of_run
from face_import.errors import WrongState
from tests.doubles.images import make_image
from tests.doubles.object_store import ObjectStore
from tests.doubles.process import FaceServices
from tests.real import RealStack
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # with the first test's set-up, on a busy machine
ROWS, MISSING = 60, 3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server with a bucket; the variables by which it is found are set."""
    with ObjectStore(tmp_path_factory.mktemp("s3") / "log") as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        server.bucket("faces")
        yield server


@pytest.fixture(scope="module")
def statsd() -> Iterator[socket.socket]:
    """A socket with room for what comes before somebody reads it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        yield server


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, store: ObjectStore, statsd: socket.socket, _services: FaceServices
) -> Iterator[RealStack]:
    """A stack with s3:// for storage and sources, and with the documented lines in its airflow.cfg."""
    home = tmp_path_factory.mktemp("s3-stack") / "home"
    stack = RealStack(
        home,
        FACE_IMPORT_INFO_URL=_services.url,
        FACE_IMPORT_LIBRARY_URL=_services.url,
        FACE_IMPORT_EXECUTOR_SLOTS="3",
        FACE_IMPORT_STORAGE_URL="s3://faces/storage",
        FACE_IMPORT_SOURCE_PREFIXES="s3://faces/inbox/",
    )
    stack.run("credentials")
    with (home / "airflow" / "airflow.cfg").open("a") as file:
        file.write(f"\n[metrics]\nstatsd_on = True\nstatsd_host = 127.0.0.1\nstatsd_port = {statsd.getsockname()[1]}\n")
    with stack:
        yield stack


def presigned_rows(store: ObjectStore) -> list[str]:
    """Rows with presigned addresses, the last of which lead to nothing."""
    for number in range(ROWS - MISSING):
        store.client.put_object(Bucket="faces", Key=f"pictures/女 {number}.jpg", Body=make_image({"n": number}))
    return [f'"{store.presigned("faces", f"pictures/女 {number}.jpg")}",t,d' for number in range(ROWS)]


def received(statsd: socket.socket, packets: Counter[str]) -> Counter[str]:
    """Add what came to the sums by name; times are counted, not added."""
    while True:
        try:
            packet = statsd.recv(4096).decode()
        except BlockingIOError:
            return packets
        for line in packet.splitlines():
            name, _, rest = line.partition(":")
            value, _, kind = rest.partition("|")
            packets[name] += int(float(value)) if kind == "c" else 1


def logs_of(stack: RealStack, run_id: str) -> str:
    """All logs of a run's task instances."""
    files = (stack.layout.airflow_home / "logs").rglob(f"run_id={run_id}/**/*.log")
    return "\n".join(file.read_text() for file in files)


def test_an_upload_is_kept_and_imported_from_the_store(
    deployed: RealStack, store: ObjectStore, statsd: socket.socket, services: FaceServices
) -> None:
    """The file goes to the store and comes from there; pictures are fetched from presigned addresses as they stand."""
    rows = presigned_rows(store)
    task = deployed.api.create(rows, thread_num=4)
    assert store.keys("faces")[-2:] == [f"storage/sources/{task}/rows.csv", f"storage/sources/{task}/rows.json"]
    deployed.api.ok(f"{task}/start")
    detail = deployed.api.state(task, 3, 4)
    assert (detail["state"], detail["success_num"], detail["errors"]) == (4, ROWS - MISSING, {"101": MISSING})
    said = logs_of(deployed, task)
    assert f"task={task} shard=0 rows=1-{ROWS}" in said
    assert re.search(rf"imported task={task} shard=0 succeeded={ROWS - MISSING} failed=101:{MISSING}", said)
    sums: Counter[str] = Counter()
    until(lambda: received(statsd, sums)["airflow.face_import.rows.101"] >= MISSING)
    assert sums["airflow.face_import.rows.0"] == ROWS - MISSING
    assert sums["airflow.face_import.rows.101"] == MISSING
    assert sums["airflow.face_import.row_ms"] > 0
    for service in ("info", "library"):
        assert sums[f"airflow.face_import.service.{service}.calls"] == ROWS - MISSING
        assert sums[f"airflow.face_import.service.{service}.slowest"] > 0
    assert sums["airflow.ti.finish.face_import.shard.success"] == 1
    deployed.api.ok(f"{task}/delete")
    until(lambda: not [key for key in store.keys("faces") if task in key])


def test_signed_queries_and_credentials_stay_out_of_logs(
    deployed: RealStack, store: ObjectStore, services: FaceServices
) -> None:
    """A row that stops its import is named in `last_error` without its signature, and no log has one."""
    url = store.presigned("faces", "pictures/none.jpg")
    task = deployed.api.create([f'"{url}",t,d'], mode=1)
    deployed.api.ok(f"{task}/start")
    error = deployed.api.state(task, 3, 4)["last_error"]
    assert error.startswith(f"row 1: {url.partition('?')[0]}?")
    signature = url.rpartition("Signature=")[2]
    until(lambda: deployed.run_state(task) == "failed")
    files = [path for path in deployed.layout.home.rglob("*.log") if path.is_file()]
    assert files
    said = error + "".join(path.read_text(errors="replace") for path in files)
    assert signature not in said
    assert store.environment["AWS_SECRET_ACCESS_KEY"] not in said
    assert signature in store.log.read_text()  # the host got the query that its answer depends on


def test_an_import_from_airflows_form_takes_its_source_from_the_store(
    deployed: RealStack, store: ObjectStore, services: FaceServices
) -> None:
    """What lies under the prefix is a source; what lies beside it the form refuses."""
    body = "\n".join(presigned_rows(store)[:5]).encode()
    store.client.put_object(Bucket="faces", Key="inbox/new.csv", Body=body)
    form = {"source": "s3://faces/inbox/new.csv", "group_name": "staff"}
    with pytest.raises(WrongState, match="s3://faces/inbox/"):
        deployed.airflow.trigger("beside-it", form | {"source": "s3://faces/new.csv"}, "")
    deployed.airflow.trigger("from-the-form", form, "")
    until(lambda: deployed.run_state("from-the-form") == "success", 120)
    assert deployed.api.detail(task_id_of_run("from-the-form"))["success_num"] == 5


def test_doctor_writes_to_the_store(deployed: RealStack) -> None:
    """It says that the storage can be written, and leaves nothing there."""
    assert "faces/storage is writable" in deployed.run("doctor", check=False).stdout.replace("\n", " ")
