"""Outages are not bad rows: calls to a service are repeated until its patience is used up (design decision 11)."""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from face_import import logs
from face_import.clients.retrying import persistently
from face_import.errors import ServiceRefusal, ServiceUnavailable
from face_import.pipeline.meter import Meter

log = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST_WAIT_S = 5.0
_backoff = wait_random_exponential(multiplier=0.2, max=LONGEST_WAIT_S)


class Outage:
    """Whether one service answers, as one shard sees it.

    While it is down a shard starts no row but a single probe, so an outage costs the rows in flight at
    most, and these only once the patience is over.

    Args:
        service: the service's name, for messages.
        patience_s: how long one call is repeated, in seconds.
        meter: notes how long each request takes.
    """

    def __init__(self, service: str, patience_s: float, meter: Meter | None = None) -> None:
        self.service = service
        self.down = False
        self.refusals = 0
        """Successive definite answers that say nothing about the row they were for."""
        self.was_usable = False
        """Whether it has ever had another answer."""
        self._patience_s = patience_s
        self._meter = meter or Meter()

    async def call(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send, and send again while the service does not answer.

        Raises:
            ServiceUnavailable: it did not answer within the patience.
            ServiceRefusal: its definite answer.
        """
        try:
            answer = await persistently(partial(self._send, send), ServiceUnavailable, self._retrying)
        except ServiceRefusal as error:
            self._answered(usable=not error.unexpected)
            raise
        self._answered(usable=True)
        return answer

    def _retrying(self, first: ServiceUnavailable) -> AsyncRetrying:
        deadline = time.monotonic() + self._patience_s
        self._failed(first)
        return AsyncRetrying(
            retry=retry_if_exception_type(ServiceUnavailable),
            wait=lambda state: _pause(state, deadline - time.monotonic()),
            stop=lambda _: time.monotonic() >= deadline,
            before_sleep=self._note,
            reraise=True,
        )

    async def _send(self, send: Callable[[], Awaitable[T]]) -> T:
        return await self._meter.timed(self.service, send, ServiceUnavailable)

    def _note(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if not self.down:
            log.warning("service away service=%s %s error=%s", self.service, logs.ids(), error)
        self.down = True

    def _answered(self, *, usable: bool) -> None:
        self.refusals = 0 if usable else self.refusals + 1
        self.was_usable |= usable
        if self.down:
            log.info("service back service=%s %s", self.service, logs.ids())
        self.down = False


def _pause(state: RetryCallState, left_s: float) -> float:
    """Exponential backoff with full jitter, or longer if the service asked for it, up to the end of the patience."""
    return min(max(_backoff(state), _asked(state)), max(left_s, 0.0))


def _asked(state: RetryCallState) -> float:
    """Seconds the service asked us to wait."""
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, ServiceUnavailable) else 0.0
