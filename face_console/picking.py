"""Rows that are selected over several pages: the pages' links carry their numbers, and actions take all that match."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flask import request
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from api_shim.app_context import app_context
from api_shim.bodies import RowsQuery
from api_shim.results import results_of, selected
from face_console.language import gettext
from face_import.catalogue import ImportTask, Selection
from face_import.contract import Code, Rows
from face_import.domain.row_spans import Spans, common, joined, row_spans, spelled, without
from face_import.errors import InvalidRequest
from face_import.results import Search

MOST = 800
"""Characters of a selection: with those of a page it fits into an address, and `api_shim.fields.RowNumbers`."""
KINDS = (Rows.FAILED, Rows.UNHANDLED)
"""Rows that the menu of results has beside the codes."""


@dataclass(frozen=True, slots=True)
class Picked:
    """The selected ones of the rows that a page and its neighbours show.

    Attributes:
        spans: which rows are selected, of those with the result.
        result: what became of all these rows, as the menu of results says it.
        here: numbers of the selected rows on the page.
        elsewhere: how many are selected on other pages.
        matching: how many rows match; None if only a search of the file can tell.
        has_others: whether rows match that are neither selected nor on the page, as far as known.
        searched_to: the last row that was searched to select all that match; None if that was all, or not asked for.
        problem: why rows were not selected; empty if they were.
    """

    spans: Spans
    result: str
    here: frozenset[int]
    elsewhere: int
    matching: int | None
    has_others: bool
    searched_to: int | None = None
    problem: str = ""

    @property
    def text(self) -> str | None:
        """The selected rows as an address has them; None without any, which leaves it out."""
        return spelled(self.spans) or None

    @property
    def text_elsewhere(self) -> str:
        """Those on other pages."""
        return spelled(without(self.spans, self.here))


def picked_rows(
    task: ImportTask, matching: Selection, shown: Sequence[int], text: str = "", *, goes_on: bool
) -> Picked:
    """What the request says is selected: `picked`, or with `every` all rows that match.

    Args:
        task: the import.
        matching: the rows that the page and its neighbours show, but for `text`.
        shown: numbers of those on the page.
        text: what is searched for in them.
        goes_on: whether there are other pages.
    """
    spans: Spans = ()
    searched_to, problem = None, ""
    if "every" in request.args:
        spans, searched_to = _every(task, matching, text)
    elif any(request.args.getlist("picked")):
        spans = _spans(request.args, "picked")
    if len(spelled(spans)) > MOST:
        spans, searched_to, problem = (), None, gettext("These are too many rows in too many places. Select fewer.")
    here = frozenset(row for row in shown if any(common(spans, row, row)))
    count = app_context().catalogue.outcomes.count
    selection = replace(matching, spans=spans)
    elsewhere = max(0, count(task.id, selection, task.total_num) - len(here)) if spans else 0
    number = None if text else count(task.id, matching, task.total_num)
    left = goes_on and "every" not in request.args if number is None else number > elsewhere + len(shown)
    return Picked(spans, _result(matching), here, elsewhere, number, left, searched_to, problem)


def acted_on(form: MultiDict[str, str]) -> Selection:
    """The rows that an action is about.

    Raises:
        InvalidRequest: none are selected, or they are not said as they should be.
    """
    spans = _spans(form, "row")
    if not spans:  # must not mean all rows
        raise InvalidRequest(gettext("Select rows first."), field="row")
    try:
        query = RowsQuery.model_validate(with_result(form.get("code", "")))
    except ValidationError:
        raise InvalidRequest(f"code: {form['code'][:40]!r} is no result", field="code") from None
    return selected(query.rows, query.code, None, spans)


def with_result(result: str) -> dict[str, str]:
    """The fields of a query for rows of which something became: a code, or one of `KINDS`."""
    return {"rows": result, "code": ""} if result in KINDS else {"code": result}


def _result(selection: Selection) -> str:
    if selection.rows == Rows.IMPORTED:
        return str(Code.OK.value)
    if selection.code is not None:
        return str(selection.code.value)
    return "" if selection.rows == Rows.ALL else selection.rows


def _every(task: ImportTask, matching: Selection, text: str) -> tuple[Spans, int | None]:
    """All rows that match, and the last one that was searched if there may be more."""
    if not text:
        return matching.spans, None
    rows, last = results_of(task.id).matching(matching, Search(text=text))
    return joined(rows), last if last < min(matching.spans[-1][1], task.total_num) else None


def _spans(form: MultiDict[str, str], field: str) -> Spans:
    try:
        return row_spans(",".join(form.getlist(field)))
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", field=field) from None
