"""One image host as one shard sees it: whether its rows may start, and which of them wait."""

import time
from collections import deque
from dataclasses import dataclass, field

from face_import.catalogue import Demand, HostState
from face_import.domain.models import Row

MOST_WANTED = 1000
MOST_AT_ONCE = 2**31
"""No bound."""


@dataclass(slots=True, eq=False)
class Host:
    """State of a host.

    Attributes:
        origin: scheme, name and port.
        waiting: rows that are set aside, in order.
        coming: rows that were set aside and may start now, but have not asked yet.
        fetching: rows that have a request under way.
        failed: rows that it has failed since its last answer.
        denied: rows whose signed URLs it has refused since its last picture.
        good: a URI of its that could be fetched; empty if there was none.
        reason: why it is down, in words.
        down_since: by the monotonic clock; None if it is not down.
        given_up: whether its rows fail without asking it.
        retry_at: when it may be asked again, by the monotonic clock.
        probe: the row that asks it while it is down; None if none does.
        bounded: whether a fetch needs a place.
        places: fetches at a time that this shard may make, if it needs any.
        asked: whether the catalogue knows that this shard wants places.
        pace: requests a second of this shard; None for no bound.
        next_at: when the next request may be made, by the monotonic clock.
        left: requests that it said are left; None if it does not say. With none left, one asks how many there are.
    """

    origin: str
    bounded: bool = False
    waiting: deque[Row] = field(default_factory=deque)
    coming: set[int] = field(default_factory=set)
    fetching: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    denied: int = 0
    good: str = ""
    reason: str = ""
    down_since: float | None = None
    given_up: bool = False
    retry_at: float = 0.0
    probe: int | None = None
    places: int = 0
    asked: bool = False
    pace: float | None = None
    next_at: float = 0.0
    left: int | None = None

    @property
    def down(self) -> bool:
        """Whether it is unavailable."""
        return self.down_since is not None

    @property
    def shared(self) -> bool:
        """Whether this shard has to agree with others about its requests."""
        return self.bounded or self.pace is not None

    @property
    def in_use(self) -> bool:
        """Whether rows make requests to it, or are about to."""
        return bool(self.fetching or self.coming)

    @property
    def idle(self) -> bool:
        """Whether no row has to do with it."""
        return not (self.waiting or self.in_use or self.probe is not None)

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.origin.partition("://")[2]

    def learn(self, state: HostState) -> None:
        """Take over what the catalogue knows."""
        now = time.monotonic()
        if state.down_s is None:
            if self.down:
                self.failed.clear()
            self.down_since = None
        else:
            self.down_since, self.retry_at = now - state.down_s, now + state.retry_s
        self.reason, self.given_up = state.reason, state.given_up
        self.bounded |= state.bounded
        self.asked = False
        if state.pace is None:
            self.pace = None
        elif self.pace is None:
            self.pace = state.pace

    def starts(self, row: int) -> bool:
        """Whether a row may make a request now; if so, the request counts."""
        self.coming.discard(row)
        if row in self.fetching:  # a redirect to itself
            return True
        if self.down:
            if row == self.probe:
                self.fetching.add(row)
            return row == self.probe
        now = time.monotonic()
        if now < self.next_at or len(self.fetching) >= self._most():
            return False
        self.fetching.add(row)
        if self.pace:
            self.next_at = max(now, self.next_at) + 1 / self.pace
        return True

    def room(self) -> int:
        """How many of the waiting rows may start now."""
        if self.given_up:
            return len(self.waiting)
        if self.down:
            return 0
        room = min(len(self.waiting), self._most() - len(self.fetching) - len(self.coming))
        if self.pace:
            room = min(room, 1 - len(self.coming))
        return max(0, room) if time.monotonic() >= self.next_at else 0

    def _most(self) -> int:
        """How many requests may be under way."""
        most = self.places if self.bounded else MOST_AT_ONCE
        return most if self.left is None else min(most, max(1, self.left))

    @property
    def may_probe(self) -> bool:
        """Whether it is time to ask it, as far as this shard knows."""
        free = not self.bounded or self.places > len(self.fetching)
        return self.down and not self.given_up and self.probe is None and free and time.monotonic() >= self.retry_at

    def demand(self) -> Demand:
        """Return what the shard has to do with it; without a wish for places, it gives back those it has."""
        if not self.shared:
            return Demand(len(self.waiting), 0, 0)
        rows = len(self.fetching) + len(self.coming) + len(self.waiting)
        wants = min(MOST_WANTED, rows, 1 if self.down else rows)
        if not wants:
            self.places = 0
        self.asked = wants > 0
        return Demand(len(self.waiting), wants, max(len(self.fetching), self.places))
