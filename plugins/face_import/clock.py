"""The clock by which this process and others of its machine measure time that has passed."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since an arbitrary moment, including those in which the machine slept; never goes back.

    `time.monotonic` stands still while a machine sleeps, and others may have taken over its work meanwhile.
    """
    return time.clock_gettime(_CLOCK)
