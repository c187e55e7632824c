"""When task instances that are queued mean that nothing starts any more."""

import pytest

from face_import import stalls
from face_import.settings import Settings
from face_import.stalls import AGAIN_AFTER_S, Revival, StallWatch

STALL_S = 20.0


class Executor:
    """Airflow as far as the watch asks it, its clock, and what was started anew."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.busy = 0
        self.now = 1000.0
        self.revived: list[int] = []
        self.stuck = True

    def queued(self) -> list[str]:
        """What waits."""
        return self.ids

    def running(self) -> int:
        """What runs."""
        return self.busy

    def revive(self, instances: int) -> bool:
        """Start it anew."""
        if self.stuck:
            self.revived.append(instances)
        return self.stuck


@pytest.fixture
def executor() -> Executor:
    """An executor of four slots, with two task instances queued and one running."""
    made = Executor()
    made.ids, made.busy = ["a", "b"], 1
    return made


@pytest.fixture
def watch(settings: Settings, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> StallWatch:
    """A watch with the executor's clock."""
    monkeypatch.setattr(stalls.time, "monotonic", lambda: executor.now)
    return StallWatch(settings, executor, Revival(executor.revive, 4, STALL_S))  # type: ignore[arg-type]


def passes(watch: StallWatch, executor: Executor, seconds: float) -> None:
    """Look every five seconds for so long."""
    for _ in range(int(seconds // 5)):
        executor.now += 5
        watch.look()


def test_queued_beside_a_free_slot_for_too_long(watch: StallWatch, executor: Executor) -> None:
    """It is started anew, told what to expect, and has time to come up before that is done again."""
    passes(watch, executor, STALL_S)
    assert executor.revived == []
    passes(watch, executor, 10)
    assert executor.revived == [3]
    passes(watch, executor, AGAIN_AFTER_S - 10)
    assert executor.revived == [3]
    passes(watch, executor, 20)
    assert executor.revived == [3, 3]


def test_a_slot_for_each_that_starts_is_no_stall(watch: StallWatch, executor: Executor) -> None:
    """The queue is never empty, but others start; or all slots are taken; or each has its process."""
    for number in range(20):
        executor.ids = [str(number), str(number + 1)]
        passes(watch, executor, 5)
    for number in range(20):
        executor.ids = ["waits", str(number), str(number + 1)]
        passes(watch, executor, 5)
    executor.ids, executor.busy = ["a", "b"], 4
    passes(watch, executor, 100)
    executor.busy, executor.stuck = 1, False
    passes(watch, executor, 100)
    assert executor.revived == []


def test_time_on_a_full_disk_does_not_count(settings: Settings, executor: Executor, watch: StallWatch) -> None:
    """There the scheduler starts nothing, and has to write first once there is room."""
    passes(watch, executor, STALL_S)
    watch._settings = settings.model_copy(update={"min_free_bytes": 2**62})
    passes(watch, executor, 100)
    watch._settings = settings
    passes(watch, executor, STALL_S)
    assert executor.revived == []
