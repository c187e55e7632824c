"""Results: the rows of a task as they are in its file, each with what became of it.

The file and the ledger are read side by side, in row order: of the ledger a page, of the file the blocks with rows of
that page.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import chain, islice

from face_import.catalogue import Catalogue, RowResult, Selection
from face_import.catalogue.schema import MEASURED
from face_import.domain.models import SourceIndex
from face_import.domain.reading import Reading
from face_import.domain.uri import cleaned, display, scheme_of
from face_import.errors import TaskNotFound, WrongState
from face_import.sources import Record, Storage, StoredSource
from face_import.sources.records import unwrapped

MOST_ROWS, MOST_BYTES = 100_000, 64 * 2**20
"""What one search looks at, in rows and in bytes of the file; it stops at a row soon after."""
MOST_SHOWN = 4 * 2**20
"""Characters that one search returns; it stops at the first row beyond."""
SORTS = {"code": 1} | {name: place for place, name in enumerate(MEASURED, 5)}
"""What rows can be sorted by, and where a `RowResult` has it."""

ResultRow = tuple[RowResult, Record]
"""What became of a row, and the row as it is in the file: a task has millions."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a row must have; empty is anything.

    Attributes:
        id: the whole of its id.
        tag: the whole of its tag.
        text: a part of any of its cells or of its message, in any case; data URIs are not searched.
        sort: one of `SORTS`, with a leading `-` for the highest first; empty is row order.
    """

    id: str = ""
    tag: str = ""
    text: str = ""
    sort: str = ""

    @property
    def is_any(self) -> bool:
        """Whether every row has all of this."""
        return not (self.id or self.tag or self.text)

    @property
    def order(self) -> Callable[[RowResult], tuple[bool, float, int]]:
        """What a sorted row comes after others by: angles by their magnitude, unmeasured rows last, equals by row."""
        name = self.sort.removeprefix("-")
        place, sign = SORTS[name], -1 if name != self.sort else 1
        return lambda result: (result[place] is None, sign * abs(result[place] or 0), result[0])

    def finds(self, row: ResultRow, reading: Reading) -> bool:
        """Whether a row has all of this."""
        (_, _, _, message, *_), (_, cells) = row
        return (
            (not self.id or _has(cells, reading.columns.get("id"), self.id))
            and (not self.tag or _has(cells, reading.columns.get("tag"), self.tag))
            and (not self.text or self._is_in(message, *cells))
        )

    def _is_in(self, *cells: str) -> bool:
        text = self.text.casefold()
        return any(text in cell.casefold() for cell in cells if scheme_of(cell) != "data")


def _has(cells: list[str], position: int | None, wanted: str) -> bool:
    """Whether a cell is the wanted text, of which nothing may be left once it is cleaned."""
    cell = cell_at(cells, position)
    return bool(cell) and cell == cleaned(wanted)


def cell_at(cells: list[str], position: int | None) -> str:
    """A cell as it is imported; empty if there is none."""
    return "" if position is None or position >= len(cells) else cleaned(unwrapped(cells[position]))


def fields_of(cells: list[str], columns: Mapping[str, int]) -> dict[str, str]:
    """The cells that are imported, by field."""
    return {field: cell_at(cells, position) for field, position in columns.items()}


@dataclass(slots=True)
class Found:
    """What a search found.

    Attributes:
        titles: the file's columns.
        columns: position of each of our columns among them.
        rows: the rows.
        skipped: rows found before these and left out, as asked.
        looked_to: number of the last row that was looked at; the bounds of a search may end it before the last row.
        sorted: how many rows were found and sorted, of which these are some; None in row order.
    """

    titles: list[str]
    columns: Mapping[str, int]
    rows: list[ResultRow] = field(default_factory=list)
    skipped: int = 0
    looked_to: int = 0
    sorted: int | None = None


class Results:
    """The results of one task.

    Args:
        catalogue: where the ledger is.
        storage: where the file is.
        task_id: the import task.

    Raises:
        TaskNotFound: there is no such task, or no file is stored for it.
        WrongState: its file has not been read yet.
    """

    def __init__(self, catalogue: Catalogue, storage: Storage, task_id: str) -> None:
        task = catalogue.tasks.get(task_id)
        self._outcomes, self._storage = catalogue.outcomes, storage
        self._task_id, self._source_name = task_id, task.source_name
        self._index = storage.index(task_id, task.source_name) or _no_source(task_id, has_rows=task.total_num > 0)
        self.total = self._index.rows

    def opened(self) -> AbstractContextManager[StoredSource]:
        """The task's file, open."""
        return self._storage.opened(self._task_id, self._index, self._source_name)

    def batches(self, source: StoredSource, selection: Selection, skip: int = 0) -> Iterator[list[ResultRow]]:
        """Selected rows in row order, some at a time, so that memory use is constant.

        Args:
            source: the task's file, as `opened`.
            selection: which rows.
            skip: selected rows to skip.

        Raises:
            TaskNotFound: while iterating: the task was deleted.
            SourceError: while iterating: the stored file was changed.
        """
        for page in self._outcomes.pages(self._task_id, selection, self.total, skip):
            results = iter(page)
            for records in source.batches([result[0] for result in page]):
                yield list(zip(islice(results, len(records)), records, strict=True))

    def search(self, selection: Selection, search: Search, skip: int, limit: int) -> Found:
        """Rows among the selected ones, of which at most `MOST_ROWS` are looked at.

        No more than these are sorted either: no index has what rows are sorted by, and a task may have millions.

        Args:
            selection: which rows.
            search: what they must have.
            skip: rows found that are to be left out.
            limit: how many to return, at least 1.
        """
        ahead = skip * (search.is_any and not search.sort)  # passed over without reading them
        with self.opened() as source:
            found, shown = Found(source.titles(), source.reading.columns, skipped=ahead), 0
            rows = self._matching(source, selection, search, found)
            if search.sort:
                found.sorted = 0
                places = nsmallest(skip + limit, (search.order(result) for result, _ in rows))
                found.skipped = min(skip, found.sorted)
                rows = self._read(source, selection, [row for *_, row in places[skip:]])
            for row in rows:
                if found.skipped < skip:
                    found.skipped += 1
                    continue
                found.rows.append(row)
                shown += sum(map(len, row[1][1]))
                if len(found.rows) >= limit or shown > MOST_SHOWN:
                    break
        return found

    def matching(self, selection: Selection, search: Search) -> tuple[list[int], int]:
        """Numbers of the rows that a search finds, ascending, and the last row that it looked at; see `search`."""
        with self.opened() as source:
            found = Found(source.titles(), source.reading.columns)
            rows = self._matching(source, selection, search, found)
            return [result[0] for result, _ in rows], found.looked_to

    def _matching(
        self, source: StoredSource, selection: Selection, search: Search, found: Found
    ) -> Iterator[ResultRow]:
        """The rows that match, of those that a search may look at; `found` is told how far that is.

        What is sorted whatever its cells are is not read from the file: those of a page are, afterwards.
        """
        unread = search.sort and search.is_any
        batches = self._unread(selection) if unread else self.batches(source, selection, found.skipped)
        left = MOST_ROWS
        for row in chain.from_iterable(batches):
            found.looked_to, left = row[0][0], left - 1
            if search.finds(row, source.reading):
                if found.sorted is not None:
                    found.sorted += 1
                yield row
            if not left or source.bytes_read > MOST_BYTES:
                return
        found.looked_to = min(selection.spans[-1][1], self.total)

    def _unread(self, selection: Selection) -> Iterator[list[ResultRow]]:
        """Selected rows without what is in the file."""
        for page in self._outcomes.pages(self._task_id, selection, self.total):
            yield [(result, (0, [])) for result in page]

    def _read(self, source: StoredSource, selection: Selection, numbers: Sequence[int]) -> Iterator[ResultRow]:
        """These rows in this order, but for those that are not selected any more; it ends after `MOST_BYTES` read."""
        if not numbers:
            return
        alone = replace(selection, spans=tuple((number, number) for number in sorted(numbers)))
        pages = self._outcomes.pages(self._task_id, alone, self.total)
        results = {result[0]: result for result in chain.from_iterable(pages)}
        most = source.bytes_read + MOST_BYTES
        for number in numbers:
            if number in results:
                (record,) = chain.from_iterable(source.batches([number]))
                yield results[number], record
            if source.bytes_read > most:
                return

    def cells(self, rows: Sequence[int]) -> dict[int, dict[str, str]]:
        """The cells of rows that are imported, by field; rows after `MOST_BYTES` of the file are missing.

        Data URIs are shortened at once: those of a page would take much memory together.

        Args:
            rows: their numbers, ascending.
        """
        found: dict[int, dict[str, str]] = {}
        numbers = iter(rows)
        with self.opened() as source:
            for records in source.batches(rows):
                for number, (_, cells) in zip(islice(numbers, len(records)), records, strict=True):
                    cell_by_field = fields_of(cells, source.reading.columns)
                    found[number] = {field: _brief(cell) for field, cell in cell_by_field.items()}
                if source.bytes_read > MOST_BYTES:
                    break
        return found


def _brief(cell: str) -> str:
    """A cell without image data."""
    return display(cell) if scheme_of(cell) == "data" else cell


def _no_source(task_id: str, *, has_rows: bool) -> SourceIndex:
    if has_rows:
        raise TaskNotFound(f"no file is stored for task {task_id}")
    raise WrongState(f"task {task_id} has not read its file yet: start it first")
