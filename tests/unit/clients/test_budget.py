"""The bound on bytes held at once."""

import asyncio
import random

import pytest

from face_import.clients.budget import ByteBudget


async def test_what_is_held_never_exceeds_the_total() -> None:
    """Many holders of random sizes, some cancelled at random moments, stay within the bound and all end."""
    budget, chance, most = ByteBudget(100), random.Random(7), 0  # noqa: S311 - a repeatable one

    async def hold(size: int) -> None:
        nonlocal most
        with budget.reservation() as held:
            await held.take(size)
            most = max(most, budget.held)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            held.shrink(size // 2)
            await asyncio.sleep(0)
            await held.take(size)

    tasks = [asyncio.create_task(hold(chance.randint(1, 150))) for _ in range(400)]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel() if chance.random() < 0.3 else None
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {type(None), asyncio.CancelledError}
    assert most == 100
    assert budget.held == 0


async def test_those_behind_a_cancelled_waiter_are_let_in() -> None:
    """A waiter that gives up no longer stands in the way of a smaller one behind it."""
    budget = ByteBudget(10)
    with budget.reservation() as first, budget.reservation() as third:
        await first.take(6)
        second = asyncio.create_task(budget.reservation().take(8))
        waiting = asyncio.create_task(third.take(4))
        await asyncio.sleep(0)
        assert not waiting.done()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await waiting
        assert budget.held == 10
    assert budget.held == 0
