"""New limits over a ledger of random measurements: each row becomes what `judge` says, on SQLite and PostgreSQL."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
from sqlalchemy import event, select, update

from face_import.catalogue import Affected, Catalogue, Changed, new_limits
from face_import.catalogue.schema import import_task, outcome
from face_import.contract import Code, Reason, TaskState
from face_import.domain.limits import Missing, judge
from face_import.domain.models import Limits, Measurements, Outcome, OutcomeBatch, Sent
from face_import.errors import WrongState
from tests.conftest import MakeTask
from tests.integration.catalogue.test_measured import BESIDE, OWN, ROWS, catalogue, outcomes

__all__ = ["catalogue"]
BY_LIMITS = {Code.SEVERAL_FACES, Code.WIDTH, Code.HEIGHT, Code.PITCH, Code.YAW, Code.ROLL, Code.BLUR}
NAMES = [limit.name for limit in fields(Limits)]


def ledger_of(dice: random.Random, *, faces: bool = True) -> list[Outcome]:
    """Rows as an import under `OWN` leaves them, those that the library refused with that reason."""
    refused = "the face library refuses"
    rows = [replace(o, reason=Reason.REFUSED) if o.code and refused in o.message else o for o in outcomes(dice, BESIDE)]
    return [replace(o, face_id=f"id-{o.row}" if o.code == Code.OK and faces else "") for o in rows]


def ended(catalogue: Catalogue, make_task: MakeTask, rows: list[Outcome], *, dry: bool = False) -> str:
    """A completed task with these outcomes, in three shards."""
    task = make_task(shards=3, rows=ROWS // 3, limits=OWN)
    with catalogue.engine.begin() as connection:
        connection.execute(update(import_task).where(import_task.c.id == task.id).values(dry_run=int(dry)))
    write(catalogue, task.id, rows)
    assert catalogue.tasks.complete(task.id)
    return task.id


def write(catalogue: Catalogue, task_id: str, rows: list[Outcome]) -> None:
    """Write outcomes as tries of the shards do."""
    for shard in catalogue.plans.shards(task_id):
        catalogue.leases.take(task_id, shard.number, "me", 10)
        some = tuple(o for o in rows if shard.first_row <= o.row <= shard.last_row)
        catalogue.ledger.write(OutcomeBatch(task_id, shard.number, "me", some))
        catalogue.leases.give_back(task_id, shard.number, "me", in_doubt=False)


def run(catalogue: Catalogue, task_id: str, rows: list[Outcome], limits: Limits) -> None:
    """What a run does with rows without an outcome: it measures what is missing (here: nothing speaks against it)."""
    before = {o.row: o for o in rows}
    handled = catalogue.ledger.handled_rows(task_id, 1, ROWS)
    noted = catalogue.journal.of_rows(task_id, 1, ROWS)
    done: list[Outcome] = []
    for row in set(before) - handled:
        if row in noted:
            assert noted[row].removal is not None
            assert noted[row].removal.measured == before[row].measurements
            assert noted[row].face_id == before[row].face_id
        found = judge(before[row].measurements, limits)
        while isinstance(found, Missing):
            found = judge(full(before[row].measurements), limits)
        code, text = found or (Code.OK, "")
        done.append(replace(before[row], code=code, message=text, reason=None, face_id="" if code else f"id-{row}"))
    if catalogue.tasks.get(task_id).state == TaskState.STOPPED:
        catalogue.tasks.start(task_id)
        write(catalogue, task_id, done)


def full(measured: Measurements) -> Measurements:
    """The same with all that is not measured at its best."""
    best = {"faces": 1, "width": 10**5, "height": 10**5, "pitch": 0.0, "yaw": 0.0, "roll": 0.0, "blur": 0}
    return replace(measured, **{n: best[n] for n in best if getattr(measured, n) is None})  # type: ignore[arg-type]


def codes(catalogue: Catalogue, task_id: str) -> dict[int, int]:
    """Code of each row."""
    with catalogue.engine.connect() as connection:
        query = select(outcome.c.row, outcome.c.code).where(outcome.c.task_id == task_id)
        return dict(connection.execute(query).all())


def expected(rows: list[Outcome], limits: Limits, *, dry: bool) -> tuple[Affected, dict[int, int | None]]:
    """By `judge`, row by row: the counts, and the code that each row has then; None for none yet."""
    counts: Counter[str] = Counter()
    then: dict[int, int | None] = {}
    for o in rows:
        found, faceless = judge(o.measurements, limits), not o.face_id
        wanted = None if isinstance(found, Missing) else int(found[0]) if found else 0
        then[o.row] = int(o.code)
        if o.code and (o.code not in BY_LIMITS or o.reason is Reason.REFUSED):
            continue
        if isinstance(found, Missing):
            if o.code == Code.OK and (dry or not faceless):
                counts["unmeasured"] += 1
            else:
                counts["reopened"] += 1
                then[o.row] = None
        elif found is None and not dry and (o.code or faceless):
            counts["reopened"] += 1
            then[o.row] = None
        elif found is not None and not o.code and not faceless:
            counts["removed"] += 1
            then[o.row] = None
        elif wanted != o.code:
            counts["rejudged"] += 1
            then[o.row] = wanted
    return Affected(**counts), then


def some_limits(dice: random.Random, number: int) -> list[Limits]:
    """None, the task's own, each alone, and random ones."""
    wanted = [Limits(), OWN, *(Limits(**{name: 30}) for name in NAMES)]
    return wanted + [Limits(*(dice.choice([0, dice.randint(1, 100)]) for _ in NAMES)) for _ in range(number)]


@pytest.mark.parametrize("kind", ["faces", "dry", "made real"])
def test_what_judge_says_is_what_becomes_of_each_row(catalogue: Catalogue, make_task: MakeTask, kind: str) -> None:
    """For any limits: the counts, what is touched and what is not, and after the run a second time changes nothing."""
    dice = random.Random(32)  # noqa: S311 - the same rows each time
    for limits in some_limits(dice, 3):
        rows = ledger_of(dice, faces=kind == "faces")
        task_id = ended(catalogue, make_task, rows, dry=kind != "faces")
        changed = Changed({name: getattr(limits, name) for name in NAMES}, real=kind == "made real")
        affected, then = expected(rows, limits, dry=kind == "dry")
        assert catalogue.new_limits.count(task_id, changed) == affected, limits
        assert catalogue.tasks.get(task_id).config.limits == OWN
        assert catalogue.new_limits.apply(task_id, changed) == affected
        assert codes(catalogue, task_id) == {row: code for row, code in then.items() if code is not None}
        task, handled = catalogue.tasks.get(task_id), sum(code is not None for code in then.values())
        assert (task.config.limits, task.config.scope.dry_run) == (limits, int(kind == "dry"))
        assert catalogue.ledger.progress(task_id).handled == handled
        run(catalogue, task_id, rows, limits)
        for row, code in codes(catalogue, task_id).items():
            found = judge(rows[row - 1].measurements, limits)
            judged_by_limits = code == Code.OK or (code in BY_LIMITS and rows[row - 1].reason is not Reason.REFUSED)
            if judged_by_limits and not isinstance(found, Missing):
                assert code == (found[0] if found else 0), f"row {row} under {limits}"
        assert catalogue.tasks.complete(task_id) or catalogue.tasks.get(task_id).state == TaskState.COMPLETED


def test_what_was_changed_is_not_changed_again(catalogue: Catalogue, make_task: MakeTask) -> None:
    """Where everything is measured, the same limits concern no row any more once they are applied."""
    dice = random.Random(5)  # noqa: S311 - the same rows each time
    rows = [replace(o, measurements=full(o.measurements)) for o in ledger_of(dice)]
    task_id = ended(catalogue, make_task, rows)
    changed = Changed({"pos_yaw": 12, "width": 0})
    assert catalogue.new_limits.apply(task_id, changed).removed
    run(catalogue, task_id, rows, catalogue.tasks.get(task_id).config.limits)
    assert catalogue.tasks.complete(task_id)
    assert catalogue.new_limits.apply(task_id, changed) == Affected()
    assert catalogue.tasks.get(task_id).state == TaskState.COMPLETED


def test_an_add_that_may_have_been_sent_stays_in_doubt(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A row that breaks another limit now may be in the group as before: the message says so, and the journal."""
    task = make_task(rows=3, limits=Limits(width=60))
    assert catalogue.leases.take(task.id, 0, "me", 3)
    own = Sent(1, "alice", b"a")
    catalogue.journal.note(task.id, 0, "me", [own])
    narrow = "width 30 px is below 60 px"
    rows = [Outcome(row, "", Code.WIDTH, narrow, measurements=Measurements(4, width=30)) for row in (1, 2, 3)]
    made_id = f"{task.id}-2"
    doubted = (rows[0].in_doubt("alice"), rows[1].in_doubt(made_id), rows[2])
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", doubted))
    assert catalogue.tasks.complete(task.id)
    assert catalogue.new_limits.apply(task.id, Changed({"faces": 1})).rejudged == 3
    several, doubt = "4 faces, at most 1 is allowed", "an earlier try may have added it as"
    assert [(entry.code, entry.message) for entry in catalogue.ledger.log(task.id)] == [
        (208, f"{several}; {doubt} 'alice'"),
        (208, f"{several}; {doubt} {made_id!r}"),
        (208, several),
    ]
    assert catalogue.journal.of_rows(task.id, 1, 3) == {1: own}


class Died(Exception):
    """The process was killed."""


@pytest.fixture
def dying(catalogue: Catalogue) -> Iterator[list[int]]:
    """The process dies at the commit of the transaction that is counted down to."""
    left = [10**6]

    def commit(_connection: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Died

    event.listen(catalogue.engine, "commit", commit)
    yield left
    event.remove(catalogue.engine, "commit", commit)


@pytest.mark.parametrize("transactions", range(6))
@pytest.mark.parametrize("starts", [False, True], ids=["again", "started first"])
@pytest.mark.parametrize("kind", ["faces", "made real"])
def test_cut_short_anywhere(  # noqa: PLR0917 - fixtures and parameters
    catalogue: Catalogue,
    make_task: MakeTask,
    dying: list[int],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    starts: bool,
    transactions: int,
) -> None:
    """Started or not in between, the same request does the rest; a dry run is real only when all is reopened."""
    monkeypatch.setattr(new_limits, "JUDGE_ROWS", ROWS // 3)
    limits = Limits(pos_pitch=20, pos_yaw=40, width=70)
    rows = ledger_of(random.Random(7), faces=kind == "faces")  # noqa: S311 - the same rows each time
    task_id = ended(catalogue, make_task, rows, dry=kind != "faces")
    changed = Changed({name: getattr(limits, name) for name in NAMES}, real=True)
    dying[0] = transactions + 1  # reading commits too
    with pytest.raises(Died):
        catalogue.new_limits.apply(task_id, changed)
    dying[0] = 10**6
    task, progress = catalogue.tasks.get(task_id), catalogue.ledger.progress(task_id)
    assert len(codes(catalogue, task_id)) == progress.handled
    assert task.config.scope.dry_run == int(kind != "faces")
    if task.state == TaskState.STOPPED:
        assert "was cut short" in task.last_error
        assert task.config.limits == limits
        if starts and kind == "faces":
            run(catalogue, task_id, rows, limits)
            assert catalogue.tasks.complete(task_id)
    else:
        assert (transactions, progress.handled) == (0, ROWS)
    catalogue.new_limits.apply(task_id, changed)
    run(catalogue, task_id, rows, limits)
    assert catalogue.tasks.get(task_id).config.scope.dry_run == 0
    assert catalogue.tasks.complete(task_id) or catalogue.tasks.get(task_id).state == TaskState.COMPLETED
    _, then = expected(rows, limits, dry=False)
    assert {row: code for row, code in codes(catalogue, task_id).items() if then[row] is not None} == {
        row: code for row, code in then.items() if code is not None
    }


def test_only_what_has_ended(catalogue: Catalogue, make_task: MakeTask) -> None:
    """A running task is refused."""
    running = make_task()
    for ask in (catalogue.new_limits.count, catalogue.new_limits.apply):
        with pytest.raises(WrongState, match="is running"):
            ask(running.id, Changed({"width": 3}))


def test_given_other_limits_in_the_middle(
    catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was slept over does not go on by its own limits."""
    task_id = ended(catalogue, make_task, ledger_of(random.Random(1)))  # noqa: S311 - any rows
    portions = catalogue.new_limits._portions

    def slept_over(task_id: str) -> object:
        with catalogue.engine.begin() as connection:
            connection.execute(update(import_task).where(import_task.c.id == task_id).values(width=9))
        return portions(task_id)

    monkeypatch.setattr(catalogue.new_limits, "_portions", slept_over)
    with pytest.raises(WrongState, match="other limits meanwhile"):
        catalogue.new_limits.apply(task_id, Changed({"width": 100}))
