"""Keeping sources, on local folders and on a file system without renames."""

import io
import json
import stat
import uuid
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import pytest

from face_import.domain.planning import plan_shards
from face_import.errors import ConfigError, SourceError, TaskNotFound
from face_import.sources import Storage
from face_import.sources import storage as module
from face_import.sources.storage import dump_index, load_index
from tests.unit.sources.helpers import BOUNDS, taken_in

CSV = b"uri,tag\n" + "".join(f"http://host/{n}.jpg,女\n" for n in range(1200)).encode()


@pytest.fixture(params=["file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh root; the local one has characters that its URL encodes."""
    return (tmp_path / "a 女").as_uri() if request.param == "file" else f"memory://{uuid.uuid4().hex}"


def test_a_stored_source_is_read_back_by_shards(root: str) -> None:
    """What was stored by one process is there for another."""
    index = Storage(root, BOUNDS).store("task_1", io.BytesIO(CSV))
    storage = Storage(root + "/", BOUNDS)
    assert storage.index("task_1") == index
    rows = [row for shard in plan_shards(index, 1) for row in storage.open_shard("task_1", shard)]
    assert [row.uri for row in rows] == [f"http://host/{n}.jpg" for n in range(1200)]
    assert {row.tag for row in rows} == {"女"}


def test_two_sources_of_a_task_do_not_mix(root: str) -> None:
    """Each is read under its own name, until the other one is thrown away."""
    storage = Storage(root, BOUNDS)
    index = storage.store("task", io.BytesIO(b"http://one\n"), "a")
    storage.store("task", io.BytesIO(CSV), "ab")
    (shard,) = plan_shards(index, 1)
    assert [row.uri for row in storage.open_shard("task", shard, "a")] == ["http://one"]
    storage.keep_only("task", "a")
    assert storage.index("task", "ab") is None
    assert storage.index("task", "a") == index


def test_a_refused_source_leaves_nothing(root: str) -> None:
    """A source that fails in the middle of it is removed."""
    storage = Storage(root, BOUNDS)
    with pytest.raises(SourceError):
        storage.store("task", io.BytesIO(CSV + b'"open'))
    assert storage.index("task") is None
    assert storage._fs.find(storage._path("task", "")) == []


def test_a_source_leaves_the_room_that_is_kept_free(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up in the middle of it, before the disk is full, and removed."""
    monkeypatch.setattr(module, "_CHECK_BYTES", 1000)
    told = iter(["", "the disk is almost full"])
    storage = Storage(root, BOUNDS, lambda: next(told))
    with pytest.raises(OSError, match="almost full") as refusal:
        storage.store("task", io.BytesIO(CSV * 200))
    assert refusal.value.errno == ENOSPC
    assert storage._fs.find(storage._path("task", "")) == []


def test_delete_is_idempotent(root: str) -> None:
    """Deleting removes one task's source, and deleting nothing is fine."""
    storage = Storage(root, BOUNDS)
    storage.delete("task")
    storage.store("task", io.BytesIO(CSV))
    storage.store("other", io.BytesIO(CSV))
    storage.delete("task")
    storage.delete("task")
    assert storage.task_ids() == ["other"]


def test_a_missing_source_is_told(root: str) -> None:
    """A shard of a source that is not kept is no shard."""
    storage = Storage(root, BOUNDS)
    (shard,) = plan_shards(taken_in(b"http://a\n")[0], 1)
    with pytest.raises(TaskNotFound):
        storage.open_shard("task", shard)


@pytest.mark.parametrize("task_id", ["", ".", "..", "../x", "a/b", "a\n", "*", "%2e"])
def test_a_task_id_is_no_path(root: str, task_id: str) -> None:
    """An id that is none never reaches the file system."""
    with pytest.raises(TaskNotFound):
        Storage(root, BOUNDS).delete(task_id)


def test_local_sources_are_private(tmp_path: Path) -> None:
    """Only the owner may read faces; no partial file is left over."""
    Storage((tmp_path / "storage").as_uri(), BOUNDS).store("task", io.BytesIO(CSV))
    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {
        "storage": 0o700,
        "storage/sources": 0o700,
        "storage/sources/task": 0o700,
        "storage/sources/task/rows.csv": 0o600,
        "storage/sources/task/rows.json": 0o600,
    }


def test_an_index_survives_serialisation() -> None:
    """All of an index comes back from its document, which earlier versions do not read."""
    index, _ = taken_in(CSV)
    document = dump_index(index)
    assert load_index(document) == index
    with pytest.raises(ConfigError, match="a later release"):
        load_index(document.replace(b'"version":2', b'"version":3'))


def test_an_index_of_the_first_version_is_read() -> None:
    """A source that was stored before an upgrade is still read."""
    fields = {"columns": ["id", "uri"], "header": True, "encoding": "gb18030", "size": 40}
    document = json.dumps({"version": 1, **fields, "rows": [2], "starts": [7], "lines": [2]}).encode()
    index = load_index(document)
    assert index.reading.described() == {
        "encoding": "GB18030",
        "separator": ",",
        "header": True,
        "skipped": 0,
        "columns": {"id": "id", "uri": "uri"},
        "ignored": [],
        "sheet": None,
        "sheets": [],
    }
    assert (index.rows, index.blocks[0].start, index.blocks[0].end) == (2, 7, 40)


def test_an_index_is_compact() -> None:
    """Ten million rows have an index below a megabyte."""
    index, _ = taken_in(CSV)
    block = replace(index.blocks[0], first_row=9_000_000, start=900_000_000, end=900_100_000, line=9_000_001)
    assert len(dump_index(replace(index, blocks=(block,) * 16_384))) < 2**20


def test_an_unknown_file_system_is_a_configuration_error() -> None:
    """A root that cannot be reached is said so at once."""
    with pytest.raises(ConfigError, match="nosuch"):
        Storage("nosuch://bucket/x", BOUNDS)
