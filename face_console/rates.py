"""Current rates of imports, measured between page views."""

import time
from collections import deque
from threading import Lock

WINDOW_S = 15.0
MIN_SPAN_S = 1.5
MOST_TASKS = 500


class Rates:
    """Rows per second over the last seconds, for tasks that are being viewed.

    A task's start time says nothing about its rate: it may have been stopped in between, and rows of earlier attempts
    count as handled. So the rate is measured between two views, and the first view has none.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], deque[tuple[float, int]]] = {}
        self._lock = Lock()

    def rate(self, task_id: str, attempt: int, handled: int, now: float | None = None) -> float | None:
        """Record the number of handled rows, and return rows per second, or None if not known yet.

        Args:
            task_id: a running task.
            attempt: its attempt; each is measured separately.
            handled: its rows with an outcome.
            now: the time in seconds, of any monotonic clock.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            samples = self._seen.pop((task_id, attempt), None) or deque()
            self._seen[task_id, attempt] = samples  # most recently viewed last: evicted last
            while len(self._seen) > MOST_TASKS:
                self._seen.pop(next(iter(self._seen)))
            if not samples or now - samples[-1][0] >= 0.5:
                samples.append((now, handled))
            while len(samples) > 2 and samples[1][0] <= now - WINDOW_S:
                samples.popleft()
            if now - samples[0][0] > 2 * WINDOW_S and len(samples) == 2:
                samples.popleft()  # not viewed for long: an average over that is not the current rate
            since, before = samples[0]
        if now - since < MIN_SPAN_S:
            return None
        return max(0, handled - before) / (now - since)
