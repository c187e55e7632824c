"""Waiting out an outage: how long, how often, and what the shard sees of it."""

import time

import pytest

from face_import.errors import ServiceRefusal, ServiceUnavailable
from face_import.pipeline.outage import OWN_FAULT_ATTEMPTS, Outage


class Flaky:
    """A call that fails until `until`, and counts."""

    def __init__(self, outage: Outage, fails: int, *, retry_after: float | None = None) -> None:
        self.outage = outage
        self.fails = fails
        self.retry_after = retry_after
        self.calls = 0
        self.seen_down: list[bool] = []

    async def __call__(self) -> str:
        """Fail or answer."""
        self.calls += 1
        self.seen_down.append(self.outage.down)
        if self.calls <= self.fails:
            raise ServiceUnavailable("away", retry_after=self.retry_after)
        return "answer"


async def test_a_service_that_comes_back_answers() -> None:
    """The call succeeds in the end; meanwhile the service counts as down, and afterwards as up."""
    outage = Outage("info", patience_s=20)
    call = Flaky(outage, fails=3)
    assert await outage.call(call) == "answer"
    assert call.seen_down == [False, True, True, True]
    assert not outage.down


async def test_the_patience_is_used_up_and_not_more() -> None:
    """A service that stays away is asked until the patience is over, also for the last bit of it."""
    outage = Outage("info", patience_s=1.0)
    call = Flaky(outage, fails=10**6)
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable):
        await outage.call(call)
    assert 1.0 <= time.monotonic() - began < 5
    assert call.calls >= 3
    assert outage.down


async def test_a_refusal_is_an_answer() -> None:
    """A definite no shows that the service is up, also after a failure."""
    outage = Outage("info", patience_s=5)
    outage.down = True

    async def refuse() -> str:
        raise ServiceRefusal("no")

    with pytest.raises(ServiceRefusal):
        await outage.call(refuse)
    assert not outage.down


async def test_retry_after_is_waited_for() -> None:
    """The service's own wish is longer than the backoff and is kept."""
    outage = Outage("info", patience_s=10)
    call = Flaky(outage, fails=1, retry_after=0.8)
    began = time.monotonic()
    await outage.call(call)
    assert time.monotonic() - began >= 0.8


async def test_a_wish_beyond_the_patience_is_waited_for_as_long_as_that() -> None:
    """A service that wants to be left alone for an hour must not have all rows of a shard fail at once."""
    outage = Outage("info", patience_s=0.8)
    call = Flaky(outage, fails=10, retry_after=3600)
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable):
        await outage.call(call)
    assert time.monotonic() - began >= 0.8
    assert call.calls == 2


async def test_what_a_service_fails_at_again_and_again_is_the_rows_own() -> None:
    """A picture that a service answers with 500, while others get answers, costs its row, and not the patience."""
    outage = Outage("info", patience_s=60)
    others = Flaky(outage, fails=0)
    attempts = 0

    async def fail() -> str:
        nonlocal attempts
        attempts += 1
        await outage.call(others)
        raise ServiceUnavailable("500 Internal Server Error", internal=True)

    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="500"):
        await outage.call(fail)
    assert OWN_FAULT_ATTEMPTS <= attempts <= OWN_FAULT_ATTEMPTS + 1
    assert time.monotonic() - began < 50


async def test_who_sends_hears_of_each_attempt_that_was_not_answered() -> None:
    """An add that may have been carried out is in doubt for good."""
    outage, heard = Outage("library", patience_s=20), list[bool]()
    call = Flaky(outage, fails=2)
    await outage.call(call, lambda error: heard.append(error.sent))
    assert heard == [True, True]
