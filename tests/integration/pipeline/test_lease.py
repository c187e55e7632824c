"""A try's hold on its shard, on machines that are busy, sleep, or have their clock set."""

import asyncio
import gc
import logging
from contextlib import suppress

import pytest
from sqlalchemy import text

from face_import.catalogue import Catalogue, ImportTask
from face_import.errors import LeaseLost
from face_import.pipeline import gate as gate_module
from face_import.pipeline import lease as module
from face_import.pipeline.gate import Gate
from face_import.pipeline.lease import LeaseHolder
from face_import.settings import Settings
from tests.conftest import MakeTask


class Clock:
    """`elapsed`, ahead of the real one by what the test says."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._real = module.elapsed

    def __call__(self) -> float:
        """Seconds since an arbitrary moment."""
        return self._real() + self.ahead_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of this machine."""
    clock = Clock()
    for one in (module, gate_module):
        monkeypatch.setattr(one, "elapsed", clock)
    return clock


@pytest.fixture
def task(make_task: MakeTask) -> ImportTask:
    """A running task with a shard."""
    return make_task()


def holder(catalogue: Catalogue, task: ImportTask, owner: str, settings: Settings) -> LeaseHolder:
    """A try at the task's shard."""
    return LeaseHolder(catalogue.leases, (task.id, 0), owner, Gate(10), settings)


def set_database_clock(catalogue: Catalogue, seconds: float) -> None:
    """Set it forward: what it was to reach then is nearer by that; or back."""
    with catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE shard SET lease_until = lease_until - :s"), {"s": seconds})


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_database_clock_that_is_set_lets_no_two_tries_work(
    catalogue: Catalogue, task: ImportTask, settings: Settings, hours: float
) -> None:
    """A holder that renews keeps its shard, whatever the clock says about its lease."""
    first, second = (holder(catalogue, task, owner, settings) for owner in ("first", "second"))
    await first.take()
    waiting = asyncio.create_task(second.take())
    for _ in range(3):
        set_database_clock(catalogue, 3600 * hours)
        with suppress(LeaseLost, TimeoutError):  # if it is lost, the same process takes it again
            async with asyncio.timeout(settings.lease_ttl_s):
                await first.keep()
        assert not waiting.done()
        await first.take()
    assert not waiting.done()
    await first.give_back(in_doubt=False)
    await waiting
    assert catalogue.leases.held(task.id, 0).owner == "second"  # type: ignore[union-attr]


async def test_a_dead_try_is_replaced_though_the_database_clock_was_set_back(
    catalogue: Catalogue, task: ImportTask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease seems to live for another hour, but nobody renews it."""
    monkeypatch.setattr(module, "DEAD_S", 0.5)
    await holder(catalogue, task, "dead", settings).take()
    set_database_clock(catalogue, -3600)
    async with asyncio.timeout(10):
        await holder(catalogue, task, "next", settings).take()


async def test_a_machine_that_slept_starts_no_row_with_an_old_grant(clock: Clock) -> None:
    """Others may have taken over while it slept."""
    gate = Gate(10)
    gate.grant(5, clock() + 1)
    assert gate._may_call()
    clock.ahead_s = 3600
    gate._rows.extend([None] * 10)  # type: ignore[list-item]
    assert not gate._may_start()


async def test_after_sleep_the_lease_is_lost_and_taken_again(
    catalogue: Catalogue, task: ImportTask, settings: Settings, clock: Clock
) -> None:
    """By the same try: it is in doubt, since rows were cut off."""
    one = holder(catalogue, task, "one", settings)
    await one.take()
    assert not one.in_doubt
    clock.ahead_s = 20
    with pytest.raises(LeaseLost, match=r"^the lease was not renewed for 2\d\.\d s$"):
        await one.keep()
    again = holder(catalogue, task, "one", settings)
    await again.take()
    assert again.in_doubt


async def test_a_renewal_that_fails_too_late_leaves_no_traceback(  # noqa: PLR0917 - fixtures
    catalogue: Catalogue,
    task: ImportTask,
    settings: Settings,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody waits for it any more: the lease is lost, which is said elsewhere."""
    one = holder(catalogue, task, "one", settings)
    await one.take()
    clock.ahead_s = 20
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def renew() -> None:
        loop.call_soon_threadsafe(loop.call_later, 0.05, ended.set)
        raise LeaseLost("another try has the shard")

    monkeypatch.setattr(one, "_renew", renew)
    with pytest.raises(LeaseLost, match="not renewed"):
        await one.keep()
    await ended.wait()
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_lease_lives_longer_while_renewals_are_late(  # noqa: PLR0917 - fixtures
    catalogue: Catalogue,
    task: ImportTask,
    settings: Settings,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Within bounds; one line says so."""
    one = holder(catalogue, task, "one", settings)
    await one.take()
    asked: list[float] = []
    renew = one._renew

    def late() -> object:
        asked.append(one._ttl_s)
        clock.ahead_s += 1.2
        return renew()

    monkeypatch.setattr(one, "_renew", late)
    with caplog.at_level(logging.WARNING), suppress(TimeoutError):
        async with asyncio.timeout(20):
            while len(asked) < 5:
                keeping = asyncio.create_task(one.keep())
                await asyncio.wait({keeping}, timeout=settings.lease_renew_s)
                keeping.cancel()
                if keeping.done() and not keeping.cancelled() and keeping.exception():
                    raise keeping.exception() or AssertionError
    assert asked[0] < asked[-1] <= module.LONGEST_TTL_S
    assert sum("too busy" in line for line in caplog.messages) == 1
