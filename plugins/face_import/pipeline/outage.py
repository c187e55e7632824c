"""Outages are not bad rows: calls to a service are repeated until its patience is used up (design decision 11)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from face_import import logs
from face_import.clients.retrying import backoff, retried
from face_import.errors import ServiceRefusal, ServiceUnavailable
from face_import.pipeline.gate import Gate
from face_import.pipeline.meter import Meter

log = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST_WAIT_S = 5.0
OWN_FAULT_ATTEMPTS = 8
"""Attempts that fail while other rows get answers, after which a 500 is the row's own."""


class Outage:
    """Whether one service answers, as one shard sees it.

    While it is down a shard starts no row but a single probe, so an outage costs the rows under way at most, and these
    only once the patience is over.

    Args:
        service: the service's name, for messages.
        patience_s: how long one call is repeated, in seconds.
        gate: hears of the outage.
        meter: notes how long each request takes.
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
            failed: hears of each attempt that was not answered, the last one too.

        Raises:
            ServiceUnavailable: it did not answer within the patience, or not for this row while others had answers.
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
