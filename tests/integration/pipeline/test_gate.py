"""The gate: who starts, who makes calls, who stepped aside, and who is next."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_import.domain.models import Row
from face_import.errors import Interrupted
from face_import.pipeline.gate import ROWS_ASIDE, Gate

Turn = asyncio.Future[None]


async def passed() -> None:
    """Let everything that can happen without a further event happen."""
    for _ in range(20):
        await asyncio.sleep(0)


class Shard:
    """Rows behind a gate; each of them is told what to do."""

    def __init__(self, rows: int, slots: int, *, strict: bool = False) -> None:
        self.trouble = ""
        self.gate = Gate(rows, strict=strict, shortage=lambda: self.trouble)
        self.started: list[int] = []
        self.ended: list[int] = []
        self.turns: dict[int, Turn] = {}
        self.steps: dict[int, str] = {}
        self.tasks = [asyncio.create_task(self._work()) for _ in range(rows)]
        self.feeding = asyncio.create_task(self._feed(rows))
        if slots:
            self.grant(slots)

    def grant(self, slots: int, seconds: float = 60) -> None:
        """Say how many slots there are, and for how long rows may start."""
        self.gate.grant(slots, time.monotonic() + seconds)

    async def go(self, *rows: int, until: str = "end") -> None:
        """Let rows do their next step: go aside, pause, come back, or end."""
        for row in rows:
            self.steps[row] = until
            self.turns[row].set_result(None)
        await passed()

    async def _feed(self, rows: int) -> None:
        await self.gate.offer(Row(number, f"http://x/{number}", "", "", "", number) for number in range(1, rows + 1))
        self.gate.no_more()

    async def _work(self) -> None:
        while row := await self.gate.next_row():
            self.started.append(row.number)
            while (step := await self._step(row.number)) != "end":
                if step == "aside":
                    await self.gate.aside(self._step(row.number))
                elif step == "pause":
                    await self.gate.aside(asyncio.sleep(0), probes=True)
            self.ended.append(row.number)

    async def _step(self, row: int) -> str:
        self.turns[row] = asyncio.get_running_loop().create_future()
        await self.turns[row]
        return self.steps[row]


@pytest.fixture
async def close() -> AsyncIterator[list[Shard]]:
    """Shards that are closed when the test has ended."""
    shards: list[Shard] = []
    yield shards
    for shard in shards:
        for task in (*shard.tasks, shard.feeding):
            task.cancel()


def shard(close: list[Shard], rows: int, slots: int, *, strict: bool = False) -> Shard:
    """A shard that ends with the test."""
    made = Shard(rows, slots, strict=strict)
    close.append(made)
    return made


async def test_as_many_rows_start_as_there_are_slots(close: list[Shard]) -> None:
    """The next one starts when one has ended, in the order of the file; at the end everybody is told."""
    rows = shard(close, 4, 2)
    await passed()
    assert rows.started == [1, 2]
    await rows.go(2)
    assert rows.started == [1, 2, 3]
    await rows.go(1, 3)
    await rows.go(4)
    assert rows.ended == [2, 1, 3, 4]
    assert all(task.done() for task in rows.tasks)


async def test_without_room_no_row_starts_or_comes_back(close: list[Shard]) -> None:
    """With the next grant that finds room they all go on; a shard that is to end ends without it."""
    rows = shard(close, 4, 2)
    await passed()
    await rows.go(1, until="aside")
    rows.trouble = "the disk is almost full"
    rows.grant(2)
    await rows.go(1, 2)
    assert (rows.started, rows.ended, rows.gate.slots_in_use) == ([1, 2, 3], [2], 1)
    rows.trouble = ""
    rows.grant(2)
    await passed()
    await rows.go(1)
    assert (rows.started, rows.ended) == ([1, 2, 3, 4], [2, 1])
    await rows.go(3, until="aside")
    rows.trouble = "the disk is almost full"
    rows.grant(2)
    rows.gate.close(Interrupted("the task was stopped"))
    await rows.go(3, 4)
    await rows.go(3)
    assert rows.ended == [2, 1, 4, 3]


async def test_a_row_aside_leaves_its_slot_and_waits_to_have_it_back(close: list[Shard]) -> None:
    """While a row is aside another one starts, and it goes on before any new one."""
    rows = shard(close, 3, 1)
    await passed()
    await rows.go(1, until="aside")
    assert rows.started == [1, 2]
    await rows.go(1)  # what it did aside is done, and row 2 has the slot
    assert rows.gate.slots_in_use == 1
    aside = rows.turns[1]
    await passed()
    assert aside.done()
    await rows.go(2)
    assert rows.started == [1, 2]
    await rows.go(1)
    assert rows.started == [1, 2, 3]


async def test_only_so_many_rows_are_aside(close: list[Shard]) -> None:
    """Pictures that wait to be decoded take memory."""
    rows = shard(close, 30, 1)
    for row in range(1, ROWS_ASIDE + 2):
        await passed()
        await rows.go(row, until="aside")
    assert rows.started == list(range(1, ROWS_ASIDE + 2))


async def test_where_each_row_counts_none_starts_beyond_the_slots(close: list[Shard]) -> None:
    """A row that fails stops a task of mode 1 at once: a row that started meanwhile is one too many."""
    rows = shard(close, 3, 1, strict=True)
    await passed()
    await rows.go(1, until="aside")
    assert rows.started == [1]


async def test_nothing_starts_by_an_old_grant_or_by_none(close: list[Shard]) -> None:
    """What was renewed too long ago may be somebody else's by now."""
    rows = shard(close, 2, 0)
    await passed()
    assert rows.started == []
    rows.grant(2, seconds=-1)
    await passed()
    assert rows.started == []
    rows.grant(2)
    await passed()
    assert rows.started == [1, 2]


async def test_a_smaller_grant_is_come_down_to_and_a_larger_one_used_at_once(close: list[Shard]) -> None:
    """Until then the slots that are in use are said to be."""
    rows = shard(close, 6, 3)
    await passed()
    rows.grant(1)
    await rows.go(1)
    assert (rows.started, rows.gate.slots_in_use) == ([1, 2, 3], 2)
    rows.grant(4)
    await passed()
    assert rows.started == [1, 2, 3, 4, 5]


async def test_a_closed_gate_lets_rows_under_way_end(close: list[Shard]) -> None:
    """Also where the import was paused: a row that comes back has a slot. The first reason stays."""
    rows = shard(close, 3, 1)
    await passed()
    await rows.go(1, until="aside")
    rows.grant(0)
    rows.gate.close(Interrupted("first"))
    rows.gate.close(Interrupted("second"))
    await passed()
    await rows.go(2)
    await rows.go(1)
    await rows.go(1)
    assert (rows.started, sorted(rows.ended)) == ([1, 2], [1, 2])
    assert str(rows.gate.closed) == "first"
    assert rows.feeding.done()
    await rows.gate.shut()


@pytest.mark.parametrize("for_all", [True, False], ids=["for all", "perhaps for one row only"])
async def test_a_service_that_is_down_is_asked_by_one_row_at_a_time(close: list[Shard], for_all: bool) -> None:
    """A row that pauses lets one fresh row find out whether it is its own fault, where that may be, and no more."""
    rows = shard(close, 9, 2)
    await passed()
    rows.gate.service_down("info", for_all=for_all)
    await rows.go(1)
    assert rows.started == [1, 2]
    await rows.go(2, until="pause")
    assert rows.started == ([1, 2] if for_all else [1, 2, 3])
    if for_all:
        await rows.go(2)
        assert rows.started == [1, 2, 3]
    await rows.go(3, until="pause")
    assert rows.started == [1, 2, 3]
    rows.gate.service_up("info")
    await rows.go(3)
    assert rows.started[:4] == [1, 2, 3, 4]


async def test_a_row_whose_work_fails_ends_without_a_slot() -> None:
    """A picture that cannot be decoded has nothing to call anybody for."""
    gate = Gate(1)
    gate.grant(1, time.monotonic() + 60)
    offered = asyncio.create_task(gate.offer([Row(1, "http://x/1", "", "", "", 1)]))
    await passed()

    async def fail() -> None:
        raise ValueError("no picture")

    async def work() -> None:
        assert await gate.next_row()
        with pytest.raises(ValueError, match="no picture"):
            await gate.aside(fail())
        assert await gate.aside(asyncio.sleep(0, "done")) == "done"

    await asyncio.create_task(work())
    assert await offered
    gate.grant(0, 0)
    assert gate.slots_in_use == 0


@pytest.mark.parametrize("let_in", [False, True], ids=["while it waits", "as it is let in"])
async def test_a_row_broken_off_stands_in_nobodys_way(close: list[Shard], let_in: bool) -> None:
    """The slot of a row that is cancelled goes to the next that waits."""
    rows = shard(close, 3, 1)
    await passed()
    await rows.go(1, until="aside")
    await rows.go(2, until="aside")
    assert rows.started == [1, 2, 3]
    await rows.go(1, 2)
    workers = {row: next(t for t in rows.tasks if not t.done() and _row_of(t) == row) for row in (1, 2)}
    if let_in:
        rows.turns[3].set_result(None)
        rows.steps[3] = "end"
        workers[1].cancel()
        await passed()
    else:
        workers[1].cancel()
        await passed()
        await rows.go(3)
    await rows.go(2)
    assert 2 in rows.ended


def _row_of(task: "asyncio.Task[None]") -> int | None:
    row = task.get_coro().cr_frame.f_locals.get("row")  # type: ignore[attr-defined]
    return row.number if row else None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["aside", "end", "pause", "grant", "down", "up"]), st.integers(0, 5))))
def test_the_grant_is_kept_whatever_happens(events: list[tuple[str, int]]) -> None:
    """Never more rows make calls than the largest grant since they began, each row starts once, and in order."""

    async def play() -> None:
        rows = Shard(12, 3)
        most = 3
        await passed()
        for what, number in events:
            if what == "grant":
                rows.grant(number)
                most = max(number, len(rows.gate._calling))
            elif what in {"down", "up"}:
                (rows.gate.service_down if what == "down" else rows.gate.service_up)("info")
            elif waiting := [row for row, turn in rows.turns.items() if not turn.done()]:
                await rows.go(waiting[number % len(waiting)], until=what)
            await passed()
            assert len(rows.gate._calling) <= most
            assert len(rows.gate._in_progress) <= 12
            assert rows.started == sorted(set(rows.started))
        rows.gate.service_up("info")
        rows.grant(12)
        async with asyncio.timeout(5):
            while len(rows.ended) < 12:
                await rows.go(*(row for row, turn in rows.turns.items() if not turn.done()))
            await asyncio.wait([*rows.tasks, rows.feeding])
        assert sorted(rows.ended) == list(range(1, 13))

    asyncio.run(play())
