"""A fetch under way: its deadline, the memory held for it, and how far it has come."""

import asyncio

from face_import.clients.budget import Reservation
from face_import.clients.chain import Chain
from face_import.clients.transfer import FetchError, TransientFetchError
from face_import.clients.visit import Visit
from face_import.contract import Reason


class Underway:
    """One row's fetch.

    Attributes:
        chain: its requests.
        held: memory for the body.
        visit: told about each request.
        validator: of an earlier answer; None if that of the new one is not wanted.
        deadline: for all of it.
        came, expected: bytes of the body; the latter is None unless the host says how many there are.
    """

    deadline: asyncio.Timeout

    def __init__(self, chain: Chain, held: Reservation, visit: Visit, validator: str | None) -> None:
        self.chain = chain
        self.held = held
        self.visit = visit
        self.validator = validator
        self.came = 0
        self.expected: int | None = None

    async def take(self, size: int) -> None:
        """Wait for memory with the deadline suspended: it limits the host, not us."""
        clock = asyncio.get_running_loop().time
        left = (self.deadline.when() or clock()) - clock()
        self.deadline.reschedule(None)
        await self.held.take(size)
        self.deadline.reschedule(clock() + left)

    def timed_out(self, seconds: float) -> FetchError:
        """Return the error for the deadline: how much came, or else what has kept it from coming."""
        if self.came:
            of = f" of {_shown(self.expected)}" if self.expected else ""
            return FetchError(f"timed out after {seconds:g} s: {_shown(self.came)}{of} came", Reason.TIMEOUT)
        error = TransientFetchError(f"no answer within {seconds:g} s", Reason.TIMEOUT, of_host=True)
        error.origin = str(self.chain.url.origin())
        return error


def _shown(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
