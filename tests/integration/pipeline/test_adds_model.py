"""A model of adds: whatever happens to them, a yes in the ledger is true, and nobody else's face goes (ADR 20).

A whole shard works on its rows with the real catalogue and clients; only what the two services answer is made up. The
library is strict, and knows who sent each face by its tag.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import event, select, text

from face_import.catalogue import Catalogue, Changed, ImportTask
from face_import.catalogue.attempts import undo_of
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import outcome
from face_import.clients.http import JsonService
from face_import.clients.keepalive import Answer
from face_import.contract import Code
from face_import.domain.failed_rows import FailedRows
from face_import.errors import LeaseLost, ServiceUnavailable, WrongState
from face_import.pipeline.opening import opened
from face_import.settings import Settings
from tests.doubles.images import make_image
from tests.integration.pipeline.conftest import Bench

PICTURES = [make_image({"n": n, "size": [48, 48]}) for n in range(6)]
OTHERS = "somebody else"
ROWS: Sequence[tuple[int, str]] = (
    *((n % 4, "") for n in range(6)),  # made ids; some pictures twice
    *((n % 6, f"id{n}") for n in range(6)),  # ids of their own
    (1, "id0"),  # one id twice, with another picture
    (2, "id2"),  # and with the same one
)
ANSWERS = ("ok", "lost", "lost", "lost late", "not done", "busy", "denied", "hang", "hang done", "hang late")
"""What becomes of an add: carried out and answered; carried out and not answered; not answered and carried out later;
neither; 503; 401; and not answered until the try is over: never carried out, at once, later."""
DOUBT = ("may be ours", "may be in the group", "may have added it", "may be carried out late")


LATE_S = 0.1
"""How long a delete may be carried out after it was sent."""


class Killed(LeaseLost):
    """What a dead process gets from its database."""


@dataclass
class Library:
    """A group, what is to become of the next adds, and what was ever put there: (id, picture, tag)."""

    faces: dict[str, tuple[str, str]] = field(default_factory=dict)
    put: set[tuple[str, str, str]] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    late: list[tuple[str, str, str]] = field(default_factory=list)
    late_deletes: list[tuple[float, str]] = field(default_factory=list)
    added_at: dict[str, float] = field(default_factory=dict)
    unique: bool = False
    features_first: bool = False
    searches: bool = True
    adds: int = 0
    hangs: int = 0

    def add(self, face_id: str, sha: str, tag: str) -> str:
        """Carry an add out; returns why not."""
        refusals = [("id already exists", face_id in self.faces)]
        refusals.append(("feature is already exist", self.unique and sha in {s for s, _ in self.faces.values()}))
        for why, applies in reversed(refusals) if self.features_first else refusals:
            if applies:
                return why
        self.faces[face_id] = (sha, tag)
        self.added_at[face_id] = time.monotonic()
        self.put.add((face_id, sha, tag))
        return ""

    async def post(self, service: JsonService, path: str, body: str, echoes: Sequence[str] = ()) -> dict[str, Any]:
        """Answer as the two services do, through the client's own reading of answers."""
        asked = json.loads(body)
        status, answer = 200, {}
        if path.endswith("facex-detect"):
            right = 1 + WIDTHS[_digest_of(asked["data"]["uri"])]
            pts = [[1, 1], [right, 1], [right, 40], [1, 40]]
            answer = {"code": 0, "result": {"detections": [{"pts": pts, "score": 0.9}]}}
        elif path.endswith("/add"):
            status, answer = await self._added(asked["image"])
        elif path.endswith("/search"):
            status, answer = self._found(asked)
        elif path.endswith("/delete"):
            status, answer = await self._deleted(*asked["ids"])
        return service._understood(Answer(status, "", {}, json.dumps(answer).encode()), echoes)

    async def _added(self, image: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.adds += 1
        how = self.answers.pop(0) if self.answers else "ok"
        add = (image["id"], _digest_of(image["uri"]), image["tag"])
        why = self.add(*add) if how in {"ok", "lost", "hang done"} else ""
        match how:
            case "lost" | "not done":
                raise ServiceUnavailable("reset")
            case "lost late":
                self.late.append(add)
                raise ServiceUnavailable("reset")
            case "hang" | "hang done" | "hang late":
                self.hangs += 1
                self.late += [add] * (how == "hang late")
                await asyncio.Event().wait()
            case "busy":
                return 503, {"error": "busy"}
            case "denied":
                return 401, {"error": "token expired"}
        return (400, {"error": why}) if why else (200, {"id": image["id"]})

    async def _deleted(self, face_id: str) -> tuple[int, dict[str, Any]]:
        self.adds += 1
        how = self.answers.pop(0) if self.answers else "ok"
        if how in {"ok", "lost", "hang done"}:
            self.faces.pop(face_id, None)
        self.late_deletes += [(time.monotonic(), face_id)] * how.endswith("late")
        match how:
            case "lost" | "lost late" | "not done":
                raise ServiceUnavailable("reset")
            case "hang" | "hang done" | "hang late":
                self.hangs += 1
                await asyncio.Event().wait()
            case "busy":
                return 503, {"error": "busy"}
            case "denied":
                return 401, {"error": "token expired"}
        return 200, {}

    def delete_late(self, after_s: float = LATE_S / 2) -> None:
        """Carry out deletes that were not answered, so long after they were sent."""
        now = time.monotonic()
        due = [(sent_at, face_id) for sent_at, face_id in self.late_deletes if now >= sent_at + after_s]
        for sent_at, face_id in due:
            ours = self.faces.pop(face_id, ("", OTHERS))[1] != OTHERS
            assert not ours or sent_at > self.added_at[face_id], f"{face_id} was added while a delete could hit it"
            self.late_deletes.remove((sent_at, face_id))

    def _found(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not self.searches:
            return 404, {"error": "page not found"}
        wanted = _digest_of(asked["images"][0])
        hits = [
            {"id": i, "score": 1.0, "tag": tag, "desc": ""} for i, (sha, tag) in self.faces.items() if sha == wanted
        ]
        return 200, {"search_results": [{"faces": [{"faces": hits[: asked["limit"]]}]}]}


def digest(data: bytes) -> str:
    """Name of a picture."""
    return hashlib.sha256(data).hexdigest()[:12]


def _digest_of(uri: str) -> str:
    return digest(base64.b64decode(uri.partition(",")[2]))


WIDTHS = {digest(picture): 10 + 5 * n for n, picture in enumerate(PICTURES)}
"""Of the face in each picture."""


def _post(library: Library) -> Any:
    async def post(service: JsonService, path: str, body: str, echoes: Sequence[str] = ()) -> dict[str, Any]:
        return await library.post(service, path, body, echoes)

    return post


class Adds(RuleBasedStateMachine):
    """Tries of one shard, and what others do to the group."""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.patch = TemporaryDirectory(), pytest.MonkeyPatch()
        self.configured = Settings(
            home=Path(self.folder.name),
            outage_patience_s=0.15,
            stop_grace_s=0.05,
            lease_renew_s=0.05,
            service_timeout_s=LATE_S,
        )
        migrate(self.configured.catalogue_url)
        self.catalogue = Catalogue.open(self.configured)
        self.dead = False
        self.ended: BaseException | None = None
        event.listen(self.catalogue.engine, "begin", self._begin, insert=True)
        self.library = Library()
        self.after_all: set[tuple[str, str, str]] = set()
        self.patch.setattr(JsonService, "_post", _post(self.library))
        self.patch.setattr("face_import.pipeline.outage.LONGEST_WAIT_S", 0.01)
        self.bench = Bench(self.configured, self.catalogue, None, None)  # type: ignore[arg-type]
        self.task = self._new_task()

    def _new_task(self) -> ImportTask:
        lines = [f'"data:image/jpeg;base64,{base64.b64encode(PICTURES[n]).decode()}"' for n, _ in ROWS]
        rows = [f"{uri},row-{n},{face_id}" for n, (uri, (_, face_id)) in enumerate(zip(lines, ROWS, strict=True), 1)]
        return self.bench.task(["uri,tag,id", *rows], thread_num=4)

    def _begin(self, _connection: object) -> None:
        if self.dead:
            raise Killed

    @rule(unique=st.booleans(), features_first=st.booleans(), searches=st.sampled_from([True, True, True, False]))
    def another_library(self, unique: bool, features_first: bool, searches: bool) -> None:
        """Libraries differ in what they check, in which order, and in whether they search."""
        self.library.unique, self.library.features_first = unique, features_first
        self.library.searches = searches

    @rule(
        answers=st.lists(st.sampled_from(ANSWERS), max_size=12),
        after=st.integers(1, 10),
        how=st.sampled_from(["end", "end", "kill", "kill", "stop", "terminate"]),
    )
    def work(self, answers: list[str], after: int, how: str) -> None:
        """A try: to its end, or until so many adds have come and it is killed, stopped or asked to end."""
        if self.catalogue.tasks.complete(self.task.id):
            return
        with suppress(WrongState):
            self.catalogue.tasks.start(self.task.id)
        self.task = self.catalogue.tasks.get(self.task.id)
        self._work_on(self.task, answers, after, how)

    def _work_on(self, task: ImportTask, answers: list[str], after: int, how: str) -> None:
        self.library.answers, self.library.hangs = list(answers), 0
        asyncio.run(self._try(task, self.library.adds + after, how))
        self.dead = False
        with self.catalogue.engine.begin() as connection:
            connection.execute(text("UPDATE shard SET lease_owner = NULL"))

    async def _try(self, task: ImportTask, until: int, how: str) -> None:
        work = self.bench.work(task, self.catalogue.ledger.write)
        async with opened(work, self.catalogue, self.configured) as attempt:
            self.library.delete_late()
            trying = asyncio.ensure_future(attempt.run())
            while not trying.done() and not self.library.hangs and (how == "end" or self.library.adds < until):
                await asyncio.wait({trying}, timeout=0.005)
                self.library.delete_late()
            if how == "stop":
                with suppress(WrongState):
                    self.catalogue.tasks.stop(task.id)
            self.dead = how == "kill"
            attempt.stop("asked to")
            (self.ended,) = await asyncio.gather(trying, return_exceptions=True)

    @rule(codes=st.lists(st.sampled_from([Code.DUPLICATE_FACE, Code.DUPLICATE_ID, Code.LIBRARY_UNAVAILABLE])))
    def retry(self, codes: list[Code]) -> None:
        """Failed rows are to be tried again."""
        with suppress(WrongState):
            self.catalogue.reopening.reopen(self.task.id, FailedRows(tuple(codes)))

    @rule(width=st.sampled_from([0, 12, 18, 28, 99]))
    def limits(self, width: int) -> None:
        """The task is given another limit."""
        with suppress(WrongState):
            counted = self.catalogue.new_limits.count(self.task.id, Changed({"width": width}))
            assert self.catalogue.new_limits.apply(self.task.id, Changed({"width": width})).reopened == counted.reopened

    @rule(
        answers=st.lists(st.sampled_from(ANSWERS), max_size=12),
        after=st.integers(1, 10),
        how=st.sampled_from(["end", "end", "kill", "stop", "terminate"]),
        whole=st.booleans(),
    )
    def undo(self, answers: list[str], after: int, how: str, whole: bool) -> None:
        """A try at removing what the task has added, maybe all; once it is completed, nothing of that is there."""
        if whole and not self._being_undone():
            self.work([], 99, "end")
        if not self.catalogue.tasks.complete(self.task.id):
            with suppress(WrongState):
                self.catalogue.tasks.stop(self.task.id)
        try:
            undo = self.bench.undo(self.task)
        except WrongState:
            return
        before = self._claimed()
        self._work_on(undo, answers, after, how)
        if self.catalogue.tasks.complete(undo.id):
            kept = self.bench.failures(undo)
            assert {code for code, _ in kept.values()} <= {Code.REPLACED, Code.LIBRARY_UNAVAILABLE}
            there = {put for put in before if self.library.faces.get(put[0]) == put[1:]}
            assert len(there - self.after_all) <= len(kept)
            assert len(self._claimed()) <= len(kept)

    def _claimed(self) -> set[tuple[str, str, str]]:
        """What the ledger says that the task's rows have put there: id, picture, tag."""
        query = select(outcome.c.row, outcome.c.face_id).where(outcome.c.task_id == self.task.id, outcome.c.code == 0)
        with self.catalogue.engine.connect() as connection:
            found = connection.execute(query.where(outcome.c.face_id != "")).all()
        return {(face_id, digest(PICTURES[ROWS[row - 1][0]]), f"row-{row}") for row, face_id in found}

    @rule(row=st.sampled_from(range(6, len(ROWS))), picture=st.integers(0, 5))
    def others_add(self, row: int, picture: int) -> None:
        """Somebody else has a face under one of the file's ids, perhaps with the very picture."""
        self.library.add(ROWS[row][1], digest(PICTURES[picture]), OTHERS)

    @rule(which=st.integers(0, 20))
    def others_delete(self, which: int) -> None:
        """Somebody deletes a face, ours or not."""
        faces = sorted(self.library.faces, key=lambda face_id: self.library.faces[face_id][1])
        if faces:
            del self.library.faces[faces[which % len(faces)]]

    @rule()
    def late(self) -> None:
        """The library carries out what it had not answered."""
        self.library.delete_late(0)
        handled = self.catalogue.ledger.handled_rows(self.task.id, 1, len(ROWS))
        with self.catalogue.engine.connect() as connection:
            undone = (outcome.c.code == Code.OK) & (outcome.c.face_id == "")
            gone = select(outcome.c.row).where(outcome.c.task_id == self.task.id)
            narrow = set(connection.scalars(gone.where((outcome.c.code == Code.WIDTH) | undone)))
        for add in self.library.late:
            done, row = not self.library.add(*add), int(add[2].removeprefix("row-"))
            if done and (row in narrow or (row in handled and add[0].startswith(self.task.id))):
                self.after_all.add(add)  # of an id that we make nothing is noted before
        self.library.late.clear()

    @invariant()
    def the_ledger_is_true(self) -> None:
        """A row is 0 if and only if it put its picture there under its id; else what is open is said to be open."""
        with self.catalogue.engine.connect() as connection:
            found = connection.execute(
                select(outcome.c.row, outcome.c.code, outcome.c.face_id, outcome.c.message)
                .where(outcome.c.task_id == self.task.id)
                .where((outcome.c.code != Code.OK) | (outcome.c.face_id != ""))  # others were undone
            ).all()
        width = self.catalogue.tasks.get(self.task.id).config.limits.width
        for row, code, face_id, message in found:
            picture, own = ROWS[row - 1]
            put = (own or f"{self.task.id}-{row}", digest(PICTURES[picture]), f"row-{row}")
            narrow = WIDTHS[put[1]] < width
            assert code not in ({Code.OK} if narrow else {Code.WIDTH}), f"row {row}: {code} though limit {width}"
            if code == 0:
                assert face_id == put[0]
                assert put in self.library.put, f"row {row} did not put {put} there"
            elif self.library.faces.get(put[0]) == put[1:] and put not in self.after_all:
                assert any(words in message for words in DOUBT), f"row {row} did: {code} {message}"

    def _being_undone(self) -> bool:
        with self.catalogue.engine.connect() as connection:
            return undo_of(connection, self.task.id) is not None

    def teardown(self) -> None:
        """However it went, a last undisturbed try gives every row its outcome."""
        self.late()
        while self._being_undone():
            self.undo([], 99, "end", whole=False)
        self.work([], 99, "end")
        while isinstance(self.ended, LeaseLost):  # a busy machine
            self.work([], 99, "end")
        complete = self.catalogue.tasks.complete(self.task.id)
        assert complete or self.catalogue.tasks.get(self.task.id).state == 4, self.ended
        self.the_ledger_is_true()
        self.catalogue.engine.dispose()
        self.patch.undo()
        self.folder.cleanup()


TestAdds = Adds.TestCase
TestAdds.settings = settings(
    max_examples=100, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
