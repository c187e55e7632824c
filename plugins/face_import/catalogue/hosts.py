"""Image hosts in trouble: what all shards of a task know about them (design decision 20, ADR 27).

A host is *down* from the moment when several rows in succession got no answer from it, or it said that it is
overloaded, until one gets an answer again. While it is down, one row at a time asks it: the one whose shard has the
*probe*. Every change raises the task's `hosts_version`, by which other shards see that there is news.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, Subquery, delete, func, select, update

from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.schema import host, import_task, now, place, shard, tally

MOST_SHOWN = 100
SEVERAL = 3
"""Rows that a host may fail in succession before it is down."""
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
ABSENT_S = 600.0
"""A probe that is later than this shows that nobody was there to ask, say because the machine slept: that time does not
count, since the host may have been well."""
GROW_S = 5.0
"""How long a host that was overloaded answers until one more fetch at a time is tried."""


@dataclass(frozen=True, slots=True)
class WaitingHost:
    """A host that is down, for people.

    Attributes:
        host: its name, with a port unless it is the scheme's own.
        reason: its last answer, or how it failed to answer.
        since: when its trouble began, in seconds since the epoch.
        rows: rows that are known to wait for it.
        retry_at: when it is asked again, in seconds since the epoch.
    """

    host: str
    reason: str
    since: float
    rows: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class HostState:
    """A host as the shards see it.

    Attributes:
        origin: scheme, name and port.
        reason: its last answer, or how it failed to answer.
        down_s: how long it has been down, in seconds; None if it is not.
        retry_s: in how many seconds it may be asked again.
        given_up: whether its rows fail without asking it.
        bounded: whether a fetch from it needs a place (see `Places`).
        pace: requests a second that it allows; None if it does not say.
    """

    origin: str
    reason: str = ""
    down_s: float | None = None
    retry_s: float = 0.0
    given_up: bool = False
    bounded: bool = False
    pace: float | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a host failed a row.

    Attributes:
        origin: scheme, name and port of the host.
        reason: in words.
        retry_after: seconds that it asked us to wait, if it did.
        overloaded: whether it said that there are too many requests.
    """

    origin: str
    reason: str
    retry_after: float | None = None
    overloaded: bool = False


class Hosts:
    """Reads and writes the state of image hosts.

    Args:
        engine: write engine of the catalogue.
        patience_s: how long a row asks a host that is down, in seconds; also the longest pause that a host may ask for.
        give_up_s: how long a host may be down until its rows fail without asking it, in seconds.
    """

    def __init__(self, engine: Engine, patience_s: float, give_up_s: float) -> None:
        self._engine = engine
        self._patience_s = patience_s
        self._give_up_s = give_up_s

    def news(self, task_id: str, version: int) -> tuple[int, list[HostState]]:
        """What has changed since `version`, and the version now; from version 0 on, all hosts."""
        with reading(self._engine).begin() as connection:
            current = connection.scalar(select(import_task.c.hosts_version).where(import_task.c.id == task_id)) or 0
            if current == version:
                return current, []
            query = select(host, now().label("now")).where(host.c.task_id == task_id, host.c.version > version)
            return current, [_state(row) for row in connection.execute(query).mappings()]

    def trouble(self, task_id: str, trouble: Trouble) -> HostState:
        """Record that a host is down; if it was already, only a longer pause that it asks for changes anything."""
        with self._engine.begin() as connection:
            return self._down(connection, task_id, trouble)

    def lost_row(self, task_id: str, trouble: Trouble) -> HostState | None:
        """Record a row that a host failed again and again, which is `SEVERAL` times the host's trouble.

        Returns:
            The host's state if it is down; None while it looks like the row's own trouble.
        """
        with self._engine.begin() as connection:
            version = _next_version(connection, task_id)
            before = _locked(connection, task_id, trouble.origin)
            lost = (before["lost_rows"] if before else 0) + 1
            if lost >= SEVERAL or (before and before["since"] is not None):
                return self._down(connection, task_id, trouble)
            self._set(connection, task_id, trouble.origin, {"version": version, "lost_rows": lost})
            return None

    def _down(self, connection: Connection, task_id: str, trouble: Trouble) -> HostState:
        version = _next_version(connection, task_id)
        before = _locked(connection, task_id, trouble.origin)
        asked = min(trouble.retry_after or 0.0, self._patience_s)
        values = {"version": version, "reason": trouble.reason}
        if before is None or before["since"] is None:
            values |= {
                "since": now(),
                "patience_until": now() + self._patience_s,
                "retry_at": now() + (asked or FIRST_RETRY_S),
                "retries": 0,
                "given_up": False,
                "probe_until": 0.0,
            }
            if trouble.overloaded:
                values |= {"most": _halved(connection, task_id, before), "most_since": now() + asked}
            elif before is not None:
                values["most"] = bound(before)  # once it answers, it grows from here
        else:
            values["retry_at"] = max(before["retry_at"], before["now"] + asked)
        return self._set(connection, task_id, trouble.origin, values)

    def claim(self, task_id: str, origin: str, owner: str, lasts_s: float) -> bool:
        """Whether this shard may ask a host that is down now: it is time, and nobody else does.

        Args:
            task_id: the import task.
            origin: the host.
            owner: uuid of the task instance.
            lasts_s: when to believe that the shard has died without an answer, in seconds.
        """
        free = (host.c.since.is_not(None), ~host.c.given_up, host.c.retry_at <= now(), host.c.probe_until <= now())
        with self._engine.begin() as connection:
            claimed = connection.execute(
                update(host)
                .where(host.c.task_id == task_id, host.c.origin == origin, *free)
                .values(prober=owner, probe_until=now() + lasts_s)
            )
            return claimed.rowcount == 1

    def give_back(self, task_id: str, origin: str, owner: str) -> None:
        """Let others ask a host that this shard was to ask, and has not."""
        claimed = (host.c.task_id == task_id, host.c.origin == origin, host.c.prober == owner)
        with self._engine.begin() as connection:
            connection.execute(update(host).where(*claimed).values(probe_until=0.0))

    def failed_probe(self, task_id: str, trouble: Trouble) -> tuple[HostState, bool]:
        """Record that a host did not answer its probe.

        Returns:
            The host's state, and whether the patience with the row that asked is over.
        """
        with self._engine.begin() as connection:
            version = _next_version(connection, task_id)
            before = _locked(connection, task_id, trouble.origin)
            if before is None or before["since"] is None:  # the task was started anew
                return self._down(connection, task_id, trouble), False
            pause = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(before["retries"] + 1, 30))
            asked = min(trouble.retry_after or 0.0, self._patience_s)
            late = before["now"] - before["retry_at"]
            if late < max(ABSENT_S, self._patience_s):
                late = 0.0
            over = before["now"] >= before["patience_until"] + late
            values = {
                "version": version,
                "reason": trouble.reason,
                "retries": before["retries"] + 1,
                "retry_at": now() + (asked or pause),
                "probe_until": 0.0,
                "since": before["since"] + late,
                "patience_until": now() + self._patience_s if over else before["patience_until"] + late,
                "given_up": before["now"] - before["since"] - late >= self._give_up_s,
            }
            return self._set(connection, task_id, trouble.origin, values), over

    def answers(self, task_id: str, origin: str) -> HostState:
        """Record that a host has answered: it is no longer down."""
        with self._engine.begin() as connection:
            version = _next_version(connection, task_id)
            before = _locked(connection, task_id, origin)
            values: dict[str, object] = {"version": version, "since": None, "lost_rows": 0, "probe_until": 0.0}
            values |= {"retries": 0, "given_up": False}
            if before is not None and before["since"] is not None:
                values["most_since"] = now()
            return self._set(connection, task_id, origin, values)

    def paces(self, task_id: str, origin: str, pace: float) -> HostState:
        """Record how many requests a second a host allows."""
        with self._engine.begin() as connection:
            values = {"version": _next_version(connection, task_id), "pace": pace}
            return self._set(connection, task_id, origin, values)

    def _set(self, connection: Connection, task_id: str, origin: str, values: Mapping[str, object]) -> HostState:
        new = {"task_id": task_id, "origin": origin, "reason": "", **values}
        insert = upsert_for(self._engine.dialect)(host).values(new)
        written = insert.on_conflict_do_update(index_elements=["task_id", "origin"], set_=values)
        return _state(connection.execute(written.returning(host, now().label("now"))).mappings().one())

    def shards_waiting(self, task_id: str) -> int:
        """Shards whose rows wait and that no process works on."""
        query = (
            select(func.count(place.c.shard.distinct()))
            .join(shard, (shard.c.task_id == place.c.task_id) & (shard.c.number == place.c.shard))
            .where(place.c.task_id == task_id, place.c.waiting > 0, shard.c.lease_until <= now())
        )
        with reading(self._engine).begin() as connection:
            return connection.scalar(query) or 0

    def shards_in_line(self, task_id: str) -> int:
        """Shards with rows left that no process works on, although no row of them is known to wait for a host."""
        waits = select(place.c.shard).where(place.c.task_id == task_id, place.c.waiting > 0)
        its = (tally.c.task_id == shard.c.task_id) & (tally.c.shard == shard.c.number)
        handled = select(func.coalesce(func.sum(tally.c.rows), 0)).where(its).scalar_subquery()
        query = select(func.count()).where(
            shard.c.task_id == task_id,
            shard.c.lease_until <= now(),
            shard.c.number.not_in(waits),
            shard.c.rows > handled,
        )
        with reading(self._engine).begin() as connection:
            return connection.scalar(query) or 0

    def waiting(self, task_id: str) -> list[WaitingHost]:
        """The hosts that rows of a task wait for, those with most rows first, at most `MOST_SHOWN`."""
        rows = _waiting_rows(task_id)
        count = func.coalesce(rows.c.rows, 0)
        query = (
            select(host.c.origin, host.c.reason, host.c.since, count.label("rows"), host.c.retry_at)
            .select_from(host.outerjoin(rows, rows.c.origin == host.c.origin))
            .where(host.c.task_id == task_id, host.c.since.is_not(None), ~host.c.given_up)
            .order_by(count.desc(), host.c.origin)
            .limit(MOST_SHOWN)
        )
        with reading(self._engine).begin() as connection:
            return [
                WaitingHost(row.origin.partition("://")[2], row.reason, row.since, row.rows, row.retry_at)
                for row in connection.execute(query)
            ]


def forget_hosts(connection: Connection, task_id: str) -> None:
    """Forget what is known about hosts: the task has ended."""
    connection.execute(delete(place).where(place.c.task_id == task_id))
    connection.execute(delete(host).where(host.c.task_id == task_id))


def forget_trouble(connection: Connection, task_id: str) -> None:
    """Forget what is known about hosts, but not the places of shards that are still ending: the task starts again."""
    ending = select(shard.c.number).where(shard.c.task_id == task_id, shard.c.lease_until > now())
    connection.execute(delete(place).where(place.c.task_id == task_id, place.c.shard.not_in(ending)))
    connection.execute(delete(host).where(host.c.task_id == task_id))


def bound(columns: RowMapping) -> int | None:
    """How many fetches at a time a host that was overloaded gets now; None if it was not."""
    if columns["most"] is None:
        return None
    return int(columns["most"] + max(0.0, columns["now"] - columns["most_since"]) // GROW_S)


def _next_version(connection: Connection, task_id: str) -> int:
    """Lock the task's row first, as the leases do, and count the change."""
    version = import_task.c.hosts_version
    raised = update(import_task).where(import_task.c.id == task_id).values(hosts_version=version + 1)
    current: int | None = connection.scalar(raised.returning(version))
    return current or 0


def _locked(connection: Connection, task_id: str, origin: str) -> RowMapping | None:
    query = select(host, now().label("now")).where(host.c.task_id == task_id, host.c.origin == origin)
    return connection.execute(query.with_for_update()).mappings().one_or_none()


def _halved(connection: Connection, task_id: str, before: RowMapping | None) -> int:
    """Half of the fetches that the host has got at a time."""
    columns = import_task.c
    limits = connection.execute(select(columns.thread_num, columns.host_threads).where(columns.id == task_id)).one()
    bounds = [*limits, bound(before) if before else None]
    most: int = min(filter(None, bounds))
    return max(1, most // 2)


def _waiting_rows(task_id: str) -> Subquery:
    return (
        select(place.c.origin, func.sum(place.c.waiting).label("rows"))
        .where(place.c.task_id == task_id)
        .group_by(place.c.origin)
        .subquery()
    )


def _state(row: RowMapping) -> HostState:
    return HostState(
        origin=row["origin"],
        reason=row["reason"],
        down_s=None if row["since"] is None else row["now"] - row["since"],
        retry_s=row["retry_at"] - row["now"],
        given_up=row["given_up"],
        bounded=row["most"] is not None,
        pace=row["pace"],
    )
