"""The ledger: what became of every row, written once, and the log that is read from it (design decision 4)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, cast

from sqlalchemy import Connection, Engine, Select, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from face_import.catalogue.engine import reading
from face_import.catalogue.holdings import changes_of, settle
from face_import.catalogue.schema import FAILED, OWN_ID, import_task, now, outcome, shard, tally
from face_import.contract import Code, Mode, TaskState
from face_import.domain.models import Changes, Outcome, OutcomeBatch, Shard
from face_import.domain.uri import redact
from face_import.errors import LeaseLost, TaskStopped

LOG_PAGE = 5000
BEHIND_ALL_ROWS = 2**31 - 1

LogPage = list[tuple[int, str, int, str]]
"""Row, uri, code and message of failed rows, as the driver gives them: logs have millions."""


class LogEntry(NamedTuple):
    """A failed row, as the log shows it."""

    row: int
    uri: str
    code: int
    message: str


class Span(NamedTuple):
    """Rows in a row, and how many of them failed."""

    first_row: int
    last_row: int
    failures: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a shard or task is: rows handled, by code."""

    by_code: dict[int, int]

    @property
    def handled(self) -> int:
        """Rows with an outcome."""
        return sum(self.by_code.values())

    @property
    def succeeded(self) -> int:
        """Rows with code 0."""
        return self.by_code.get(Code.OK, 0)

    @property
    def failures(self) -> dict[int, int]:
        """Failed rows by code, in the order of the codes."""
        return {code: rows for code, rows in sorted(self.by_code.items()) if code != Code.OK}


class Ledger:
    """Writes outcomes and reads the log.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def write(self, batch: OutcomeBatch) -> Progress:
        """Write a batch in one transaction; rows that are there already stay as they are.

        In mode 1 a failed row stops its task in this same transaction.

        Returns:
            The progress of the whole shard.

        Raises:
            TaskStopped: the task was deleted.
            LeaseLost: another try owns the shard.
        """
        with self._engine.begin() as connection:
            mode = _writable(connection, batch)
            fresh = _unwritten(connection, batch)
            if fresh:
                clock = connection.scalar(select(now()))
                connection.execute(insert(outcome), [_values(batch.task_id, o, clock) for o in fresh])
                _count(connection, batch, fresh)
                settle(connection, batch.task_id, batch.shard, fresh)
                if mode == Mode.STOP:
                    _stop_at_failure(connection, batch.task_id, fresh)
            return _progress(connection, batch.task_id, batch.shard)

    def handled_rows(self, task_id: str, first: int, last: int) -> set[int]:
        """Numbers of the rows from `first` to `last` that have an outcome."""
        query = select(outcome.c.row).where(outcome.c.task_id == task_id, outcome.c.row.between(first, last))
        with self._reader.begin() as connection:
            return set(connection.scalars(query))

    def progress(self, task_id: str, number: int | None = None) -> Progress:
        """Progress of a task, or of one of its shards; costs O(shards), not O(rows)."""
        with self._reader.begin() as connection:
            return _progress(connection, task_id, number)

    def changes(self, task_id: str) -> Changes:
        """Rows of a task of a recurring import by change; costs O(shards)."""
        with self._reader.begin() as connection:
            return changes_of(connection, task_id)

    def id_taken(self, task_id: str, face_id: str) -> bool:
        """Whether another row of the task was added under this face id, which is one that the file gave."""
        query = select(outcome.c.row).where(outcome.c.task_id == task_id, outcome.c.face_id == face_id, OWN_ID)
        with self._reader.begin() as connection:
            return connection.scalar(query.limit(1)) is not None

    def log(
        self,
        task_id: str,
        *,
        skip: int = 0,
        limit: int | None = None,
        code: int | None = None,
        within: Shard | None = None,
    ) -> Iterator[LogEntry]:
        """Failed rows in row order, fetched a page at a time, so memory stays flat.

        Args:
            task_id: the import task.
            skip: failures to pass over; found through the tallies, without reading them.
            limit: at most so many, or all.
            code: only this error code.
            within: only the rows of this shard.
        """
        pages = self._pages(task_id, skip, BEHIND_ALL_ROWS if limit is None else limit, code, within)
        return map(LogEntry._make, chain.from_iterable(pages))

    def log_pages(self, task_id: str, *, code: int | None = None, within: Shard | None = None) -> Iterator[LogPage]:
        """All that `log` gives, for a file: nothing is made of a row that the driver does not make."""
        return _ahead(self._pages(task_id, 0, BEHIND_ALL_ROWS, code, within))

    def _pages(self, task_id: str, skip: int, left: int, code: int | None, within: Shard | None) -> Iterator[LogPage]:
        spans = self._spans(task_id, code) if within is None else [Span(within.first_row, within.last_row, skip + left)]
        for span in spans:
            if skip >= span.failures:
                skip -= span.failures
                continue
            for page in self._pages_within(task_id, span, skip, left, code):
                yield page
                left -= len(page)
            skip = 0
            if left <= 0:
                return

    def _spans(self, task_id: str, code: int | None) -> list[Span]:
        """Runs of shards with about a page of failures each, by the tallies.

        A page is looked for within a span: PostgreSQL, as long as it has no statistics about a new task, sorts all
        failures of the range it is given for each page.
        """
        wanted = tally.c.code != Code.OK if code is None else tally.c.code == code
        query = (
            select(shard.c.first_row, shard.c.rows, func.sum(tally.c.rows))
            .join_from(tally, shard, (shard.c.task_id == tally.c.task_id) & (shard.c.number == tally.c.shard))
            .where(tally.c.task_id == task_id, wanted)
            .group_by(shard.c.first_row, shard.c.rows)
            .order_by(shard.c.first_row)
        )
        spans: list[Span] = []
        with self._reader.begin() as connection:
            for first_row, rows, failures in connection.execute(query):
                last_row = first_row + rows - 1
                if spans and spans[-1].failures + failures <= LOG_PAGE:
                    spans[-1] = Span(spans[-1].first_row, last_row, spans[-1].failures + int(failures))
                else:
                    spans.append(Span(first_row, last_row, int(failures)))
        return spans

    def _pages_within(self, task_id: str, span: Span, skip: int, limit: int, code: int | None) -> Iterator[LogPage]:
        first_row = span.first_row
        while limit > 0:
            wanted = min(limit, LOG_PAGE)
            page = self._page(task_id, (first_row, span.last_row), skip, wanted, code)
            yield page
            if len(page) < wanted:
                return
            first_row, skip, limit = page[-1][0] + 1, 0, limit - len(page)

    def _page(self, task_id: str, rows: tuple[int, int], skip: int, limit: int, code: int | None) -> LogPage:
        query: Select[int, str, int, str] = (
            select(outcome.c.row, outcome.c.uri, outcome.c.code, outcome.c.message)
            .where(outcome.c.task_id == task_id, outcome.c.row.between(*rows), FAILED)
            .order_by(outcome.c.row)
            .offset(skip)
            .limit(limit)
        )
        if code is not None:
            query = query.where(outcome.c.code == code)
        with self._reader.begin() as connection, connection.execute(query) as result:
            # SQLAlchemy's row of each would take as long as to read them.
            return cast("LogPage", result.cursor.fetchall())


def _ahead(pages: Iterator[LogPage]) -> Iterator[LogPage]:
    """Have the database look for the next page while the last one is written out."""
    with ThreadPoolExecutor(1, "log") as thread:
        coming = thread.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = thread.submit(next, pages, None)
            yield page


def _writable(connection: Connection, batch: OutcomeBatch) -> int:
    """Lock task and shard, check that the writer may write, and return the task's mode."""
    task = connection.execute(
        select(import_task.c.mode, import_task.c.deleted_at).where(import_task.c.id == batch.task_id).with_for_update()
    ).one_or_none()
    if task is None or task.deleted_at is not None:
        raise TaskStopped(f"task {batch.task_id} was deleted")
    owner = connection.scalar(
        select(shard.c.lease_owner)
        .where(shard.c.task_id == batch.task_id, shard.c.number == batch.shard)
        .with_for_update()
    )
    if owner != batch.owner:
        raise LeaseLost(f"shard {batch.shard} of task {batch.task_id} belongs to another try")
    return int(task.mode)


def _unwritten(connection: Connection, batch: OutcomeBatch) -> list[Outcome]:
    """Outcomes of rows that have none yet; exact, since the shard's row is locked.

    By the numbers alone PostgreSQL, as long as it has no statistics about a new task, would read all of its outcomes.
    """
    numbers = [o.row for o in batch.outcomes]
    ours = outcome.c.row.between(min(numbers, default=0), max(numbers, default=0)) & outcome.c.row.in_(numbers)
    present = set(connection.scalars(select(outcome.c.row).where(outcome.c.task_id == batch.task_id, ours)))
    return [o for o in {o.row: o for o in batch.outcomes}.values() if o.row not in present]


def _values(task_id: str, o: Outcome, clock: float | None) -> dict[str, object]:
    return {
        "task_id": task_id,
        "row": o.row,
        "code": int(o.code),
        "uri": o.uri,
        "message": o.message,
        "face_id": o.face_id,
        "measurements": o.measurements.known(),
        "handled_at": clock,
    }


def _count(connection: Connection, batch: OutcomeBatch, fresh: Sequence[Outcome]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for code, rows in sorted(Counter(o.code for o in fresh).items()):
        statement = dialect.insert(tally).values(task_id=batch.task_id, shard=batch.shard, code=int(code), rows=rows)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[tally.c.task_id, tally.c.shard, tally.c.code],
                set_={"rows": tally.c.rows + statement.excluded.rows},
            )
        )


def _stop_at_failure(connection: Connection, task_id: str, fresh: Sequence[Outcome]) -> None:
    """The first bad row of a task in mode 1 stops it (API document, 1.1 and 1.6)."""
    failed = min((o for o in fresh if o.code != Code.OK), key=lambda o: o.row, default=None)
    if failed is None:
        return
    connection.execute(
        update(import_task)
        .where(import_task.c.id == task_id, import_task.c.state == TaskState.RUNNING)
        .values(
            state=TaskState.STOPPED,
            stopped_at=now(),
            last_error=f"row {failed.row}: {redact(failed.uri)}: {int(failed.code)} {failed.message}",
        )
    )


def _progress(connection: Connection, task_id: str, number: int | None) -> Progress:
    query = select(tally.c.code, func.sum(tally.c.rows)).where(tally.c.task_id == task_id).group_by(tally.c.code)
    if number is not None:
        query = query.where(tally.c.shard == number)
    return Progress({code: int(rows) for code, rows in connection.execute(query)})
