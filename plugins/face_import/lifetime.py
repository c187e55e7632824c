"""How long a process lives, and how it shows that it does."""

import ctypes
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, on Linux.

    Otherwise a server's worker outlives a killed master for seconds: it keeps the port from the next one, and answers
    for it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def beat(file: Path | None) -> None:
    """Touch the file whose age a health check looks at, if there is one.

    A file that cannot be touched ages, which the check tells.
    """
    if file:
        with suppress(OSError):
            file.touch()
