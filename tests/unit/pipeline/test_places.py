"""Places: who makes calls, who stepped aside, and who is next."""

import asyncio

import pytest

from face_import.pipeline.places import Places


class Rows:
    """Rows of a shard that has so many places, each with something to do aside."""

    def __init__(self, places: int) -> None:
        self.places = Places()
        self.places.govern(is_free=lambda: len(self.places) < places, left=lambda: self.left.append(len(self.places)))
        self.left: list[int] = []

    def start(self, turn: "asyncio.Future[None]") -> "asyncio.Task[None]":
        """Start a row that is aside until its turn."""

        async def row() -> None:
            await self.places.aside(turn)

        task = asyncio.create_task(row())
        self.places.take(task)
        task.add_done_callback(self.places.leave)
        return task


def turn() -> "asyncio.Future[None]":
    """What a row waits for aside."""
    return asyncio.get_running_loop().create_future()


async def passed() -> None:
    """Let everything that can happen without a further event happen."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_row_aside_has_no_place_and_waits_to_have_it_back() -> None:
    """While a row is aside another one takes its place, and it goes on when that one has ended."""
    rows, decoded = Rows(1), turn()
    aside = rows.start(decoded)
    await passed()
    assert (len(rows.places), rows.left) == (0, [0])
    other: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(60))
    rows.places.take(other)
    decoded.set_result(None)
    await passed()
    assert (aside.done(), len(rows.places)) == (False, 1)
    rows.places.leave(other)
    await aside
    other.cancel()


async def test_a_row_whose_work_fails_ends_without_a_place() -> None:
    """A picture that cannot be decoded has nothing to call anybody for."""
    rows, decoded = Rows(1), turn()
    aside = rows.start(decoded)
    await passed()
    other: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(60))
    rows.places.take(other)
    decoded.set_exception(ValueError("no picture"))
    with pytest.raises(ValueError, match="no picture"):
        await aside
    assert len(rows.places) == 1
    other.cancel()


@pytest.mark.parametrize("let_in", [False, True], ids=["while it waits", "as it is let in"])
async def test_a_row_broken_off_stands_in_nobodys_way(let_in: bool) -> None:
    """The place of a row that is cancelled goes to the next that waits."""
    rows, first, second = Rows(1), turn(), turn()
    broken, next_one = rows.start(first), rows.start(second)
    await passed()
    other: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(60))
    rows.places.take(other)
    first.set_result(None)
    second.set_result(None)
    await passed()
    if let_in:
        rows.places.leave(other)
    broken.cancel()
    if not let_in:
        await passed()
        rows.places.leave(other)
    await next_one
    await passed()
    assert len(rows.places) == 0
    other.cancel()


async def test_what_is_no_row_just_waits() -> None:
    """Whoever has no place has none to leave."""
    assert await Places().aside(asyncio.sleep(0, "done")) == "done"
