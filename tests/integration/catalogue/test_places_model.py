"""A model of places: shards that come, die and hang never make more fetches at a time than a host may get."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update

from face_import.catalogue import Catalogue, TaskConfig, Trouble
from face_import.catalogue.engine import migrate
from face_import.catalogue.hosts import GROW_S, bound
from face_import.catalogue.places import Share
from face_import.catalogue.schema import host, import_task, now, shard
from face_import.contract import Mode, TaskState
from face_import.domain.identity import new_task_id
from face_import.domain.models import Limits, Row, Shard
from face_import.pipeline.host import Host
from face_import.settings import Settings
from tests import servers

SHARDS, THREADS = 4, 12
ORIGIN = "http://a.test"
ROWS = count(1)


@dataclass(eq=False)
class Try:
    """One try at a shard, as the pipeline behaves.

    Attributes:
        number: the shard.
        host: what it knows about the host.
        answer: its share, which it has not read yet.
        live: whether it holds the lease.
    """

    number: int
    host: Host
    owner: str = field(default_factory=lambda: str(uuid4()))
    answer: Share | None = None
    live: bool = True

    @property
    def unaware(self) -> bool:
        """Whether it makes fetches without a bound."""
        return not self.host.bounded

    @property
    def may_use(self) -> float:
        """Fetches that it makes at a time, or could start without asking anybody."""
        if self.unaware:
            return inf
        answered = self.answer.places if self.answer is not None else 0
        return max(len(self.host.fetching), self.host.places, inf if answered is None else answered)


class PlacesModel(RuleBasedStateMachine):
    """Tries of some shards, and one host."""

    catalogue: Catalogue

    def __init__(self) -> None:
        super().__init__()
        self.task_id = new_task_id()
        self.tries: list[Try] = []
        self.most: float = inf
        self.used_before: float = 0

    @initialize(host_threads=st.sampled_from([0, 1, 3, 7, THREADS, THREADS]))
    def create(self, host_threads: int) -> None:
        """Register, plan and start the task; two shards are there from the start."""
        config = TaskConfig("staff", "model", Limits(), THREADS, Mode.SKIP, host_threads=host_threads)
        self.catalogue.tasks.add(self.task_id, self.task_id, config, state=TaskState.CREATED)
        shards = [Shard(n, n * 9 + 1, 9, 0, 1, 1) for n in range(SHARDS)]
        self.catalogue.plans.commit(self.task_id, shards, SHARDS * 9)
        self.catalogue.tasks.start(self.task_id)
        self.most = self._bound()
        self.begin(0)
        self.begin(1)

    @rule(number=st.integers(0, SHARDS - 1))
    def begin(self, number: int) -> None:
        """A new try takes the lease, if it gets it."""
        one = Try(number, Host(ORIGIN, self._host_threads() > 0))
        if self.catalogue.leases.take(self.task_id, number, one.owner, 9) is not None:
            self.tries.append(one)
            self._learn(one)

    @rule(data=st.data(), rows=st.integers(0, 9), arrives=st.booleans(), learns=st.booleans())
    def ask(self, data: st.DataObject, rows: int, arrives: bool, learns: bool) -> None:
        """Rows come, and a try asks for its share; one that has lost its lease may not know it yet."""
        if (one := self._pick(data)) is None:
            return
        one.host.waiting.extend(Row(next(ROWS), 1, "uri") for _ in range(rows))
        if learns:
            self._learn(one)
        if one.answer is None:
            one.answer = self._shared(one)
        if arrives:
            self._read(one, one.answer)
            one.answer = None
        self._start(one)

    @rule(data=st.data(), rows=st.integers(0, 9))
    def work(self, data: st.DataObject, rows: int) -> None:
        """Fetches end, and other rows start."""
        if (one := self._pick(data)) is not None:
            for row in list(one.host.fetching)[:rows]:
                one.host.fetching.discard(row)
            self._start(one)

    @rule(
        data=st.data(),
        how=st.sampled_from(["end", "die", "hang", "overloaded", "grows", "set"]),
        host_threads=st.integers(1, THREADS),
    )
    def disturb(self, data: st.DataObject, how: str, host_threads: int) -> None:
        """A try ends, is killed or stands still; the host is overloaded, or answers for a while; a bound is set."""
        if how in {"end", "die", "hang"}:
            self._leave(data, how)
        elif how == "overloaded":
            self.catalogue.hosts.trouble(self.task_id, Trouble(ORIGIN, "429", 0.0, overloaded=True))
            self.catalogue.hosts.answers(self.task_id, ORIGIN)
        elif how == "grows":
            with self.catalogue.engine.begin() as connection:
                passed = {"most_since": host.c.most_since - GROW_S}
                connection.execute(update(host).where(host.c.task_id == self.task_id).values(passed))
        else:
            with self.catalogue.engine.begin() as connection:
                chosen = update(import_task).where(import_task.c.id == self.task_id)
                connection.execute(chosen.values(host_threads=host_threads))

    def _leave(self, data: st.DataObject, how: str) -> None:
        if (one := self._pick(data)) is None:
            return
        if how == "end":
            self.catalogue.leases.give_back(self.task_id, one.number, one.owner, in_doubt=False)
        else:
            with self.catalogue.engine.begin() as connection:
                ended = update(shard).where(shard.c.task_id == self.task_id, shard.c.lease_owner == one.owner)
                connection.execute(ended.values(lease_until=0))
        one.live = False
        one.host.fetching.clear()
        if how != "hang":
            self.tries.remove(one)

    @invariant()
    def fetches_are_bounded(self) -> None:
        """Where the bound became smaller, tries come down to it, and start nothing beyond."""
        most = max(self.most, self._bound())  # it may grow while we look
        used = sum(one.may_use for one in self.tries if one.live)
        assert used <= max(most, self.used_before), f"{used} fetches of {most}"
        self.most, self.used_before = self._bound(), used

    def teardown(self) -> None:
        """However it went, with enough rows all places are given out after some rounds, and no more."""
        if self.catalogue.tasks.peek(self.task_id) is not None:
            self._settle()

    def _settle(self) -> None:
        hungry = [one for one in self.tries if one.live]
        for one in hungry:
            one.host.fetching.clear()
            one.host.waiting.extend(Row(next(ROWS), 1, "uri") for _ in range(THREADS))
            self._learn(one)
            one.answer = None
        for _ in range(4):
            for one in hungry:
                self._read(one, self._shared(one))
        most = self._bound()
        if hungry and most < inf:
            given = sum(one.host.places for one in hungry)
            assert most - 1 <= given <= most, f"{given} places given of {most}"  # it may have grown by one meanwhile
        with self.catalogue.engine.begin() as connection:
            connection.execute(update(shard).where(shard.c.task_id == self.task_id).values(lease_until=0))

    def _learn(self, one: Try) -> None:
        for state in self.catalogue.hosts.news(self.task_id, 0)[1]:
            one.host.learn(state)

    def _shared(self, one: Try) -> Share:
        demands = {ORIGIN: one.host.demand()}
        return self.catalogue.places.share(self.task_id, one.number, one.owner, demands)[ORIGIN]

    def _read(self, one: Try, share: Share) -> None:
        one.host.bounded, one.host.places = share.places is not None, share.places or 0

    def _start(self, one: Try) -> None:
        while one.live and one.host.waiting and one.host.starts(one.host.waiting[0].number):
            one.host.waiting.popleft()

    def _host_threads(self) -> int:
        with self.catalogue.engine.connect() as connection:
            query = select(import_task.c.host_threads).where(import_task.c.id == self.task_id)
            return connection.scalar(query) or 0

    def _bound(self) -> float:
        """How many fetches at a time the host may get now."""
        with self.catalogue.engine.connect() as connection:
            query = select(host, now().label("now")).where(host.c.task_id == self.task_id)
            known = connection.execute(query).mappings().one_or_none()
        grown = bound(known) if known is not None else None
        return min([most for most in (self._host_threads(), grown) if most], default=inf)

    def _pick(self, data: st.DataObject) -> Try | None:
        return data.draw(st.sampled_from(self.tries)) if self.tries else None


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def catalogue(request: pytest.FixtureRequest) -> Iterator[Catalogue]:
    """A catalogue of each kind; each run of the model has a task of its own."""
    with ExitStack() as made:
        folder = made.enter_context(TemporaryDirectory())
        url = f"sqlite:///{Path(folder) / 'catalogue.db'}"
        if request.param == "postgresql":
            try:
                (url,) = made.enter_context(servers.databases(1))
            except servers.Unavailable as reason:
                servers.skip(reason)
        migrate(url)
        catalogue = Catalogue.open(Settings(home=Path(folder), database_url=url))
        made.callback(catalogue.engine.dispose)
        yield catalogue


def test_places(catalogue: Catalogue) -> None:
    """The model holds."""

    class OnIt(PlacesModel):
        pass

    OnIt.catalogue = catalogue
    run_state_machine_as_test(
        OnIt,
        settings=settings(
            max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
