"""Who has a picture, on SQLite and on PostgreSQL where a server is reachable (ADR 33)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, event, text, update

from face_import.catalogue import Catalogue, Holdings, ImportTask, Twin
from face_import.catalogue.schema import holding, sent
from face_import.contract import Code
from face_import.domain.models import Holding, Outcome, OutcomeBatch, Sent
from tests.integration.catalogue.test_turns import ROWS, catalogue, working

__all__ = ["catalogue"]  # the fixture

MINE, OTHER = b"mine", b"other"


def imported(catalogue: Catalogue, task: ImportTask, row: int, key: bytes, picture: bytes) -> str:
    """Import a row of an entry as a new one or a changed one; returns its face id."""
    held, face_id = Holdings(catalogue.engine, task), f"{task.id}-{row}"
    was = found.digest if (found := held.find(key)) else b""
    assert held.reserve(key, row, was=was, adding=Sent(row, face_id, b"d"), picture=picture)
    new = Holding(key, face_id, b"d", picture=picture)
    write(catalogue, task, Outcome(row, "", Code.OK, face_id=face_id, holding=new))
    return face_id


def write(catalogue: Catalogue, task: ImportTask, *outcomes: Outcome) -> None:
    """Write outcomes of the task's shard."""
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))


def test_who_has_a_picture_first(catalogue: Catalogue) -> None:
    """Rows that have imported it, and those with an earlier turn; not what failed, is open, or is of another task."""
    task, other = working(catalogue, "pictures"), working(catalogue, "pictures")

    def first_with(task: ImportTask, row: int, picture: bytes) -> int | None:
        found = catalogue.pictures.of_task(task.id, row, picture)
        assert [twin.task_id for twin in found] == [task.id] * len(found)
        return found[0].row if found else None

    assert first_with(task, 1, b"") is None, "nobody has a turn"
    catalogue.turns.take(other.id, 0, "me", [(9, b"")])
    catalogue.turns.take(task.id, 0, "me", [(3, b""), (2, b"")])
    catalogue.turns.take(task.id, 0, "me", [(4, b"")])
    assert [first_with(task, row, b"") for row in (1, 2, 3)] == [None, None, 2]
    assert first_with(task, 4, b"") in {2, 3}
    assert first_with(task, 4, b"other") is None
    write(catalogue, task, Outcome(2, "", Code.LIBRARY_UNAVAILABLE), Outcome(3, "", Code.ALIKE))
    assert first_with(task, 4, b"") is None
    write(catalogue, task, Outcome(5, "", Code.OK, face_id="five", picture=b"p"))
    assert [first_with(task, row, b"p") for row in (4, 5)] == [5, None]
    assert first_with(other, 4, b"p") is None


def test_an_entry_has_a_picture_as_long_as_it_holds_the_face(catalogue: Catalogue) -> None:
    """In its later imports into the group, and for other rows than the face's own."""
    first = working(catalogue, "held", "nightly")
    face_id = imported(catalogue, first, 1, OTHER, b"p")
    later = working(catalogue, "held", "nightly")
    strangers = working(catalogue, "held", "weekly"), working(catalogue, "elsewhere", "nightly")
    of_entry = catalogue.pictures.of_entry
    assert of_entry(later, 7, MINE, b"p") == [Twin(first.id, 1, face_id)]
    assert of_entry(first, 7, MINE, b"p") == [Twin(first.id, 1)], "its own import has just added it"
    assert of_entry(later, 7, OTHER, b"p") == []
    assert of_entry(later, 7, MINE, b"q") == []
    assert [of_entry(stranger, 7, MINE, b"p") for stranger in strangers] == [[], []]
    imported(catalogue, later, 2, OTHER, b"q")
    assert [of_entry(later, 7, MINE, picture) for picture in (b"p", b"q")] == [[], [Twin(later.id, 2)]]


def test_a_row_that_is_in_progress_keeps_its_picture(catalogue: Catalogue) -> None:
    """Its old face may be deleted and its new one be on the way: that the old one is gone says nothing."""
    first = working(catalogue, "pending", "nightly")
    imported(catalogue, first, 1, OTHER, b"p")
    second = working(catalogue, "pending", "nightly")
    held = Holdings(catalogue.engine, second)
    assert held.reserve(OTHER, 1, was=b"d", adding=None, picture=b"p")
    later = working(catalogue, "pending", "nightly")
    assert catalogue.pictures.of_entry(later, 7, MINE, b"p") == [Twin(second.id, 1)]


def test_a_row_regains_its_picture_unless_another_one_has_it_or_its_turn(catalogue: Catalogue) -> None:
    """Of the row that comes back and one that is added meanwhile, exactly one has the picture."""
    first = working(catalogue, "regained", "nightly")
    imported(catalogue, first, 1, MINE, b"p")
    task = working(catalogue, "regained", "nightly")
    held, pictures = Holdings(catalogue.engine, task), catalogue.pictures

    def given_up() -> Holding:
        found = held.find(MINE)
        assert found is not None
        held.give_up_picture(found)
        return replace(found, picture=b"")

    had = given_up()
    with catalogue.engine.begin() as connection:
        connection.execute(update(sent).where(sent.c.task_id == task.id).values(turn=None))
    assert pictures.regain(task, 1, had, b"p", []) is None, "row 7 has no turn yet, and will see this row"
    assert pictures.of_entry(task, 7, OTHER, b"p") == [Twin(first.id, 1, f"{first.id}-1")]
    had = given_up()
    catalogue.turns.take(task.id, 0, "me", [(7, b"p")])
    assert pictures.of_entry(task, 7, OTHER, b"p") == [], "row 7 has looked after its turn"
    assert pictures.regain(task, 1, had, b"p", []) == Twin(task.id, 7)
    imported(catalogue, task, 7, OTHER, b"p")
    assert pictures.regain(task, 1, had, b"p", []) == Twin(task.id, 7)
    assert pictures.regain(task, 1, had, b"p", [Twin(task.id, 7, "gone")]) is None


def test_a_row_that_has_a_picture_yields_to_nobody(catalogue: Catalogue) -> None:
    """Also while its face is replaced by one of the same picture, and another row was quicker."""
    first = working(catalogue, "owner", "nightly")
    imported(catalogue, first, 1, MINE, b"p")
    task = working(catalogue, "owner", "nightly")
    held = Holdings(catalogue.engine, task)
    assert held.reserve(MINE, 5, was=b"d", adding=Sent(5, "face", b"e"), picture=b"p")
    catalogue.turns.take(task.id, 0, "me", [(4, b"p")])
    catalogue.turns.take(task.id, 0, "me", [(5, b"p")])
    assert catalogue.pictures.of_entry(task, 5, MINE, b"p") == []
    assert catalogue.pictures.of_entry(task, 4, OTHER, b"p") == [Twin(task.id, 5)]


def test_what_frees_a_picture(catalogue: Catalogue) -> None:
    """Another picture in its place, whatever comes of that; giving it up; a refusal by the library; a removal."""
    task = working(catalogue, "freed", "nightly")
    held = Holdings(catalogue.engine, task)
    for row, key in enumerate((b"replaced", b"given up", b"released", b"removed"), 1):
        imported(catalogue, task, row, key, key)
    assert held.reserve(b"replaced", 1, was=b"d", adding=None, picture=b"another")
    found = held.find(b"given up")
    assert found
    held.give_up_picture(found)
    assert held.reserve(b"released", 3, was=b"d", adding=None, picture=b"released")
    assert catalogue.pictures.of_entry(task, 9, MINE, b"released") == [Twin(task.id, 3)]
    held.release(b"released", 3)
    assert held.reserve(b"removed", 4, was=b"d", adding=None)
    assert catalogue.pictures.of_entry(task, 9, MINE, b"removed") == [Twin(task.id, 4)], "not yet"
    with catalogue.engine.begin() as connection:
        connection.execute(text("DELETE FROM outcome WHERE row = 4 AND task_id = :id"), {"id": task.id})
    write(catalogue, task, Outcome(4, "", Code.WIDTH, holding=Holding(b"removed", "")))
    for picture in (b"replaced", b"another", b"given up", b"released", b"removed"):
        assert catalogue.pictures.of_entry(task, 9, MINE, picture) == [], picture


def test_a_row_found_unchanged_has_its_picture(catalogue: Catalogue) -> None:
    """Its entry may be older than the column, or the row may have given it up meanwhile."""
    first = working(catalogue, "unchanged", "nightly")
    imported(catalogue, first, 1, OTHER, b"p")
    task = working(catalogue, "unchanged", "nightly")
    held = Holdings(catalogue.engine, task)
    found = held.find(OTHER)
    assert found
    held.give_up_picture(found)
    assert catalogue.pictures.of_entry(task, 9, MINE, b"p") == []
    assert held.confirm(found, 3)
    assert catalogue.pictures.of_entry(task, 9, MINE, b"p") == [Twin(task.id, 3)]


def test_imports_of_an_entry_at_once_have_one_order(catalogue: Catalogue) -> None:
    """The row with the earlier turn comes first, as long as somebody works on its import."""
    one, two = working(catalogue, "at once", "nightly"), working(catalogue, "at once", "nightly")
    catalogue.turns.take(one.id, 0, "me", [(1, b"p")])
    catalogue.turns.take(two.id, 0, "me", [(2, b"p")])
    of_entry = catalogue.pictures.of_entry
    assert of_entry(one, 1, MINE, b"p") == []
    assert of_entry(two, 2, OTHER, b"p") == [Twin(one.id, 1)]
    assert catalogue.pictures.of_task(two.id, 2, b"p") == []
    catalogue.tasks.stop(one.id)
    catalogue.leases.give_back(one.id, 0, "me", in_doubt=False)
    assert of_entry(two, 2, OTHER, b"p") == []


@contextmanager
def plans_of(catalogue: Catalogue, part: str) -> Iterator[list[str]]:
    """How the database carries out each query with this part."""
    plans: list[str] = []

    @event.listens_for(catalogue.engine, "before_cursor_execute")
    def _ask(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT") and part in statement:
            ways = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}
            cursor.execute(f"{ways[connection.dialect.name]} {statement}", parameters)
            plans.append("\n".join(str(line) for line in cursor.fetchall()))

    try:
        yield plans
    finally:
        event.remove(catalogue.engine, "before_cursor_execute", _ask)


def test_a_picture_is_looked_up_in_an_index(catalogue: Catalogue) -> None:
    """However many rows of the task are noted; a row without a turn is not compared with those in flight at all."""
    task = working(catalogue, "lookups")
    rows = [(row, row.to_bytes(8, "big")) for row in range(1, ROWS + 1)]
    with plans_of(catalogue, "sent.digest") as plans:
        assert catalogue.pictures.of_task(task.id, 1, rows[1][1]) == []
        assert plans == []
        catalogue.turns.take(task.id, 0, "me", rows)
        with catalogue.engine.begin() as connection:
            many = [{"task_id": task.id, "row": n, "face_id": f"m{n}", "digest": b"%d" % n} for n in range(99, 3000)]
            connection.execute(sent.insert().values(turn=1), many)
            connection.execute(text("ANALYZE"))
        assert catalogue.pictures.of_task(task.id, 2, rows[0][1]) == [Twin(task.id, 1)]
        assert [plan.count("ix_sent_digest") for plan in plans] == [1]


def test_a_held_picture_is_looked_up_in_an_index(catalogue: Catalogue) -> None:
    """However many rows an entry has."""
    task = working(catalogue, "held lookups", "nightly")
    values = {"entry": "nightly", "group_name": "held lookups", "digest": b"d", "cells": b"", "validator": ""}
    values |= {"pending": False, "task_id": task.id, "seen_by": task.id}
    many = [{"key": b"k%d" % n, "face_id": f"f{n}", "picture": b"p%d" % n, "row": n} for n in range(3000)]
    with catalogue.engine.begin() as connection:
        connection.execute(holding.insert(), [values | one for one in many])
        connection.execute(text("ANALYZE"))
    with plans_of(catalogue, "holding.picture") as plans:
        assert catalogue.pictures.of_entry(task, 1, MINE, b"p7") == [Twin(task.id, 7)]
    assert [plan.count("ix_holding_picture") for plan in plans] == [1]
