"""Whose trouble a refusal is: one row's, or that of a service which refuses them all (design decision 20)."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable

from PIL import Image

from face_import.contract import Code
from face_import.domain.models import Outcome
from face_import.domain.uri import DataUri, to_data_uri
from face_import.errors import RefusalKind, ServiceError, TaskFailed
from face_import.pipeline.outage import Outage

MOST_REFUSALS = 10
"""Rows that a service may refuse in succession, in words that say nothing about them."""


class Refusals:
    """Outcomes that wait until it is clear whose trouble they are.

    A row that was refused for no reason of its own (401, "license expired", a malformed answer) is written once the
    service has had a usable answer for another row. After `MOST_REFUSALS` without one the info service is asked for a
    picture that nobody can object to. The library service cannot be asked for anything without adding a face. A service
    in trouble halts the task, and the rows stay unhandled.

    Args:
        info: the info service as the shard sees it; its refusals are 301.
        library: the library service; its refusals are 302.
        ask_info: sends a picture to the info service.
    """

    def __init__(self, info: Outage, library: Outage, ask_info: Callable[[DataUri], Awaitable[object]]) -> None:
        self._services = {Code.INFO_UNAVAILABLE: info, Code.LIBRARY_UNAVAILABLE: library}
        self._ask_info = ask_info
        self._waiting: list[Outcome] = []
        self._asking = asyncio.Lock()
        self._refused = False

    async def answered(self) -> None:
        """Wait while the info service is asked whether the rows are to blame: until then no other row is tried."""
        if self._asking.locked():
            async with self._asking:
                pass

    async def hold(self, outcome: Outcome) -> None:
        """Keep the outcome of a row that was refused.

        Raises:
            TaskFailed: it was one too many.
        """
        self._waiting.append(outcome)
        if self._services[outcome.code].refusals >= MOST_REFUSALS and not await self._is_usable(outcome.code):
            raise self._trouble(outcome.code)

    def release(self) -> list[Outcome]:
        """The outcomes that are their rows' own by now: their services have answered for other rows since."""
        if not self._waiting:
            return []
        return self._take(o for o in self._waiting if not self._services[o.code].refusals)

    async def release_last(self) -> list[Outcome]:
        """The outcomes that wait when no row is left to compare with.

        Raises:
            TaskFailed: the info service refuses any picture; or the library service has denied all that it was asked
                for, by a status that is never about a face.
        """
        for code in {o.code for o in self._waiting}:
            denied = any(o.refused is RefusalKind.DENIED for o in self._waiting if o.code == code)
            strange = code == Code.INFO_UNAVAILABLE or (denied and not self._services[code].was_usable)
            if strange and not await self._is_usable(code):
                raise self._trouble(code)
        return self._take(self._waiting)

    async def _is_usable(self, code: Code) -> bool:
        """Whether a service has an answer for a picture that is beyond reproach; it is asked once for all who wait."""
        if code != Code.INFO_UNAVAILABLE:
            return False
        info = self._services[code]
        async with self._asking:
            if info.refusals and not self._refused:
                try:
                    await info.call(lambda: self._ask_info(_blank()))
                except ServiceError:
                    self._refused = True
        return not self._refused

    @property
    def unsettled(self) -> list[int]:
        """Rows that wait, and whose adds may have been carried out before they were refused."""
        return [o.row for o in self._waiting if o.code == Code.LIBRARY_UNAVAILABLE]

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


def _blank() -> DataUri:
    """A small grey picture."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(picture, "JPEG")
    return to_data_uri(picture.getvalue())
