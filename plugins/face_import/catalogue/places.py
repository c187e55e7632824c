"""Places: fetches at a time from one image host, over all shards of a task (ADR 27).

A host needs places if the task bounds every host (`host_threads`), or if it was overloaded. As with the grants of the
leases, the places of live shards never sum to more than the bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from face_import.catalogue.hosts import bound
from face_import.catalogue.leases import share_out
from face_import.catalogue.schema import host, import_task, now, place, shard


@dataclass(frozen=True, slots=True)
class Demand:
    """What a shard has to do with a host.

    Attributes:
        waiting: rows that wait for it.
        wants: fetches that it could make at a time.
        using: the most that it makes until it has read the answer.
    """

    waiting: int
    wants: int
    using: int


@dataclass(frozen=True, slots=True)
class Share:
    """A shard's share of a host.

    Attributes:
        places: fetches at a time; None if the host needs no places.
        pace: requests a second; None if the host does not say.
    """

    places: int | None
    pace: float | None


class Places:
    """Shares out the places of hosts.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def share(self, task_id: str, number: int, owner: str, demands: Mapping[str, Demand]) -> dict[str, Share]:
        """Replace a shard's demands, and return its share of each of these hosts.

        Args:
            task_id: the import task.
            number: the shard.
            owner: uuid of the task instance that holds the shard's lease; one that has lost it gets nothing, and
                changes nothing: its places are others' by now.
            demands: by origin; those left out are no longer wanted.
        """
        with self._engine.begin() as connection:
            columns = import_task.c
            task = (
                connection.execute(
                    select(columns.id, columns.thread_num, columns.host_threads)
                    .where(columns.id == task_id)
                    .with_for_update()
                )
                .mappings()
                .one_or_none()
            )
            if task is None or not _holds(connection, task_id, number, owner):
                return dict.fromkeys(demands, Share(0, None))
            connection.execute(delete(place).where(place.c.task_id == task_id, place.c.shard == number))
            if not demands:
                return {}
            hosts = _hosts(connection, task_id, demands)
            others = _others(connection, task_id, number, demands)
            shares = {
                origin: _share(connection, task, number, demand, hosts.get(origin), others.get(origin, []))
                for origin, demand in demands.items()
            }
            connection.execute(
                insert(place),
                [
                    {
                        "task_id": task_id,
                        "shard": number,
                        "origin": origin,
                        "waiting": demand.waiting,
                        "wants": demand.wants,
                        "granted": max(shares[origin].places or 0, demand.using),
                    }
                    for origin, demand in demands.items()
                ],
            )
            return shares


def _holds(connection: Connection, task_id: str, number: int, owner: str) -> bool:
    holder = (shard.c.lease_owner == owner, shard.c.lease_until > now())
    query = select(shard.c.number).where(shard.c.task_id == task_id, shard.c.number == number, *holder)
    return connection.scalar(query) is not None


def _hosts(connection: Connection, task_id: str, demands: Mapping[str, Demand]) -> dict[str, RowMapping]:
    query = select(host, now().label("now")).where(host.c.task_id == task_id, host.c.origin.in_(demands))
    return {row["origin"]: row for row in connection.execute(query).mappings()}


def _others(
    connection: Connection, task_id: str, number: int, demands: Mapping[str, Demand]
) -> dict[str, list[RowMapping]]:
    """What the other live shards have, by host."""
    query = (
        select(place.c.origin, place.c.shard, place.c.wants, place.c.granted)
        .join(shard, (shard.c.task_id == place.c.task_id) & (shard.c.number == place.c.shard))
        .where(
            place.c.task_id == task_id,
            place.c.shard != number,
            place.c.origin.in_(demands),
            shard.c.lease_until > now(),
        )
    )
    found: dict[str, list[RowMapping]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["origin"], []).append(row)
    return found


def _share(  # noqa: PLR0913, PLR0917 - all that decides about it
    connection: Connection,
    task: RowMapping,
    number: int,
    demand: Demand,
    known: RowMapping | None,
    others: list[RowMapping],
) -> Share:
    pace = known["pace"] if known else None
    if pace is not None:
        pace /= 1 + sum(row["wants"] > 0 for row in others)
    grown = bound(known) if known else None
    if known and grown is not None and grown >= task["thread_num"]:
        connection.execute(
            update(host).where(host.c.task_id == task["id"], host.c.origin == known["origin"]).values(most=None)
        )
        grown = None
    bounds = [most for most in (task["host_threads"], grown) if most]
    if not bounds:
        return Share(None, pace)
    wants = {row["shard"]: row["wants"] for row in others} | {number: demand.wants}
    numbers = sorted(wants)
    fair = share_out(min(bounds), [wants[n] for n in numbers])[numbers.index(number)]
    free = min(bounds) - sum(row["granted"] for row in others)
    return Share(max(0, min(fair, free)), pace)
