"""A model of resume: random stops, starts, crashes, late writes and lost leases never lose or double a row."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select, text

from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import outcome
from face_import.contract import Code, Mode, TaskState
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.errors import LeaseLost, TaskStopped, WrongState
from face_import.settings import Settings

SHARDS, ROWS, THREADS = 3, 8, 5
TASK = "AAAAAAAAAAAA"


@dataclass
class Try:
    """One try at a shard, as the pipeline behaves: it knows only what it was told.

    `limit` is what it may have in flight.
    """

    shard: Shard
    attempt: int
    limit: int
    todo: list[int]
    owner: str = field(default_factory=lambda: str(uuid4()))
    in_flight: list[int] = field(default_factory=list)
    unwritten: list[int] = field(default_factory=list)
    running: bool = True


class Resume(RuleBasedStateMachine):
    """Tries of three shards under one catalogue; `library` is where the faces end up, by row."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        configured = Settings(home=Path(self.folder.name))
        migrate(configured.catalogue_url)
        self.catalogue = Catalogue.open(configured)
        self.library: dict[int, int] = {}
        self.writers: dict[int, str] = {}
        self.tries: list[Try] = []

    @initialize()
    def create(self) -> None:
        """Register, plan and start the task."""
        config = TaskConfig("staff", "model", Limits(), THREADS, Mode.SKIP)
        self.catalogue.tasks.add(TASK, TASK, config, state=TaskState.CREATED)
        shards = [Shard(n, n * ROWS + 1, ROWS, 0, 1, 1) for n in range(SHARDS)]
        self.catalogue.plans.commit(TASK, shards, SHARDS * ROWS)
        self.catalogue.tasks.start(TASK)

    @rule(number=st.integers(0, SHARDS - 1))
    def begin(self, number: int) -> None:
        """A new try takes the lease, if it gets it, and leaves out what is in the ledger."""
        shard, owner = self.catalogue.plans.shards(TASK)[number], str(uuid4())
        try:
            held = self.catalogue.leases.held(TASK, number)
            dead = held if held and held.expired else None
            lease = self.catalogue.leases.take(TASK, number, owner, shard.rows, instead_of=dead)
        except TaskStopped:
            return
        if lease is not None:
            handled = self.catalogue.ledger.handled_rows(TASK, shard.first_row, shard.last_row)
            todo = [row for row in range(shard.first_row, shard.last_row + 1) if row not in handled]
            self.tries.append(Try(shard, lease.attempt, 0, todo, owner=owner))

    @rule(data=st.data(), renewed=st.booleans(), ended=st.integers(0, 6), written=st.integers(0, 2))
    def work(self, data: st.DataObject, renewed: bool, ended: int, written: int) -> None:
        """A try lives on for a moment: it renews, starts what it may, gets some rows back, hands them over."""
        if (one := self._pick(data)) is None:
            return
        if renewed and not self._renew(one):
            return
        self._start_rows(one)
        while one.in_flight and ended:
            one.unwritten.append(one.in_flight.pop(0))
            ended -= 1
        if one.unwritten and written:
            self._write(one, times=written)

    @rule(data=st.data(), how=st.sampled_from(["crash", "hang", "stop", "start", "start"]))
    def disturb(self, data: st.DataObject, how: str) -> None:
        """Kill a try; or let it hang until its lease has run out; or press a button."""
        if how in {"stop", "start"}:
            with suppress(WrongState):
                getattr(self.catalogue.tasks, how)(TASK)
        elif (one := self._pick(data)) is not None:
            with self.catalogue.engine.begin() as connection:
                connection.execute(text("UPDATE shard SET lease_until = 0 WHERE lease_owner = :o"), {"o": one.owner})
            if how == "crash":
                self.tries.remove(one)
            else:
                one.limit, one.in_flight = 0, []

    def _renew(self, one: Try) -> bool:
        try:
            lease = self.catalogue.leases.renew(
                TASK,
                one.shard.number,
                one.owner,
                one.attempt,
                wants=len(one.todo) + len(one.in_flight),
                using=max(one.limit, len(one.in_flight)),
            )
        except LeaseLost:
            self.tries.remove(one)
            return False
        one.limit, one.running = lease.grant, lease.running
        return True

    def _start_rows(self, one: Try) -> None:
        while one.running and one.todo and len(one.in_flight) < one.limit:
            row = one.todo.pop(0)
            assert row not in self.catalogue.ledger.handled_rows(TASK, row, row), "a handled row started again"
            one.in_flight.append(row)
            self.library[row] = self.library.get(row, 0) + 1

    def _write(self, one: Try, *, times: int) -> None:
        """Hand a batch over, perhaps twice: the first answer was lost."""
        outcomes = tuple(Outcome(row, "uri", Code.OK, face_id=one.owner) for row in one.unwritten)
        try:
            for _ in range(times):
                self.catalogue.ledger.write(OutcomeBatch(TASK, one.shard.number, one.owner, outcomes))
        except LeaseLost:
            self.tries.remove(one)
            return
        self.writers |= {row: one.owner for row in one.unwritten if row not in self.writers}
        one.unwritten.clear()

    @invariant()
    def a_shard_has_one_live_try(self) -> None:
        """Of the tries that may still start rows no two are at the same shard."""
        at_work = [one.shard.number for one in self.tries if one.running and one.limit]
        assert len(at_work) == len(set(at_work)), "two live tries at one shard"

    @invariant()
    def threads_are_obeyed(self) -> None:
        """Rows in flight under live leases never exceed thread_num."""
        assert sum(len(one.in_flight) for one in self.tries) <= THREADS, "too many rows in flight"

    @invariant()
    def the_ledger_holds_only_what_happened(self) -> None:
        """Every row in the ledger is in the library, and counts agree with rows."""
        with self.catalogue.engine.connect() as connection:
            rows = list(connection.scalars(select(outcome.c.row)))
        assert len(rows) == len(set(rows)) == self.catalogue.ledger.progress(TASK).handled
        assert set(rows) <= set(self.library)

    @invariant()
    def the_first_outcome_of_a_row_stays(self) -> None:
        """No later try replaces what the ledger has."""
        with self.catalogue.engine.connect() as connection:
            written = dict(connection.execute(select(outcome.c.row, outcome.c.face_id)).all())
        assert {row: owner for row, owner in written.items() if row in self.writers} == self.writers

    def teardown(self) -> None:
        """However it went, a last undisturbed attempt completes the task with every row once."""
        if self.catalogue.tasks.peek(TASK) is not None:
            self._complete()
        self.catalogue.engine.dispose()
        self.folder.cleanup()

    def _complete(self) -> None:
        with suppress(WrongState):
            self.catalogue.tasks.start(TASK)
        with self.catalogue.engine.begin() as connection:
            connection.execute(text("UPDATE shard SET lease_until = 0"))
        for shard in self.catalogue.plans.shards(TASK):
            owner = str(uuid4())
            dead = self.catalogue.leases.held(TASK, shard.number)
            assert self.catalogue.leases.take(TASK, shard.number, owner, shard.rows, instead_of=dead) is not None
            handled = self.catalogue.ledger.handled_rows(TASK, shard.first_row, shard.last_row)
            rest = [n for n in range(shard.first_row, shard.last_row + 1) if n not in handled]
            outcomes = tuple(Outcome(row, "uri", Code.OK, face_id=f"{TASK}-{row}") for row in rest)
            self.catalogue.ledger.write(OutcomeBatch(TASK, shard.number, owner, outcomes))
        assert self.catalogue.tasks.complete(TASK)
        assert self.catalogue.ledger.progress(TASK).by_code == {0: SHARDS * ROWS}

    def _pick(self, data: st.DataObject) -> Try | None:
        return data.draw(st.sampled_from(self.tries)) if self.tries else None


TestResume = Resume.TestCase
TestResume.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
