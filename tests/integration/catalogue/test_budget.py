"""The budget for failures, on SQLite and on PostgreSQL where a server is reachable."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.schema import import_task
from face_import.contract import Code, Mode, TaskState
from face_import.domain.failed_rows import FailedRows
from face_import.domain.failures import JUDGED_FROM, overrun
from face_import.domain.identity import new_task_id
from face_import.domain.models import NO_POLICY, FailurePolicy, Limits, Outcome, OutcomeBatch, Shard
from tests.catalogues import DATABASES, catalogue_on

SHARDS, PER_SHARD = 4, 500


@pytest.fixture(scope="module", params=DATABASES)
def catalogue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """A catalogue of each kind; its tests have tasks of their own."""
    yield from catalogue_on(request.param, tmp_path_factory.mktemp("home"))


def started(
    catalogue: Catalogue, policy: FailurePolicy = NO_POLICY, *, shards: int = SHARDS, rows: int = PER_SHARD
) -> str:
    """A running task; each of its shards is held by "me"."""
    task_id = new_task_id()
    config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP, policy=policy)
    catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=shards * rows)
    plan = [Shard(n, n * rows + 1, rows, n * 100, (n + 1) * 100, n * rows + 1) for n in range(shards)]
    catalogue.plans.commit(task_id, plan, shards * rows)
    catalogue.tasks.start(task_id)
    for number in range(shards):
        catalogue.leases.take(task_id, number, "me", 10)
    return task_id


def write(catalogue: Catalogue, task_id: str, shard: int, codes: dict[int, Code]) -> None:
    """Write outcomes by row."""
    outcomes = tuple(Outcome(row, f"http://x/{row}", code, "", f"{task_id}-{row}") for row, code in codes.items())
    catalogue.ledger.write(OutcomeBatch(task_id, shard, "me", outcomes))


def failing(first: int, rows: int, code: Code = Code.NO_FACE) -> dict[int, Code]:
    """Rows in succession that fail."""
    return dict.fromkeys(range(first, first + rows), code)


def handled_since(catalogue: Catalogue, task_id: str) -> dict[str, int]:
    """Rows of the attempt by code, as the task's row has them."""
    with catalogue.engine.begin() as connection:
        return dict(connection.scalar(select(import_task.c.handled_since).where(import_task.c.id == task_id)))


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_shards_that_write_at_once_stop_at_the_budget(catalogue: Catalogue, batch: int) -> None:
    """At most the budget and what one batch holds has failed when the task stops, and it stops no batch later.

    The rows of all shards fail, and all of them write at the same time. What is in flight is written nevertheless.
    """
    task_id, most = started(catalogue, FailurePolicy(max_failed=100)), 100
    together = Barrier(SHARDS)

    def shard(number: int) -> None:
        together.wait()
        for first in range(1, 200, batch):
            write(catalogue, task_id, number, failing(number * PER_SHARD + first, min(batch, 200 - first)))

    with ThreadPoolExecutor(SHARDS) as threads:
        list(threads.map(shard, range(SHARDS)))
    task = catalogue.tasks.get(task_id)
    assert task.state == TaskState.STOPPED
    (counted,) = re.findall(r"^(\d+) of \1 rows failed \(201: \1\), at most 100 are allowed; ", task.last_error)
    assert most < int(counted) <= most + batch
    assert catalogue.ledger.progress(task_id).by_code == {201: 4 * 199}
    assert handled_since(catalogue, task_id) == {"201": 4 * 199}


def test_a_share_is_judged_from_a_thousand_rows(catalogue: Catalogue) -> None:
    """999 rows that failed stop nothing; the thousandth does, though it succeeds."""
    task_id = started(catalogue, FailurePolicy(max_failed_percent=20))
    write(catalogue, task_id, 0, failing(1, 190, Code.URI_UNREACHABLE) | failing(191, 40))
    write(catalogue, task_id, 0, dict.fromkeys(range(231, PER_SHARD + 1), Code.OK))
    write(catalogue, task_id, 1, dict.fromkeys(range(PER_SHARD + 1, JUDGED_FROM), Code.OK))
    assert catalogue.tasks.get(task_id).state == TaskState.RUNNING
    write(catalogue, task_id, 1, {JUDGED_FROM: Code.OK})
    task = catalogue.tasks.get(task_id)
    assert task.state == TaskState.STOPPED
    assert task.last_error.startswith("23 % of 1,000 rows failed (101: 190, 201: 40), at most 20 % allowed; ")


def test_a_small_file_is_judged_as_a_whole(catalogue: Catalogue) -> None:
    """It stops with all its rows handled; the next start completes it with its failures."""
    task_id = started(catalogue, FailurePolicy(max_failed_percent=50), shards=1, rows=10)
    write(catalogue, task_id, 0, failing(1, 9))
    assert catalogue.tasks.get(task_id).state == TaskState.RUNNING
    write(catalogue, task_id, 0, {10: Code.OK})
    assert catalogue.tasks.get(task_id).last_error.startswith("90 % of 10 rows failed (201: 9)")
    assert not catalogue.tasks.complete(task_id)
    catalogue.tasks.start(task_id)
    assert catalogue.tasks.complete(task_id)


def test_a_start_counts_anew(catalogue: Catalogue) -> None:
    """What had failed before is no failure of the new attempt; what was in flight at the stop and comes later is."""
    task_id = started(catalogue, FailurePolicy(max_failed=5))
    write(catalogue, task_id, 0, failing(1, 6))
    assert catalogue.tasks.get(task_id).state == TaskState.STOPPED
    write(catalogue, task_id, 0, failing(7, 2))
    catalogue.tasks.start(task_id)
    assert handled_since(catalogue, task_id) == {}
    write(catalogue, task_id, 0, failing(9, 5))
    assert catalogue.tasks.get(task_id).state == TaskState.RUNNING
    write(catalogue, task_id, 0, failing(9, 6))
    stopped = catalogue.tasks.get(task_id)
    assert stopped.state == TaskState.STOPPED
    assert stopped.last_error.startswith("6 of 6 rows failed (201: 6), at most 5 are allowed; ")


def test_a_run_that_is_cleared_in_airflow_counts_anew(catalogue: Catalogue) -> None:
    """As after a start through the API."""
    task_id = started(catalogue, FailurePolicy(max_failed=5))
    catalogue.runs.note_queued(task_id, 1, 1.0)
    write(catalogue, task_id, 0, failing(1, 6))
    task = catalogue.runs.run_queued(task_id, 4e9)
    assert task is not None
    assert (task.state, task.attempt) == (TaskState.RUNNING, 2)
    assert handled_since(catalogue, task_id) == {}
    write(catalogue, task_id, 0, failing(7, 5))
    assert catalogue.tasks.get(task_id).state == TaskState.RUNNING


def test_a_budget_may_come_later(catalogue: Catalogue) -> None:
    """What has failed in this attempt counts, and the next write is judged, also by one that was lowered."""
    task_id = started(catalogue)
    write(catalogue, task_id, 0, failing(1, 20))
    catalogue.tasks.configure(task_id, max_failed=30)
    write(catalogue, task_id, 0, failing(21, 10))
    assert catalogue.tasks.get(task_id).state == TaskState.RUNNING
    catalogue.tasks.configure(task_id, max_failed=10, thread_num=3)
    write(catalogue, task_id, 0, {31: Code.OK})
    stopped = catalogue.tasks.get(task_id)
    assert stopped.last_error.startswith("30 of 31 rows failed (201: 30), at most 10 are allowed; ")
    assert (stopped.config.thread_num, stopped.config.policy) == (3, FailurePolicy(max_failed=10))


def test_mode_1_is_first(catalogue: Catalogue) -> None:
    """The failed row is the better reason."""
    task_id = started(catalogue, FailurePolicy(max_failed=1))
    catalogue.tasks.configure(task_id, mode=int(Mode.STOP))
    write(catalogue, task_id, 0, failing(1, 2))
    assert catalogue.tasks.get(task_id).last_error == "row 1: http://x/1: 201 "


def test_a_write_reads_no_tallies_but_its_shards(catalogue: Catalogue) -> None:
    """However many shards a task has."""
    task_id = started(catalogue, FailurePolicy(max_failed=1000, max_failed_percent=50))
    seen: list[str] = []

    def listen(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(catalogue.engine, "before_cursor_execute", listen)
    try:
        write(catalogue, task_id, 0, failing(1, 10))
    finally:
        event.remove(catalogue.engine, "before_cursor_execute", listen)
    reads = [statement for statement in seen if statement.startswith("SELECT") and "FROM tally" in statement]
    assert len(reads) == 1
    assert "tally.shard = " in reads[0]


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1), st.lists(st.booleans(), min_size=1, max_size=6)),
    st.tuples(st.just("start"), st.none(), st.none()),
    st.tuples(st.just("retry"), st.none(), st.none()),
    st.tuples(st.just("budget"), st.integers(0, 6), st.sampled_from([0, 30, 60])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=25))
def test_totals_are_those_of_the_outcomes(catalogue: Catalogue, steps: list[tuple[str, int, list[bool]]]) -> None:
    """Whatever is written, started, retried and changed in whatever order, a task stops exactly when it has to."""
    task_id, rows = started(catalogue, shards=2, rows=12), 12
    outcomes: dict[int, Code] = {}
    attempt: dict[int, int] = {}
    due, running, policy = 24, True, NO_POLICY
    for step, number, what in steps:
        if step == "write":
            left = [row for row in range(number * rows + 1, (number + 1) * rows + 1) if row not in outcomes]
            codes = {row: Code.NO_FACE if bad else Code.OK for row, bad in zip(left, what, strict=False)}
            write(catalogue, task_id, number, codes)
            outcomes |= codes
            for code in codes.values():
                attempt[code] = attempt.get(code, 0) + 1
            running = running and not (codes and overrun(policy, attempt, due))
        elif step == "start" and not running:
            catalogue.tasks.start(task_id)
            attempt, due, running = {}, 24 - len(outcomes), True
        elif step == "retry" and not running:
            failed = {row for row, code in outcomes.items() if code != Code.OK}
            assert catalogue.reopening.reopen(task_id, FailedRows()) == len(failed)
            outcomes = {row: code for row, code in outcomes.items() if row not in failed}
        elif step == "budget":
            policy = FailurePolicy(max_failed=number, max_failed_percent=what)  # type: ignore[arg-type]
            numbers = {"max_failed": policy.max_failed, "max_failed_percent": policy.max_failed_percent}
            catalogue.tasks.configure(task_id, **numbers)
        assert catalogue.tasks.get(task_id).state == (TaskState.RUNNING if running else TaskState.STOPPED)
        assert handled_since(catalogue, task_id) == {str(int(code)): count for code, count in sorted(attempt.items())}
