"""What became of rows: outcomes of a selection in row order, a page at a time, and rows that have none."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Engine, func, select

from face_import.catalogue.engine import reading
from face_import.catalogue.schema import FAILED, MEASURED, import_task, outcome, shard, tally
from face_import.contract import Code, Reason, Rows
from face_import.domain.models import Nearest
from face_import.domain.row_spans import ALL_ROWS, Spans, common
from face_import.errors import TaskNotFound

PAGE_ROWS = 5000
RowResult = tuple[Any, ...]
"""Row, code, reason, message, face id, and each of `MEASURED`, as returned by the driver: a task has millions.

The code of a row without an outcome is None.
"""
_RESULT = (
    *(outcome.c.row, outcome.c.code, outcome.c.reason, outcome.c.message, outcome.c.face_id),
    *(outcome.c[name] for name in MEASURED),
)
_NOT_MEASURED = (None,) * len(MEASURED)
_DOUBTFUL = (Code.OK, Code.ALIKE, Code.UNLIKE_TAG)
"""Codes that rows with a doubtful tag have; new limits may have given them another one since."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of a task.

    Attributes:
        rows: by what became of them.
        code: only those with this code; then `rows` is `FAILED` or `IMPORTED`.
        reason: only those with this reason; then `rows` is `FAILED`.
        spans: only those in one of these ranges of row numbers.
    """

    rows: Rows
    code: Code | None = None
    reason: Reason | None = None
    spans: Spans = ALL_ROWS

    @property
    def outcomes(self) -> ColumnElement[bool]:
        """The condition on their outcomes; true if they may have none."""
        condition = FAILED if self.rows == Rows.FAILED else outcome.c.code == Code.OK
        if self.code is not None and self.rows == Rows.FAILED:
            condition &= outcome.c.code == self.code
        return condition if self.reason is None else condition & (outcome.c.reason == self.reason)


class _Span(NamedTuple):
    """Consecutive rows, and how many of them are selected, whatever their reason."""

    first: int
    last: int
    hits: int


class Outcomes:
    """Reads what became of rows.

    Args:
        engine: write engine of the catalogue.
    """

    def __init__(self, engine: Engine) -> None:
        self._reader = reading(engine)

    def pages(self, task_id: str, selection: Selection, total: int, skip: int = 0) -> Iterator[list[RowResult]]:
        """Selected rows in row order, in pages of up to `PAGE_ROWS`; shards without any are not searched.

        A page is one snapshot, and the next one a later snapshot.

        Args:
            task_id: the import task.
            selection: which rows.
            total: rows of the task.
            skip: selected rows to skip, located through the tallies where these count them.

        Raises:
            TaskNotFound: while iterating: the task was deleted, so what it has no longer tells what became of its rows.
        """
        for span in self._spans(task_id, selection, total):
            for first, last in common(selection.spans, span.first, min(span.last, total)):
                counted = selection.reason is None and (first, last) == (span.first, span.last)
                if counted and skip >= span.hits:
                    skip -= span.hits
                    continue
                for page in self._pages_within(task_id, selection, first, last):
                    if kept := page[skip:]:
                        yield kept
                    skip = max(0, skip - len(page))

    def count(self, task_id: str, selection: Selection, total: int) -> int:
        """How many rows are selected; what lies in whole shards is counted by the tallies.

        Raises:
            TaskNotFound: the task was deleted.
        """
        if selection.rows == Rows.ALL:
            return sum(last - first + 1 for first, last in common(selection.spans, 1, total))
        rows = 0
        for span in self._spans(task_id, selection, total):
            for first, last in common(selection.spans, span.first, min(span.last, total)):
                if selection.reason is None and (first, last) == (span.first, span.last):
                    rows += span.hits
                else:
                    rows += sum(map(len, self._pages_within(task_id, selection, first, last)))
        return rows

    def nearest(self, task_id: str, rows: Collection[int]) -> dict[int, Nearest]:
        """The faces that speak against some rows of a task, by row; rows whose tag is not doubtful have none."""
        query = select(outcome.c.row, outcome.c.nearest_id, outcome.c.nearest_score)
        query = query.where(outcome.c.task_id == task_id, outcome.c.row.in_(rows))
        query = query.where(outcome.c.nearest_id.is_not(None), outcome.c.code.in_(_DOUBTFUL))
        with self._reader.begin() as connection:
            return {row: Nearest(face_id, score) for row, face_id, score in connection.execute(query)}

    def _spans(self, task_id: str, selection: Selection, total: int) -> Iterable[_Span]:
        if selection.rows == Rows.ALL:
            ranges = ((first, min(first + PAGE_ROWS - 1, total)) for first in range(1, total + 1, PAGE_ROWS))
            return (_Span(first, last, last - first + 1) for first, last in ranges)
        if selection.rows == Rows.UNHANDLED:
            return self._unhandled_spans(task_id, total)
        return self._outcome_spans(task_id, selection)

    def _unhandled_spans(self, task_id: str, total: int) -> list[_Span]:
        """Shards with rows that have no outcome, and rows of no shard: all before planning, others than the sample."""
        query = (
            select(shard.c.first_row, shard.c.rows, func.coalesce(func.sum(tally.c.rows), 0))
            .join_from(shard, tally, _TALLIES, isouter=True)
            .where(shard.c.task_id == task_id)
            .group_by(shard.c.first_row, shard.c.rows)
            .order_by(shard.c.first_row)
        )
        with self._reader.begin() as connection:
            planned = connection.execute(query).all()
        spans: list[_Span] = []
        last = 0
        for first, rows, done in (*planned, (total + 1, 0, 0)):
            if first > last + 1:
                spans.append(_Span(last + 1, first - 1, first - 1 - last))
            last = first + rows - 1
            if done < rows:
                spans.append(_Span(first, last, rows - int(done)))
        return spans

    def _outcome_spans(self, task_id: str, selection: Selection) -> list[_Span]:
        """Ranges of shards with about a page of selected rows each, by the tallies.

        As for the log: without statistics about a new task, PostgreSQL sorts what is in a range for each page of it.
        """
        query = (
            select(shard.c.first_row, shard.c.rows, func.sum(tally.c.rows))
            .join_from(tally, shard, _TALLIES)
            .where(tally.c.task_id == task_id, tally.c.rows > 0, _tallied(selection))
            .group_by(shard.c.first_row, shard.c.rows)
            .order_by(shard.c.first_row)
        )
        spans: list[_Span] = []
        with self._reader.begin() as connection:
            for first, rows, hits in connection.execute(query):
                if spans and spans[-1].hits + hits <= PAGE_ROWS:
                    spans[-1] = _Span(spans[-1].first, first + rows - 1, spans[-1].hits + int(hits))
                else:
                    spans.append(_Span(first, first + rows - 1, int(hits)))
        return spans

    def _pages_within(self, task_id: str, selection: Selection, first: int, last: int) -> Iterator[list[RowResult]]:
        if selection.rows in {Rows.ALL, Rows.UNHANDLED}:
            for start in range(first, last + 1, PAGE_ROWS):
                yield self._complete(task_id, start, min(start + PAGE_ROWS - 1, last), selection.rows)
            return
        while page := self._page(task_id, first, last, selection.outcomes):
            yield page
            if len(page) < PAGE_ROWS:
                return
            first = page[-1][0] + 1

    def _complete(self, task_id: str, first: int, last: int, rows: Rows) -> list[RowResult]:
        """Rows of a range without an outcome, or all of them."""
        if rows == Rows.ALL:
            found = {result[0]: result for result in self._page(task_id, first, last)}
            return [found.get(row) or _unhandled(row) for row in range(first, last + 1)]
        handled = {result[0] for result in self._page(task_id, first, last, columns=(outcome.c.row,))}
        return [_unhandled(row) for row in range(first, last + 1) if row not in handled]

    def _page(
        self,
        task_id: str,
        first: int,
        last: int,
        condition: ColumnElement[bool] | None = None,
        columns: Sequence[ColumnElement[Any]] = _RESULT,
    ) -> list[RowResult]:
        query = (
            select(*columns)
            .where(outcome.c.task_id == task_id, outcome.c.row.between(first, last))
            .order_by(outcome.c.row)
            .limit(PAGE_ROWS)
        )
        if condition is not None:
            query = query.where(condition)
        with self._reader.begin() as connection:
            with connection.execute(query) as result:
                # Creating SQLAlchemy rows would take as long as reading them.
                page = cast("list[RowResult]", result.cursor.fetchall())
            # Afterwards: outcomes are removed only when the task has been deleted.
            alive = select(import_task.c.id).where(import_task.c.id == task_id, import_task.c.deleted_at.is_(None))
            if connection.scalar(alive) is None:
                raise TaskNotFound(f"there is no task {task_id!r}")
        return page


_TALLIES = (shard.c.task_id == tally.c.task_id) & (shard.c.number == tally.c.shard)


def _unhandled(row: int) -> RowResult:
    return row, None, "", "", "", *_NOT_MEASURED


def _tallied(selection: Selection) -> ColumnElement[bool]:
    if selection.rows == Rows.IMPORTED:
        return tally.c.code == Code.OK
    return tally.c.code != Code.OK if selection.code is None else tally.c.code == selection.code
