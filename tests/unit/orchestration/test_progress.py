"""The line about a shard's progress in its log."""

import asyncio
import re
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from face_import.catalogue import Catalogue
from face_import.contract import Code
from face_import.orchestration.dag import progress
from face_import.orchestration.dag.progress import told_progress
from tests.conftest import MakeTask
from tests.hosts import unavailable
from tests.unit.orchestration.conftest import write_outcomes


async def lines(caplog: pytest.LogCaptureFixture, number: int) -> list[str]:
    """The first lines of this number, once they are there."""
    async with asyncio.timeout(10):
        while len(caplog.messages) < number:  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(0.01)
    return caplog.messages[:number]


async def test_a_shard_says_how_far_it_is(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows, those that failed, the rate since the line before, and the hosts that the import waits for."""
    caplog.set_level("INFO", progress.__name__)
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    task = make_task(shards=2, rows=10)
    part = catalogue.plans.shard(task.id, 1)
    async with told_progress(catalogue, task.id, part):
        (first,) = await lines(caplog, 1)
        write_outcomes(catalogue, task, {11: Code.OK, 12: Code.NO_FACE, 13: Code.OK}, shard=1)
        for number in range(5):
            unavailable(catalogue, task.id, f"http://h{number}")
        until = len(caplog.messages) + 2
        last = (await lines(caplog, until))[-1]
    where = f"progress task={task.id} shard=1"
    assert first == f"{where} handled=0 of=10 failed=0 rows_per_s=0.0 waiting_for=none"
    assert re.fullmatch(
        rf"{where} handled=3 of=10 failed=1 rows_per_s=\d+\.\d waiting_for=h0, h1, h2, and 2 more", last
    )


async def test_a_catalogue_that_does_not_answer_is_a_line_too(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The shard is none the worse for it, and nothing is left running after it."""

    def locked(*_: object) -> None:
        raise OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    monkeypatch.setattr(catalogue.ledger, "progress", locked)
    task = make_task()
    async with told_progress(catalogue, task.id, catalogue.plans.shard(task.id, 0)):
        said = f"progress unknown task={task.id} shard=0 error=database is locked"
        assert await lines(caplog, 2) == [said] * 2
    assert asyncio.all_tasks() == {asyncio.current_task()}
