"""A face service in trouble: it does not answer (design decision 11), or it refuses everything (20)."""

import asyncio
import io
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from PIL import Image

from face_import import logs
from face_import.clients.retrying import backoff, retried
from face_import.contract import Code
from face_import.domain.models import Outcome
from face_import.domain.uri import DataUri, to_data_uri
from face_import.errors import RefusalKind, ServiceError, ServiceRefusal, ServiceUnavailable, TaskFailed
from face_import.pipeline.gate import Gate
from face_import.pipeline.meter import Meter

log = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST_WAIT_S = 5.0
OWN_FAULT_ATTEMPTS = 8
"""Attempts that fail while other rows get answers, after which a 500 is the row's own."""


class Outage:
    """Whether one service answers, as one shard sees it.

    While it is down, a shard starts no row except a single probe. So an outage costs at most the rows in progress, and
    those only once the patience is over.

    Args:
        service: the service's name, for messages.
        patience_s: how long one call is repeated, in seconds.
        gate: told when the outage begins and ends.
        meter: records how long each request takes.
    """

    def __init__(self, service: str, patience_s: float, gate: Gate | None = None, meter: Meter | None = None) -> None:
        self.service = service
        self.down = False
        self.refusals = 0
        """Successive definite answers that say nothing about the row they were for."""
        self.was_usable = False
        """Whether it has ever had another answer."""
        self._answers = 0
        self._patience_s = patience_s
        self._gate = gate or Gate(0)
        self._meter = meter or Meter()

    async def call(
        self, send: Callable[[], Awaitable[T]], failed: Callable[[ServiceUnavailable], None] | None = None
    ) -> T:
        """Send, and send again while the service does not answer.

        Args:
            send: makes one attempt.
            failed: called for each attempt that was not answered, including the last one.

        Raises:
            ServiceUnavailable: it did not answer within the patience, or answered only other rows.
            ServiceRefusal: its definite answer.
        """
        deadline, answers = 0.0, 0

        async def pause(error: ServiceUnavailable, attempts: int) -> None:
            nonlocal deadline, answers
            now = time.monotonic()
            if attempts == 1:
                deadline, answers = now + self._patience_s, self._answers
            self._failed(error)
            if failed:
                failed(error)
            others = self._answers - answers
            if now >= deadline or (error.internal and min(attempts, others) >= OWN_FAULT_ATTEMPTS):
                raise error
            wait = max(backoff(attempts, first_s=0.1, longest_s=LONGEST_WAIT_S), error.retry_after or 0.0)
            pausing = asyncio.sleep(min(wait, deadline - now))
            await (self._gate.aside(pausing, probes=True) if error.internal else pausing)

        try:
            answer = await retried(
                partial(self._meter.timed, self.service, send, ServiceUnavailable), ServiceUnavailable, pause
            )
        except ServiceRefusal as error:
            self._answered(usable=not error.unexpected)
            raise
        self._answered(usable=True)
        return answer

    def _failed(self, error: ServiceUnavailable) -> None:
        if not self.down:
            log.warning("service unavailable service=%s %s error=%s", self.service, logs.ids(), error)
        self.down = True
        self._gate.service_down(self.service, for_all=not error.internal)

    def _answered(self, *, usable: bool) -> None:
        self._answers += 1
        self.refusals = 0 if usable else self.refusals + 1
        self.was_usable |= usable
        if self.down:
            log.info("service available again service=%s %s", self.service, logs.ids())
            self.down = False
            self._gate.service_up(self.service)


MOST_REFUSALS = 10
"""Rows that a service may refuse in succession for reasons that are not theirs."""


class Refusals:
    """Outcomes held back until it is clear whether the row or the service is at fault.

    A row that was refused for no reason of its own (401, "license expired", a malformed answer) is written once the
    service has given another row a usable answer. After `MOST_REFUSALS` without one, the info service is sent a
    harmless image. The library service cannot be tested that way: it would add the face. If the service is at fault,
    the task halts and the rows stay unhandled.

    Args:
        info: the info service as the shard sees it; its refusals are 301.
        library: the library service; its refusals are 302.
        ask_info: sends an image to the info service.
    """

    def __init__(self, info: Outage, library: Outage, ask_info: Callable[[DataUri], Awaitable[object]]) -> None:
        self._services = {Code.INFO_UNAVAILABLE: info, Code.LIBRARY_UNAVAILABLE: library}
        self._ask_info = ask_info
        self._waiting: list[Outcome] = []
        self._asking = asyncio.Lock()
        self._refused = False

    async def answered(self) -> None:
        """Wait while the info service is being tested: until the result is known, no other row is tried."""
        if self._asking.locked():
            async with self._asking:
                pass

    async def hold(self, outcome: Outcome) -> None:
        """Hold back the outcome of a row that was refused.

        Raises:
            TaskFailed: the service is at fault.
        """
        self._waiting.append(outcome)
        if self._services[outcome.code].refusals >= MOST_REFUSALS and not await self._is_usable(outcome.code):
            raise self._trouble(outcome.code)

    def release(self) -> list[Outcome]:
        """The outcomes that are now known to be their rows' own: the services have answered other rows since."""
        if not self._waiting:
            return []
        return self._take(o for o in self._waiting if not self._services[o.code].refusals)

    async def release_last(self) -> list[Outcome]:
        """The outcomes still held back when no row is left to compare with.

        Raises:
            TaskFailed: the info service refuses even a harmless image; or the library service has denied every request
                with a status that is never about a face.
        """
        for code in {o.code for o in self._waiting}:
            denied = any(o.refused is RefusalKind.DENIED for o in self._waiting if o.code == code)
            strange = code == Code.INFO_UNAVAILABLE or (denied and not self._services[code].was_usable)
            if strange and not await self._is_usable(code):
                raise self._trouble(code)
        return self._take(self._waiting)

    async def _is_usable(self, code: Code) -> bool:
        """Whether a service accepts a harmless image; it is sent once for all rows that are held back."""
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
        """Rows held back whose adds may have been carried out before they were refused."""
        return [o.row for o in self._waiting if o.code == Code.LIBRARY_UNAVAILABLE]

    def _take(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        taken = list(outcomes)
        self._waiting = [o for o in self._waiting if o not in taken]
        return taken

    def _trouble(self, code: Code) -> TaskFailed:
        refused = [o for o in self._waiting if o.code == code]
        return TaskFailed(
            f"{refused[-1].message} - the answer to {len(refused)} rows in succession, the last of them row "
            f"{refused[-1].row}. They are not handled: fix the service or its settings, then start the task again"
        )


def _blank() -> DataUri:
    """A small grey image."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(picture, "JPEG")
    return to_data_uri(picture.getvalue())
