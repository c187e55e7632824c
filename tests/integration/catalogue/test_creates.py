"""One task for each idempotency key, on SQLite and on PostgreSQL where a server is reachable."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import update

from face_import.catalogue import Catalogue, Once, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.catalogue.reports import Overview
from face_import.catalogue.schema import import_task
from face_import.contract import Mode
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Shard
from face_import.domain.reading import Reading, ReadingOptions
from face_import.errors import KeyReused, TaskNotFound
from face_import.settings import Settings
from tests.integration.catalogue.test_revisions import url

__all__ = ["url"]

CONFIG = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
ONCE = Once(b"k" * 32, b"d" * 32)
THREADS = 8


@pytest.fixture
def catalogue(url: str, tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue."""
    migrate(url)
    catalogue = Catalogue.open(Settings(home=tmp_path, database_url=url))
    yield catalogue
    catalogue.engine.dispose()


def test_of_many_at_once_one_wins(catalogue: Catalogue) -> None:
    """All get the same id, and only one of them its own."""
    barrier = Barrier(THREADS)

    def add(task_id: str) -> str:
        barrier.wait(30)
        return catalogue.creates.add(task_id, CONFIG, once=ONCE)

    wanted = [new_task_id() for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        got = list(threads.map(add, wanted))
    assert set(got) == catalogue.tasks.all_ids()
    assert len(set(got)) == 1
    assert sum(ours == theirs for ours, theirs in zip(wanted, got, strict=True)) == 1


def test_a_key_is_for_one_content_until_its_task_is_deleted(catalogue: Catalogue) -> None:
    """Then it is free, and so is that of the next; rows without a key are never in each other's way."""
    ids = []
    for digest in (b"d" * 32, b"e" * 32):
        once = Once(ONCE.key, digest)
        assert catalogue.creates.find(once) is None
        ids.append(catalogue.creates.add(new_task_id(), CONFIG, once=once))
        assert catalogue.creates.find(once) == ids[-1]
        other = Once(ONCE.key, b"f" * 32)
        with pytest.raises(KeyReused, match=ids[-1]):
            catalogue.creates.find(other)
        with pytest.raises(KeyReused, match=ids[-1]):
            catalogue.creates.add(new_task_id(), CONFIG, once=other)
        catalogue.tasks.mark_deleted(ids[-1])
    without = [catalogue.creates.add(new_task_id(), CONFIG) for _ in range(2)]
    assert catalogue.tasks.all_ids() == {*ids, *without}


def test_creates_and_deletes_at_once_leave_one_task(catalogue: Catalogue) -> None:
    """The task that holds the key may be deleted at any moment: every create still gets an id that was there."""
    seen: list[str] = []

    def create() -> None:
        seen.append(catalogue.creates.add(new_task_id(), CONFIG, once=ONCE))

    def delete() -> None:
        for task_id in Overview(catalogue.engine, ["staff"]).ids():
            with suppress(TaskNotFound):
                catalogue.tasks.mark_deleted(task_id)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda job: job(), [create, delete, create] * 20))
    assert set(seen) == catalogue.tasks.all_ids()
    assert len(Overview(catalogue.engine, ["staff"]).ids()) <= 1


def test_how_a_source_is_read_is_kept(catalogue: Catalogue) -> None:
    """What the client said and what was decided, with any characters; the plan that commits first decides."""
    said = ReadingOptions("gbk", "\t", "员工", {"uri": "a\\u0000 照片", "tag": 2, "id": None})
    reading = Reading(";", {"uri": 0}, 2, ("\0 \ud800 😀\n", "部门"), encoding="gb18030")
    shown = reading.described() | {"columns": {"uri": "\0 ??? 😀\n".replace("?", "\ufffd")}}
    task_id = new_task_id()
    catalogue.creates.add(task_id, replace(CONFIG, options=said), source_url="https://h/f.csv")
    task = catalogue.tasks.get(task_id)
    assert (task.config.options, task.reading) == (said, None)
    catalogue.plans.commit(task_id, [Shard(0, 1, 2, 0, 9, 1)], 2, "first", reading)
    catalogue.plans.commit(task_id, [Shard(0, 1, 2, 0, 9, 1)], 2, "second", replace(reading, separator=","))
    assert catalogue.tasks.get(task_id).reading == shown
    catalogue.creates.add(other := new_task_id(), CONFIG, total_num=2, reading=reading)
    assert catalogue.tasks.get(other).reading == shown
    assert catalogue.tasks.get(other).config == CONFIG
    with catalogue.engine.begin() as connection:  # as before there were separators to name
        connection.execute(
            update(import_task).values(reading_options='{"encoding": "gbk", "sheet": "", "columns": {}}')
        )
    assert catalogue.tasks.get(task_id).config.options == ReadingOptions(encoding="gbk")
