"""The ledger: the outcome of every row, written once, and the log that is read from it (design decision 4)."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, cast

from sqlalchemy import Column, Connection, Engine, RowMapping, func, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, SQLAlchemyError, StatementError

from face_import.catalogue.attempts import JUDGED, count_and_judge
from face_import.catalogue.engine import reading, upsert_for
from face_import.catalogue.holdings import changes_of, settle_holdings
from face_import.catalogue.journal import strike_out
from face_import.catalogue.progress import Progress, progress_of
from face_import.catalogue.schema import FAILED, MEASURED, import_task, now, outcome, shard, tally
from face_import.catalogue.undoing import settle_undone
from face_import.contract import Code
from face_import.domain.models import Changes, Measurements, Outcome, OutcomeBatch, Shard
from face_import.errors import LeaseLost, TaskStopped

log = logging.getLogger(__name__)
LOG_PAGE = 5000
MAX_MESSAGE = 1000
"""Maximum characters of a stored message: parts of it come from services and hosts."""
_ABOUT_VALUES = {"22", "23", "54"}
"""SQLSTATE classes: value out of range, constraint violation, index entry too large."""
AFTER_ALL_ROWS = 2**31 - 1
_Insert = Callable[[Connection, OutcomeBatch, Sequence[Outcome]], Sequence[Outcome]]

LogPage = list[tuple[int, str, int, str]]
"""Row, uri, code and message of failed rows as returned by the driver: logs have millions."""
_LINE = (outcome.c.row, outcome.c.uri, outcome.c.code, outcome.c.message)
_ENTRY = (*_LINE, outcome.c.reason)


class LogEntry(NamedTuple):
    """A failed row in the log."""

    row: int
    uri: str
    code: int
    message: str
    reason: str = ""


class _Wanted(NamedTuple):
    """Which failures a log has, by code (None for all), and which of their columns."""

    code: int | None
    columns: tuple[Column[Any], ...]


class Span(NamedTuple):
    """Consecutive rows, and how many of them failed."""

    first_row: int
    last_row: int
    failures: int


class Ledger:
    """Writes outcomes and reads the log.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reading(engine)

    def write(self, batch: OutcomeBatch) -> Progress:
        """Write a batch in one transaction; rows that already have an outcome keep it.

        In mode 1, a failed row stops its task in the same transaction, and in any mode the row that takes the task over
        its budget for failures. A row with a value that the database rejects is written as 303, without affecting the
        others.

        Returns:
            The progress of the whole shard.

        Raises:
            TaskStopped: the task was deleted.
            LeaseLost: another try owns the shard.
        """
        try:
            return self._write(batch, insert_outcomes)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            if not _is_about_a_value(error):
                raise
        return self._write(batch, _insert_each)

    def _write(self, batch: OutcomeBatch, add: _Insert) -> Progress:
        with self._engine.begin() as connection:
            task = _writable(connection, batch)
            fresh = _unwritten(connection, batch)
            if fresh:
                count_and_judge(connection, batch.task_id, task, add(connection, batch, fresh))
            return progress_of(connection, batch.task_id, batch.shard)

    def handled_rows(self, task_id: str, first: int, last: int) -> set[int]:
        """Numbers of the rows from `first` to `last` that have an outcome."""
        query = select(outcome.c.row).where(outcome.c.task_id == task_id, outcome.c.row.between(first, last))
        with self._reader.begin() as connection:
            return set(connection.scalars(query))

    def progress(self, task_id: str, number: int | None = None) -> Progress:
        """Progress of a task, or of one of its shards; costs O(shards), not O(rows)."""
        with self._reader.begin() as connection:
            return progress_of(connection, task_id, number)

    def changes(self, task_id: str) -> Changes:
        """Rows of a recurring import's task by change; costs O(shards)."""
        with self._reader.begin() as connection:
            return changes_of(connection, task_id)

    def log(
        self,
        task_id: str,
        *,
        skip: int = 0,
        limit: int | None = None,
        code: int | None = None,
        within: Shard | None = None,
    ) -> Iterator[LogEntry]:
        """Failed rows in row order, fetched a page at a time, so memory use is constant.

        Args:
            task_id: the import task.
            skip: failures to skip; located through the tallies, without reading them.
            limit: maximum number, or None for all.
            code: only this error code.
            within: only the rows of this shard.
        """
        pages = self._pages(task_id, skip, AFTER_ALL_ROWS if limit is None else limit, _Wanted(code, _ENTRY), within)
        return map(LogEntry._make, chain.from_iterable(pages))

    def log_pages(self, task_id: str, *, code: int | None = None, within: Shard | None = None) -> Iterator[LogPage]:
        """As `log`, in pages for a file, without creating an object per row."""
        return _ahead(self._pages(task_id, 0, AFTER_ALL_ROWS, _Wanted(code, _LINE), within))

    def _pages(self, task_id: str, skip: int, left: int, wanted: _Wanted, within: Shard | None) -> Iterator[list[Any]]:
        spans = (
            self._spans(task_id, wanted.code)
            if within is None
            else [Span(within.first_row, within.last_row, skip + left)]
        )
        for span in spans:
            if skip >= span.failures:
                skip -= span.failures
                continue
            for page in self._pages_within(task_id, span, skip, left, wanted):
                yield page
                left -= len(page)
            skip = 0
            if left <= 0:
                return

    def _spans(self, task_id: str, code: int | None) -> list[Span]:
        """Ranges of shards with about a page of failures each, by the tallies.

        A page is queried within a span: without statistics about a new task, PostgreSQL sorts all failures of the given
        range for each page.
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

    def _pages_within(self, task_id: str, span: Span, skip: int, limit: int, wanted: _Wanted) -> Iterator[list[Any]]:
        first_row = span.first_row
        while limit > 0:
            most = min(limit, LOG_PAGE)
            page = self._page(task_id, (first_row, span.last_row), skip, most, wanted)
            yield page
            if len(page) < most:
                return
            first_row, skip, limit = page[-1][0] + 1, 0, limit - len(page)

    def _page(self, task_id: str, rows: tuple[int, int], skip: int, limit: int, wanted: _Wanted) -> list[Any]:
        query = (
            select(*wanted.columns)
            .where(outcome.c.task_id == task_id, outcome.c.row.between(*rows), FAILED)
            .order_by(outcome.c.row)
            .offset(skip)
            .limit(limit)
        )
        if wanted.code is not None:
            query = query.where(outcome.c.code == wanted.code)
        with self._reader.begin() as connection, connection.execute(query) as result:
            # Creating SQLAlchemy rows would take as long as reading them.
            return cast("list[Any]", result.cursor.fetchall())


def _ahead(pages: Iterator[LogPage]) -> Iterator[LogPage]:
    """Query the next page while the last one is written out."""
    with ThreadPoolExecutor(1, "log") as thread:
        coming = thread.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = thread.submit(next, pages, None)
            yield page


def _writable(connection: Connection, batch: OutcomeBatch) -> RowMapping:
    """Lock task and shard, check that the writer still owns the shard, and return the task's columns `JUDGED`."""
    query = select(*JUDGED).where(import_task.c.id == batch.task_id).with_for_update()
    task = connection.execute(query).mappings().one_or_none()
    if task is None or task["deleted_at"] is not None:
        raise TaskStopped(f"task {batch.task_id} was deleted")
    owner = connection.scalar(
        select(shard.c.lease_owner)
        .where(shard.c.task_id == batch.task_id, shard.c.number == batch.shard)
        .with_for_update()
    )
    if owner != batch.owner:
        raise LeaseLost(f"shard {batch.shard} of task {batch.task_id} belongs to another try")
    return task


def _unwritten(connection: Connection, batch: OutcomeBatch) -> list[Outcome]:
    """Outcomes of rows without one; exact, since the shard's row is locked.

    The range is for PostgreSQL, which without statistics about a new task would otherwise read all of its outcomes.
    """
    numbers = [o.row for o in batch.outcomes]
    ours = outcome.c.row.between(min(numbers, default=0), max(numbers, default=0)) & outcome.c.row.in_(numbers)
    present = set(connection.scalars(select(outcome.c.row).where(outcome.c.task_id == batch.task_id, ours)))
    return [o for o in {o.row: o for o in batch.outcomes}.values() if o.row not in present]


def insert_outcomes(connection: Connection, batch: OutcomeBatch, fresh: Sequence[Outcome]) -> Sequence[Outcome]:
    """Write outcomes and update the tallies, the journal and the holdings accordingly."""
    clock = connection.scalar(select(now()))
    connection.execute(insert(outcome), [_values(batch.task_id, o, clock) for o in fresh])
    _count(connection, batch, fresh)
    strike_out(connection, batch.task_id, fresh)
    settle_holdings(connection, batch.task_id, batch.shard, fresh)
    settle_undone(connection, batch.task_id, fresh)
    return fresh


def _insert_each(connection: Connection, batch: OutcomeBatch, fresh: Sequence[Outcome]) -> Sequence[Outcome]:
    """Write outcomes one by one; one that the database rejects is written as 303 with the reason."""
    written: list[Outcome] = []
    for o in fresh:
        try:
            with connection.begin_nested():
                written += insert_outcomes(connection, batch, [o])
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            if not _is_about_a_value(error):
                raise
            words = str(getattr(error, "orig", error)).partition("\n")[0][:200]
            log.warning("outcome rejected by the database task=%s row=%s error=%s", batch.task_id, o.row, words)
            added = f" (it was added as {o.face_id[:100]!r})" if o.code == Code.OK else ""
            text = f"the database rejected the row's outcome{added}: {words}"
            written += insert_outcomes(connection, batch, [Outcome(o.row, "", Code.SYSTEM, text)])
    return written


def _is_about_a_value(error: Exception) -> bool:
    """Whether a statement failed because of its values, not because the database is unavailable, full or locked."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError | ValueError | OverflowError)
    if isinstance(error, DataError | IntegrityError | InterfaceError):
        return not error.connection_invalidated
    return str(getattr(error.orig, "sqlstate", None) or "")[:2] in _ABOUT_VALUES or "too big" in str(error.orig)


_measured_of = attrgetter(*MEASURED, "pose_unknown")


def _measured(measurements: Measurements) -> dict[str, object]:
    """The columns of measurements, without the deep copies of `asdict`: there are millions of rows."""
    return dict(zip((*MEASURED, "pose_unknown"), _measured_of(measurements), strict=True))


def _values(task_id: str, o: Outcome, clock: float | None) -> dict[str, object]:
    return {
        "task_id": task_id,
        "row": o.row,
        "code": int(o.code),
        "uri": o.uri,
        "message": o.message[:MAX_MESSAGE],
        "reason": o.reason or "",
        "face_id": o.face_id,
        "picture": o.picture or None,
        "nearest_id": o.nearest.face_id if o.nearest else None,
        "nearest_score": o.nearest.score if o.nearest else None,
        "handled_at": clock,
        **_measured(o.measurements),
    }


def _count(connection: Connection, batch: OutcomeBatch, fresh: Sequence[Outcome]) -> None:
    upsert = upsert_for(connection.dialect)
    for code, rows in sorted(Counter(o.code for o in fresh).items()):
        statement = upsert(tally).values(task_id=batch.task_id, shard=batch.shard, code=int(code), rows=rows)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[tally.c.task_id, tally.c.shard, tally.c.code],
                set_={"rows": tally.c.rows + statement.excluded.rows},
            )
        )
