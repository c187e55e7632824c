"""Waiting for what comes true by itself."""

import asyncio
import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], deadline_s: float = 60.0, every_s: float = 0.1) -> Any:
    """Wait until a condition holds, and return its value.

    Raises:
        AssertionError: it did not within the deadline.
    """
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(every_s)
    return value


async def eventually(condition: Callable[[], Any], deadline_s: float = 15.0) -> None:
    """The same beside other coroutines.

    Raises:
        AssertionError: it did not within the deadline.
    """
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        await asyncio.sleep(0.01)
