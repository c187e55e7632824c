"""Leases: one holder a shard, grants that never sum to more than thread_num."""

import doctest
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_import.catalogue import Catalogue, leases
from face_import.catalogue.leases import Leases, share_out
from face_import.errors import LeaseLost, TaskStopped
from tests.conftest import MakeTask


@given(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=30))
def test_share_out_gives_all_it_can_and_to_nobody_too_much(slots: int, wants: list[int]) -> None:
    """Every slot that anybody wants is given, nobody gets more than wanted, and the hungry share fairly."""
    grants = share_out(slots, wants)
    assert sum(grants) == min(slots, sum(wants))
    assert all(0 <= grant <= want for grant, want in zip(grants, wants, strict=True))
    unsatisfied = [g for g, w in zip(grants, wants, strict=True) if g < w]
    assert max(unsatisfied, default=0) <= 2 * min(unsatisfied, default=0) + 3


def test_share_out_is_as_its_examples_say() -> None:
    """The examples in the docstring hold."""
    assert doctest.testmod(leases).failed == 0


def test_a_shard_has_one_holder(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A second try gets the lease only once the first has given it back."""
    task, leases = make_task(), catalogue.leases
    assert leases.take(task.id, 0, "first", 10) is not None
    assert leases.take(task.id, 0, "second", 10) is None
    leases.give_back(task.id, 0, "first", in_doubt=False)
    assert leases.take(task.id, 0, "second", 10) is not None


def test_a_lease_runs_out_and_cannot_be_renewed(catalogue: Catalogue, make_task: MakeTask) -> None:
    """The successor of a dead try waits for its lease's end, and the dead one has lost it."""
    task, leases = make_task(), Leases(catalogue.engine, ttl_s=0.2)
    lease = leases.take(task.id, 0, "first", 10)
    assert lease is not None
    leases.renew(task.id, 0, "first", lease.attempt, wants=10, using=10)
    deadline = time.monotonic() + 5
    while not (held := leases.held(task.id, 0)) or not held.expired:
        assert time.monotonic() < deadline
    assert leases.take(task.id, 0, "second", 10) is None  # the clock alone proves nothing
    assert leases.take(task.id, 0, "second", 10, instead_of=held._replace(until=held.until - 1)) is None
    assert leases.take(task.id, 0, "second", 10, instead_of=held) is not None
    with pytest.raises(LeaseLost):
        leases.renew(task.id, 0, "first", lease.attempt, wants=10, using=10)


def test_a_shard_is_in_doubt_after_a_try_that_ended_without_a_word(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Who gives its lease back says what is in doubt; who does not leaves every row without an outcome so."""
    task, leases = make_task(), catalogue.leases

    def take(owner: str) -> bool:
        lease = leases.take(task.id, 0, owner, 10, instead_of=leases.held(task.id, 0))
        assert lease is not None
        return lease.in_doubt

    assert not take("a")
    leases.give_back(task.id, 0, "a", in_doubt=False)
    assert not take("b")
    assert take("c")
    leases.give_back(task.id, 0, "b", in_doubt=False)
    leases.give_back(task.id, 0, "c", in_doubt=True)
    assert take("d")


def test_grants_move_only_once_they_are_free(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A newcomer gets its share when the holder has come down to the smaller grant, never before."""
    task, leases = make_task(shards=2), catalogue.leases
    first = leases.take(task.id, 0, "a", 10)
    second = leases.take(task.id, 1, "b", 10)
    assert first is not None
    assert second is not None
    assert (first.grant, second.grant) == (10, 0)

    def renew(number: int, owner: str, using: int) -> int:
        return leases.renew(task.id, number, owner, 1, wants=10, using=using).grant

    assert renew(0, "a", 10) == 7
    assert renew(1, "b", 0) == 0
    assert renew(0, "a", 7) == 7
    assert renew(1, "b", 0) == 3


def test_a_changed_thread_num_reaches_the_holder(catalogue: Catalogue, make_task: MakeTask) -> None:
    """The next renewal after a change brings the new number."""
    task, leases = make_task(), catalogue.leases
    leases.take(task.id, 0, "a", 10)
    catalogue.tasks.configure(task.id, thread_num=3)
    assert leases.renew(task.id, 0, "a", 1, wants=10, using=10).grant == 3


@pytest.mark.parametrize("how", ["stop", "mark_deleted"])
def test_a_stopped_or_deleted_task_starts_no_row(catalogue: Catalogue, make_task: MakeTask, how: str) -> None:
    """The holder hears of it at its next renewal and keeps the lease while it ends its rows; nobody else begins."""
    task, leases = make_task(), catalogue.leases
    leases.take(task.id, 0, "a", 10)
    getattr(catalogue.tasks, how)(task.id)
    lease = leases.renew(task.id, 0, "a", 1, wants=10, using=4)
    assert not lease.running
    assert lease.grant == 0
    assert leases.live(task.id) == 1
    with pytest.raises(TaskStopped):
        leases.take(task.id, 0, "b", 10)


def test_an_old_attempt_starts_no_row_after_a_new_start(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A stop and a start between two renewals are noticed by the attempt, not only by the state."""
    task, leases = make_task(), catalogue.leases
    leases.take(task.id, 0, "a", 10)
    catalogue.tasks.stop(task.id)
    catalogue.tasks.start(task.id)
    assert not leases.renew(task.id, 0, "a", 1, wants=10, using=4).running
    assert leases.take(task.id, 0, "b", 10) is None
