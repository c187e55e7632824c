"""A model of adds: whatever happens to them, a yes in the ledger is true, and nobody else's face goes (ADR 20).

A whole shard works on its rows with the real catalogue and clients; only what the two services answer is made up. The
library is strict, and knows who sent each face by its tag.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import event, select, text

from face_import.catalogue import Catalogue, ImportTask
from face_import.catalogue.engine import migrate
from face_import.catalogue.schema import outcome
from face_import.clients.http import JsonService
from face_import.clients.keepalive import Answer
from face_import.errors import LeaseLost, ServiceUnavailable, WrongState
from face_import.pipeline.opening import opened
from face_import.pipeline.shard import ShardWork
from face_import.settings import Settings
from face_import.sources.storage import Storage
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


class Killed(LeaseLost):
    """What a dead process gets from its database."""


@dataclass
class Library:
    """A group, what is to become of the next adds, and what was ever put there: (id, picture, tag)."""

    faces: dict[str, tuple[str, str]] = field(default_factory=dict)
    put: set[tuple[str, str, str]] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    late: list[tuple[str, str, str]] = field(default_factory=list)
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
        self.put.add((face_id, sha, tag))
        return ""

    async def post(self, service: JsonService, path: str, body: str, echoes: Sequence[str] = ()) -> dict[str, Any]:
        """Answer as the two services do, through the client's own reading of answers."""
        asked = json.loads(body)
        status, answer = 200, {}
        if path.endswith("facex-detect"):
            pts = [[1, 1], [40, 1], [40, 40], [1, 40]]
            answer = {"code": 0, "result": {"detections": [{"pts": pts, "score": 0.9}]}}
        elif path.endswith("/add"):
            status, answer = await self._added(asked["image"])
        elif path.endswith("/search"):
            status, answer = self._found(asked)
        assert not path.endswith("/delete"), "an import of all rows deletes nothing"
        return service._understood(Answer(status, "", {}, json.dumps(answer).encode()), echoes)

    async def _added(self, image: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.adds += 1
        how = self.answers.pop(0) if self.answers else "ok"
        add = (image["id"], digest(base64.b64decode(image["uri"].partition(",")[2])), image["tag"])
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

    def _found(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not self.searches:
            return 404, {"error": "page not found"}
        wanted = digest(base64.b64decode(asked["images"][0].partition(",")[2]))
        hits = [
            {"id": i, "score": 1.0, "tag": tag, "desc": ""} for i, (sha, tag) in self.faces.items() if sha == wanted
        ]
        return 200, {"search_results": [{"faces": [{"faces": hits[: asked["limit"]]}]}]}


def digest(data: bytes) -> str:
    """Name of a picture."""
    return hashlib.sha256(data).hexdigest()[:12]


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
            home=Path(self.folder.name), outage_patience_s=0.15, stop_grace_s=0.05, lease_renew_s=0.05
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
        self.task = self._new_task()

    def _new_task(self) -> ImportTask:
        lines = [f'"data:image/jpeg;base64,{base64.b64encode(PICTURES[n]).decode()}"' for n, _ in ROWS]
        rows = [f"{uri},row-{n},{face_id}" for n, (uri, (_, face_id)) in enumerate(zip(lines, ROWS, strict=True), 1)]
        bench = Bench(self.configured, self.catalogue, None, None)  # type: ignore[arg-type]
        return bench.task(["uri,tag,id", *rows], thread_num=4)

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
        self.library.answers, self.library.hangs = list(answers), 0
        asyncio.run(self._try(self.library.adds + after, how))
        self.dead = False
        with self.catalogue.engine.begin() as connection:
            connection.execute(text("UPDATE shard SET lease_until = 0"))

    async def _try(self, until: int, how: str) -> None:
        part = self.catalogue.plans.shards(self.task.id)[0]
        rows = Storage.of(self.configured).open_shard(self.task.id, part)
        work = ShardWork(self.task, part, str(uuid4()), rows, self.catalogue.ledger.write)
        async with opened(work, self.catalogue, self.configured) as attempt:
            trying = asyncio.ensure_future(attempt.run())
            while not trying.done() and not self.library.hangs and (how == "end" or self.library.adds < until):
                await asyncio.wait({trying}, timeout=0.005)
            if how == "stop":
                with suppress(WrongState):
                    self.catalogue.tasks.stop(self.task.id)
            self.dead = how == "kill"
            attempt.stop("asked to")
            (self.ended,) = await asyncio.gather(trying, return_exceptions=True)

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
        handled = self.catalogue.ledger.handled_rows(self.task.id, 1, len(ROWS))
        for add in self.library.late:
            done = not self.library.add(*add)
            if done and int(add[2].removeprefix("row-")) in handled and add[0].startswith(self.task.id):
                self.after_all.add(add)  # of an id that we make nothing is noted before
        self.library.late.clear()

    @invariant()
    def the_ledger_is_true(self) -> None:
        """A row is 0 if and only if it put its picture there under its id; else what is open is said to be open."""
        with self.catalogue.engine.connect() as connection:
            found = connection.execute(
                select(outcome.c.row, outcome.c.code, outcome.c.face_id, outcome.c.message)
            ).all()
        for row, code, face_id, message in found:
            picture, own = ROWS[row - 1]
            put = (own or f"{self.task.id}-{row}", digest(PICTURES[picture]), f"row-{row}")
            if code == 0:
                assert face_id == put[0]
                assert put in self.library.put, f"row {row} did not put {put} there"
            elif self.library.faces.get(put[0]) == put[1:] and put not in self.after_all:
                assert any(words in message for words in DOUBT), f"row {row} did: {code} {message}"

    def teardown(self) -> None:
        """However it went, a last undisturbed try gives every row its outcome."""
        self.late()
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
