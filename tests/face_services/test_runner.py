"""The bounded queue before the engines."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from face_services.errors import Busy, NoFace
from face_services.runner import EngineRunner
from tests.face_services.fakes import Engines, FakeEngine


def test_refuses_when_all_places_are_taken() -> None:
    """One runs, one waits, the third is told to come again; a place left is free again."""
    runner = EngineRunner(Engines().make, threads=1, queue=1)
    with runner.place():
        with runner.place(), pytest.raises(Busy), runner.place():
            pass
        with runner.place():
            pass


def test_every_thread_has_an_engine_of_its_own() -> None:
    """Two jobs at once run on two engines, and no more than two are ever made."""
    made: list[FakeEngine] = []
    together = threading.Barrier(2, timeout=10)

    def make() -> FakeEngine:
        made.append(Engines().make())
        return made[-1]

    def job(engine: FakeEngine) -> int:
        together.wait()
        return id(engine)

    runner = EngineRunner(make, threads=2, queue=10)
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

    runner = EngineRunner(make, threads=2, queue=1)
    runner.warm_up()
    runner.run(lambda engine: engine)
    assert len(set(engines.made_in)) == len(engines.made_in)
    assert not together.broken


def test_an_engine_that_broke_is_replaced() -> None:
    """After an unexpected error the next job gets a new engine; after a refusal it keeps the old one."""
    runner = EngineRunner(Engines().make, threads=1, queue=1)
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
