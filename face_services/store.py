"""Groups and their faces, kept in SQLite. Every method is one transaction and safe from any thread."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, delete, distinct, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from face_services.engine import EMBEDDING_SIZE, Embedding
from face_services.errors import BadRequest, Conflict, UnknownGroup
from face_services.tables import WRITES, Group, StoredFace, open_database

GROUP_NAME = re.compile(r"[a-z][a-z0-9_-]{2,31}")
"""The protocol's rule: 3-32 characters of a-z, 0-9, `_` and `-`, starting with a letter."""

_BATCH = 500
_READ_AT_ONCE = 10_000
_GROUPS, _FACES = Group.__table__, StoredFace.__table__
_ROOM = select(_GROUPS.c.key, _GROUPS.c.capacity, _GROUPS.c.count).where(_GROUPS.c.name == bindparam("of"))
_VERSION = select(_GROUPS.c.key, _GROUPS.c.deletions).where(_GROUPS.c.name == bindparam("of"))
_EMBEDDINGS = (
    select(_FACES.c.key, _FACES.c.embedding)
    .where(_FACES.c.group_key == bindparam("of"), _FACES.c.key > bindparam("after"))
    .order_by(_FACES.c.key)
)
_KNOWN = select(_FACES.c.key, *(_FACES.c[name] for name in ("id", "tag", "desc", "box", "score"))).where(
    _FACES.c.key.in_(bindparam("these", expanding=True))
)
_COUNT_ONE = update(_GROUPS).where(_GROUPS.c.key == bindparam("of")).values(count=_GROUPS.c.count + 1)


class _Room(NamedTuple):
    """A group's key, its capacity, and how many faces it has."""

    key: int
    capacity: int
    count: int


@dataclass(frozen=True)
class GroupInfo:
    """Facts about a group: its capacity (0: no limit), and its numbers of faces and of distinct tags."""

    capacity: int
    count: int
    tags: int


@dataclass(frozen=True)
class KnownFace:
    """A face of a group: the caller's data, and its position in the picture (`box` as the protocol's `pts`)."""

    id: str
    tag: str
    desc: Any
    box: list[list[int]]
    score: float


@dataclass(frozen=True)
class Version:
    """A group's key and number of removals: while both are unchanged, faces were only added."""

    group_key: int
    deletions: int


class Store:
    """The library's groups. Names are checked on creation, so an invalid one is simply not found."""

    def __init__(self, path: Path) -> None:
        engine = open_database(path)
        self._reading = sessionmaker(engine)
        self._writing = sessionmaker(engine.execution_options(**WRITES))

    def create(self, name: str, capacity: int) -> None:
        """Creates an empty group.

        Raises:
            BadRequest: the name breaks the rule.
            Conflict: there is a group of that name.
        """
        if not GROUP_NAME.fullmatch(name):
            raise BadRequest("group name must be 3-32 characters of a-z, 0-9, _ and -, the first one a letter")
        try:
            with self._writing.begin() as session:
                session.add(Group(name=name, capacity=capacity))
        except IntegrityError:
            raise Conflict(f"group {name} already exists") from None

    def names(self) -> list[str]:
        """The groups by name."""
        with self._reading() as session:
            return list(session.scalars(select(Group.name).order_by(Group.name)))

    def describe(self, name: str) -> GroupInfo:
        """Facts about a group; raises `UnknownGroup`."""
        with self._reading() as session:
            group = _group(session, name)
            tags = select(func.count(distinct(StoredFace.tag))).where(
                StoredFace.group_key == group.key, StoredFace.tag != ""
            )
            return GroupInfo(group.capacity, group.count, session.scalar(tags) or 0)

    def remove(self, name: str) -> None:
        """Removes a group with all its faces; raises `UnknownGroup`."""
        with self._writing.begin() as session:
            session.execute(delete(Group).where(Group.key == _group(session, name).key))

    def check_free(self, name: str, face_id: str) -> None:
        """Rejects early what `add` would reject, before an engine is used; raises as `add` does."""
        with self._reading() as session:
            group = _room(session, name)
            taken = select(StoredFace.key).where(StoredFace.group_key == group.key, StoredFace.id == face_id)
            if session.scalar(taken) is not None:
                raise Conflict("id already exists")
            _check_room(name, group)

    def add(self, name: str, face: KnownFace, embedding: Embedding) -> None:
        """Adds a face. Of concurrent adds of one id, exactly one succeeds.

        Raises:
            UnknownGroup: the group is not there, or not any more.
            Conflict: the id exists in the group, or the group is full.
        """
        vector = embedding.astype("<f4").tobytes()
        try:
            with self._writing.begin() as session:
                group = _room(session, name)
                _check_room(name, group)
                # Without objects of the two rows, which would take as long as all the rest of an add here.
                connection = session.connection()
                connection.execute(_COUNT_ONE, {"of": group.key})
                connection.execute(insert(_FACES), {"group_key": group.key, "embedding": vector, **vars(face)})
        except IntegrityError:
            raise Conflict("id already exists") from None

    def delete(self, name: str, ids: list[str]) -> None:
        """Removes the faces of these ids; unknown ids are ignored. Raises `UnknownGroup`."""
        with self._writing.begin() as session:
            group = _group(session, name)
            for start in range(0, len(ids), _BATCH):
                some = StoredFace.id.in_(ids[start : start + _BATCH])
                gone = session.execute(delete(StoredFace).where(StoredFace.group_key == group.key, some)).rowcount
                group.count -= gone
                group.deletions += bool(gone)

    def version(self, name: str) -> Version:
        """The group's version, for caches; raises `UnknownGroup`."""
        with self._reading() as session:
            row = session.connection().execute(_VERSION, {"of": name}).one_or_none()
        if row is None:
            raise UnknownGroup(name)
        return Version(*row)

    def embeddings(self, group_key: int, after: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Keys (n,) and embeddings (n, 128) of the faces whose key is above `after`, by key, many at a time."""
        with self._reading() as session:
            found = session.connection().execute(_EMBEDDINGS, {"of": group_key, "after": after})
            for rows in found.partitions(_READ_AT_ONCE):
                keys, vectors = zip(*rows, strict=True)
                table = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(keys), EMBEDDING_SIZE)
                yield np.array(keys, dtype=np.int64), table

    def faces(self, keys: list[int]) -> dict[int, KnownFace]:
        """The faces of these keys (at most 1000), except those removed meanwhile."""
        if not keys:
            return {}
        with self._reading() as session:
            stored = session.connection().execute(_KNOWN, {"these": keys})
            return {key: KnownFace(*known) for key, *known in stored}


def _group(session: Session, name: str) -> Group:
    group = session.scalar(select(Group).where(Group.name == name))
    if group is None:
        raise UnknownGroup(name)
    return group


def _room(session: Session, name: str) -> _Room:
    row = session.connection().execute(_ROOM, {"of": name}).one_or_none()
    if row is None:
        raise UnknownGroup(name)
    return _Room(*row)


def _check_room(name: str, group: _Room) -> None:
    if group.capacity and group.count >= group.capacity:
        raise Conflict(f"group {name} is full: its capacity is {group.capacity}")
