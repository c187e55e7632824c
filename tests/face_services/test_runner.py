"""The bounded queue before the engines."""

import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest

from face_services.errors import Busy, EngineDied, NoFace
from face_services.runner import EngineRunner
from tests.face_services.fakes import Engines, FakeEngine, thread_pool


def test_refuses_when_all_places_are_taken() -> None:
    """One runs, one waits, the third is told to come again; a place left is free again."""
    runner = EngineRunner(Engines().make, 1, 1, thread_pool)
    with runner.place():
        with runner.place(), pytest.raises(Busy), runner.place():
            pass
        with runner.place():
            pass


def test_every_worker_has_an_engine_of_its_own() -> None:
    """Two jobs at once run on two engines, and no more than two are ever made."""
    made: list[FakeEngine] = []
    together = threading.Barrier(2, timeout=10)

    def make() -> FakeEngine:
        made.append(Engines().make())
        return made[-1]

    def job(engine: FakeEngine) -> int:
        together.wait()
        return id(engine)

    runner = EngineRunner(make, 2, 10, thread_pool)
    with ThreadPoolExecutor(4) as callers:
        used = set(callers.map(lambda _: runner.run(job), range(8)))
    assert used == {id(engine) for engine in made}
    assert len(made) == 2


def test_warming_up_makes_every_engine_before_the_first_job() -> None:
    """Both threads make their engine at once, unasked; a job finds one ready."""
    engines = Engines()
    together = threading.Barrier(2, timeout=10)

    def make() -> FakeEngine:
        together.wait()
        return engines.make()

    runner = EngineRunner(make, 2, 1, thread_pool)
    runner.warm_up()
    runner.run(lambda engine: engine)
    assert len(set(engines.made_in)) == len(engines.made_in)
    assert not together.broken


def test_an_engine_that_broke_is_replaced() -> None:
    """After an unexpected error the next job gets a new engine; after a refusal it keeps the old one."""
    runner = EngineRunner(Engines().make, 1, 1, thread_pool)
    first = runner.run(lambda engine: engine)

    def refuse(_engine: object) -> None:
        raise NoFace

    def fail(_engine: object) -> None:
        raise RuntimeError("graph is closed")

    with pytest.raises(NoFace):
        runner.run(refuse)
    assert runner.run(lambda engine: engine) is first
    with pytest.raises(RuntimeError):
        runner.run(fail)
    assert runner.run(lambda engine: engine) is not first


class PlainEngine:
    """An engine that goes from process to process as a name; it is asked for nothing."""


def process_of(engine: PlainEngine) -> int:
    """The process that works for an engine."""
    assert isinstance(engine, PlainEngine)
    return os.getpid()


def refused(_engine: PlainEngine) -> None:
    """Refuse, as an engine does that finds no face."""
    raise NoFace


def test_engines_are_in_processes_of_their_own() -> None:
    """Jobs run outside this process; refusals come back as they were raised; one that is killed is made anew."""
    runner = EngineRunner(PlainEngine, 1, 1)  # type: ignore[arg-type]
    first = runner.run(process_of)
    assert first != os.getpid()
    with pytest.raises(NoFace, match=r"^No face found$"):
        runner.run(refused)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineDied):
        deque(iter(lambda: runner.run(process_of), None), maxlen=0)  # until the death is noticed
    assert runner.run(process_of) not in {first, os.getpid()}


def processors_of(_engine: PlainEngine) -> tuple[int, frozenset[int]]:
    """The process that works for an engine, and the processors it may use."""
    return os.getpid(), frozenset(os.sched_getaffinity(0))


@pytest.mark.parametrize("more", [0, 1], ids=["one for each processor", "one more"])
def test_an_engine_has_its_own_processor_if_there_is_one_for_each(more: int) -> None:
    """Two engines never share a processor that way; with another number of them the system sees to it."""
    usable = os.sched_getaffinity(0)
    engines = len(usable) + more
    runner = EngineRunner(PlainEngine, engines, engines)  # type: ignore[arg-type]
    seen: dict[int, frozenset[int]] = {}
    deadline = time.monotonic() + 60
    with ThreadPoolExecutor(2 * engines) as callers:
        while len(seen) < engines and time.monotonic() < deadline:
            seen |= dict(callers.map(lambda _: runner.run(processors_of), range(4 * engines)))
    expected = [frozenset({processor}) for processor in usable] if more == 0 else [frozenset(usable)] * engines
    assert sorted(map(sorted, seen.values())) == sorted(map(sorted, expected))
