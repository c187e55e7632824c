"""Whose trouble a refusal is: one row's, or that of a service which refuses them all (design decision 20)."""

from collections.abc import Iterable

from face_import.contract import Code
from face_import.domain.models import Outcome
from face_import.errors import RefusalKind, TaskFailed
from face_import.pipeline.outage import Outage

MOST_REFUSALS = 10
"""Rows that a service may refuse in succession, in words that say nothing about them."""


class Refusals:
    """Outcomes that wait until it is clear whose trouble they are.

    A row that was refused for no reason of its own (401, "license expired", a malformed answer) is written once the
    service has had a usable answer for another row. After `MOST_REFUSALS` without one the service is in trouble:
    the rows stay unhandled, and the task is to be halted.

    Args:
        info: the info service as the shard sees it; its refusals are 301.
        library: the library service; its refusals are 302.
    """

    def __init__(self, info: Outage, library: Outage) -> None:
        self._services = {Code.INFO_UNAVAILABLE: info, Code.LIBRARY_UNAVAILABLE: library}
        self._waiting: list[Outcome] = []

    def hold(self, outcome: Outcome) -> None:
        """Keep the outcome of a row that was refused.

        Raises:
            TaskFailed: it was one too many.
        """
        self._waiting.append(outcome)
        if self._services[outcome.code].refusals >= MOST_REFUSALS:
            raise self._trouble(outcome.code)

    def release(self) -> list[Outcome]:
        """The outcomes that are their rows' own by now: their services have answered for other rows since."""
        if not self._waiting:
            return []
        return self._take(o for o in self._waiting if not self._services[o.code].refusals)

    def release_last(self) -> list[Outcome]:
        """The outcomes that wait when no row is left to compare with.

        Raises:
            TaskFailed: a service denied what it was asked for, which is never about a row.
        """
        denied = next((o.code for o in self._waiting if o.refused is RefusalKind.DENIED), None)
        if denied is not None:
            raise self._trouble(denied)
        return self._take(self._waiting)

    def _take(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        taken = list(outcomes)
        self._waiting = [o for o in self._waiting if o not in taken]
        return taken

    def _trouble(self, code: Code) -> TaskFailed:
        refused = [o for o in self._waiting if o.code == code]
        return TaskFailed(
            f"{refused[-1].message} - that is what it answered for {len(refused)} rows in succession, the last one row "
            f"{refused[-1].row}. They are not handled: see to the service and its settings, then start the task again"
        )
