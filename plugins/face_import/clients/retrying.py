"""Retrying, the one way it is done here: what to send, which errors are transient, how to pause between attempts."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


async def retried(
    send: Callable[[], Awaitable[T]], transient: type[E], pause: Callable[[E, int], Awaitable[None]]
) -> T:
    """Send, and send again while it fails with a transient error.

    Args:
        send: makes one attempt.
        transient: what another attempt may get past.
        pause: waits before the next attempt, given the error and how many attempts there were; raises the error to
            give up.
    """
    attempts = 0
    while True:
        try:
            return await send()
        except transient as error:
            attempts += 1
            await pause(error, attempts)


def backoff(attempts: int, *, first_s: float, longest_s: float) -> float:
    """Seconds to pause after so many attempts: exponential with full jitter."""
    return random.uniform(0, min(longest_s, first_s * 2 ** min(attempts, 30)))  # noqa: S311 - no secret
