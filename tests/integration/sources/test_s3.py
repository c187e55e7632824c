"""Sources in an object store: a real S3 server, asked through fsspec as any other file system."""

import io
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import fsspec
import pytest

from face_import.clients.download import open_http
from face_import.domain.planning import plan_shards
from face_import.errors import SourceError, SourceMissing, SourceTooLarge, TaskNotFound
from face_import.settings import Settings
from face_import.sources import Bounds, Storage, open_source
from face_import.sources import storage as storage_module
from face_import.sources.files import PART_BYTES
from tests.doubles.object_store import ObjectStore
from tests.unit.sources.helpers import BOUNDS
from tests.unit.sources.test_location import no_http

pytestmark = pytest.mark.slow
CSV = b"uri,tag\n" + "".join(f"http://host/{n}.jpg,女\n" for n in range(1200)).encode()
LONG = b"http://host/" + b"x" * 2000 + b"\n"


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server


@pytest.fixture
def server(_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The server, found and entered by the usual variables; no client of an earlier test is kept."""
    for name, value in _server.environment.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return _server


@pytest.fixture
def bucket(server: ObjectStore) -> str:
    """A bucket of this test's own."""
    return server.bucket(f"faces-{uuid4().hex[:12]}")


@pytest.fixture
def root(bucket: str) -> str:
    """A root inside the bucket."""
    return f"s3://{bucket}/some where"


def rows(storage: Storage, task_id: str, threads: int = 1) -> list[str]:
    """URIs of all rows, by the way of shards."""
    index = storage.index(task_id)
    assert index is not None
    return [row.uri for shard in plan_shards(index, threads) for row in storage.open_shard(task_id, shard)]


def test_a_stored_source_is_read_back_by_shards(root: str) -> None:
    """What one process has stored is there for another, cut where its rows begin."""
    index = Storage(root, BOUNDS).store("task_1", io.BytesIO(CSV))
    storage = Storage(root + "/", BOUNDS)
    assert storage.index("task_1") == index
    assert len(list(plan_shards(index, 8))) > 1
    assert rows(storage, "task_1", 8) == [f"http://host/{n}.jpg" for n in range(1200)]


def test_two_sources_of_a_task_do_not_mix(server: ObjectStore, bucket: str, root: str) -> None:
    """Each is read under its own name, until the other one is thrown away."""
    storage = Storage(root, BOUNDS)
    index = storage.store("task", io.BytesIO(b"http://one\n"), "a")
    storage.store("task", io.BytesIO(CSV), "ab")
    (shard,) = plan_shards(index, 1)
    assert [row.uri for row in storage.open_shard("task", shard, "a")] == ["http://one"]
    storage.keep_only("task", "a")
    assert storage.index("task", "ab") is None
    assert server.keys(bucket) == ["some where/sources/task/a.csv", "some where/sources/task/a.json"]
    storage.keep_only("nobody", "a")


def test_delete_is_idempotent(server: ObjectStore, bucket: str, root: str) -> None:
    """Deleting removes one task's source, and deleting nothing is fine."""
    storage = Storage(root, BOUNDS)
    assert storage.task_ids() == []
    storage.delete("task")
    storage.store("task", io.BytesIO(CSV))
    storage.store("other", io.BytesIO(CSV))
    assert storage.task_ids() == ["other", "task"]
    storage.delete("task")
    storage.delete("task")
    assert storage.task_ids() == ["other"]
    storage.delete("other")
    assert server.keys(bucket) == []


def test_a_missing_source_is_told(root: str) -> None:
    """A shard of a source that is not kept is no shard."""
    storage = Storage(root, BOUNDS)
    (shard,) = plan_shards(storage.store("task", io.BytesIO(b"http://a\n")), 1)
    storage.delete("task")
    assert storage.index("task") is None
    with pytest.raises(TaskNotFound):
        storage.open_shard("task", shard)


def test_the_check_leaves_nothing(server: ObjectStore, bucket: str, root: str) -> None:
    """It writes, and removes what it wrote."""
    Storage(root, BOUNDS).check()
    assert server.keys(bucket) == []


def test_a_source_of_many_parts_appears_whole(
    server: ObjectStore, bucket: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that is larger than one part of an upload is not to be seen, not even in part, before it is complete."""
    lines = 300_000
    data = b"".join(b"http://host/%064d.jpg,%d\n" % (n, n) for n in range(lines))
    assert len(data) > 1.5 * PART_BYTES
    seen: list[list[str]] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() % (2**22) < 2**16:
                seen.append(server.keys(bucket))
            return super().read(size)

    storage = Storage(root, BOUNDS)
    index = storage.store("task", Watched(data))
    assert len(seen) > 3
    assert not any(seen)
    assert server.client.head_object(Bucket=bucket, Key="some where/sources/task/rows.csv")["ETag"].endswith('-2"')
    shards = list(plan_shards(index, 64))
    last = list(storage.open_shard("task", shards[-1]))
    assert (last[-1].number, last[-1].uri) == (lines, f"http://host/{lines - 1:064}.jpg")
    assert sum(shard.rows for shard in shards) == lines


@pytest.mark.parametrize("size", [1, 2 * PART_BYTES], ids=["small", "several parts"])
def test_a_refused_source_leaves_nothing(
    server: ObjectStore, bucket: str, root: str, size: int, recwarn: pytest.WarningsRecorder
) -> None:
    """A source that fails at its end is removed, with the parts that were sent."""
    storage = Storage(root, BOUNDS)
    with pytest.raises(SourceError):
        storage.store("task", io.BytesIO(LONG * (size // len(LONG) + 1) + b'"open'))
    with pytest.raises(SourceTooLarge):
        Storage(root, Bounds(source_bytes=1, cell_bytes=2**24)).store("task", io.BytesIO(CSV))
    assert server.keys(bucket) == []
    assert "Uploads" not in server.client.list_multipart_uploads(Bucket=bucket)
    assert not recwarn.list


def _killed(step: Callable[[], object]) -> None:
    """Run a step in a forked process, as Airflow runs tasks, that dies without a word."""
    process = multiprocessing.get_context("fork").Process(target=step)
    process.start()
    process.join(60)
    assert process.exitcode == 9


def test_a_crash_while_a_source_is_stored(server: ObjectStore, bucket: str, root: str) -> None:
    """Whatever the dead process had sent is no object; the next try stores it all."""

    class Fatal(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(size) or os._exit(9)

    storage = Storage(root, BOUNDS)
    storage.check()
    _killed(lambda: Storage(root, BOUNDS).store("task", Fatal(LONG * (2 * PART_BYTES // len(LONG)))))
    assert server.keys(bucket) == []
    assert storage.index("task") is None
    storage.store("task", io.BytesIO(CSV))
    assert len(rows(storage, "task")) == 1200


def test_a_crash_between_source_and_index(server: ObjectStore, bucket: str, root: str) -> None:
    """A source without an index is none: the next try writes both, or the keeper finds it and deletes it."""

    def step() -> None:
        storage_module.dump_index = lambda _index: os._exit(9)
        Storage(root, BOUNDS).store("task", io.BytesIO(CSV))

    storage = Storage(root, BOUNDS)
    storage.check()
    _killed(step)
    assert server.keys(bucket) == ["some where/sources/task/rows.csv"]
    assert storage.index("task") is None
    assert storage.task_ids() == ["task"]
    storage.store("task", io.BytesIO(CSV))
    assert len(rows(storage, "task")) == 1200
    storage.delete("task")
    assert server.keys(bucket) == []


def test_threads_share_a_storage(root: str) -> None:
    """The API's threads store, read and delete through one object."""
    storage = Storage(root, BOUNDS)

    def turn(number: int) -> int:
        storage.store(f"task{number}", io.BytesIO(CSV))
        return len(rows(storage, f"task{number}", 4))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(turn, range(16))) == [1200] * 16


def test_a_forked_process_works_with_a_storage_of_its_own(root: str) -> None:
    """Airflow forks its tasks from a process that may have used the file system already."""
    Storage(root, BOUNDS).store("task", io.BytesIO(CSV))

    def step() -> None:
        storage = Storage(root, BOUNDS)
        storage.store("other", io.BytesIO(b"http://a\n"))
        os._exit(9 if len(rows(storage, "task")) == 1200 else 1)

    with ThreadPoolExecutor(1) as threads:  # the fork comes while another thread waits for an answer
        busy = threads.submit(lambda: [Storage(root, BOUNDS).index("task") for _ in range(30)])
        _killed(step)
        busy.result()
    assert rows(Storage(root, BOUNDS), "other") == ["http://a"]


def test_a_source_under_a_prefix_of_a_bucket(server: ObjectStore, bucket: str) -> None:
    """What lies under the prefix is read; what lies beside it, or does not exist, is refused."""
    settings = Settings(source_prefixes=(f"s3://{bucket}/faces/",))
    for key in ("faces/new/女1.csv", "secret.csv"):
        server.client.put_object(Bucket=bucket, Key=key, Body=CSV)
    with open_source(f"s3://{bucket}/faces/new/女1.csv", settings, no_http) as stream:
        assert stream.read() == CSV
    for path, error in {
        "secret.csv": SourceError,
        "faces/../secret.csv": SourceError,
        "faces/no.csv": SourceMissing,
    }.items():
        with pytest.raises(error), open_source(f"s3://{bucket}/{path}", settings, no_http):
            pass


def test_a_bucket_that_is_not_ours_is_missing(server: ObjectStore) -> None:
    """A bucket that does not exist is one line for whoever started the import."""
    settings = Settings(source_prefixes=("s3://nobodys/faces/",))
    with pytest.raises(SourceMissing, match="cannot be opened"):
        open_source("s3://nobodys/faces/a.csv", settings, no_http).__enter__()


def test_a_presigned_source_is_read(server: ObjectStore, bucket: str) -> None:
    """A presigned address is a source like any other by http."""
    server.client.put_object(Bucket=bucket, Key="a b.csv", Body=CSV)
    settings = Settings(fetch_allow=("127.0.0.0/8",))
    with open_source(server.presigned(bucket, "a b.csv"), settings, lambda url: open_http(url, settings)) as stream:
        assert stream.read() == CSV


def test_a_server_that_is_away_is_the_storages_failure(
    root: str, server: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Botocore's own errors are errors of the system, worth another try."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    storage = Storage(root, BOUNDS)
    for step in (
        lambda: storage.index("task"),
        lambda: storage.store("task", io.BytesIO(CSV)),
        lambda: storage.delete("task"),
        storage.task_ids,
        storage.check,
    ):
        with pytest.raises(OSError, match="endpoint"):
            step()


def test_credentials_are_in_no_log(server: ObjectStore, root: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what works nor what fails says them, whatever the level of our own logs."""
    caplog.set_level(logging.DEBUG, "face_import")
    caplog.set_level(logging.INFO)
    storage = Storage(root, BOUNDS)
    storage.store("task", io.BytesIO(CSV))
    with pytest.raises(OSError, match="does not exist") as failure:
        Storage("s3://nobodys/x", BOUNDS).store("task", io.BytesIO(CSV))
    said = caplog.text + str(failure.value) + repr(storage.__dict__)
    assert server.environment["AWS_SECRET_ACCESS_KEY"] not in said
