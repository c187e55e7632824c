"""One row's way: every code where it belongs, with the measured value and the limit in its message."""

import base64
import io
import json
from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np
import pytest
from PIL import Image

from face_import.catalogue import Selection
from face_import.clients.services import InfoService, LibraryService
from face_import.contract import Reason, Rows
from face_import.domain.models import Face, Limits, Scope
from face_import.domain.uri import DataUri
from tests import kinds
from tests.conftest import NO_LIMITS
from tests.doubles.images import make_image
from tests.integration.pipeline.conftest import Bench

LIMITS = Limits(pos_pitch=20, pos_yaw=30, pos_rol=25, width=80, height=90)


def box(width: int, height: int) -> list[dict[str, Any]]:
    """One face of this size."""
    return [{"box": [0, 0, width, height]}]


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"faces": []}, 201, "no face found"),
        ({"faces": box(79, 200)}, 205, "width 79 px is below 80 px"),
        ({"faces": box(79, 89)}, 205, "width 79 px is below 80 px"),
        ({"faces": box(200, 89)}, 206, "height 89 px is below 90 px"),
        ({"pose": [-20.5, 0, 0]}, 202, "pitch -20.5° exceeds 20°"),
        ({"pose": [0, -41.2, 0]}, 203, "yaw -41.2° exceeds 30°"),
        ({"pose": [0, 0, 25.1]}, 204, "roll 25.1° exceeds 25°"),
        ({"pose": [90, 90, 90]}, 202, "pitch 90.0° exceeds 20°"),
        ({"pose": None}, 202, "pose unknown: the face is blurred, half covered or seen from the side; pitch limit 20°"),
        ({"detect_code": 500, "detect_message": "inference failed"}, 301, "inference failed"),
        ({"add": "No face found"}, 201, "No face found"),
        ({"add": "feature is already exist"}, 103, "feature is already exist"),
        ({"add": "face size < 50"}, 205, "face size < 50"),
        ({"faces": box(200, 100), "add": "face size < 50"}, 206, "face size < 50"),
        ({"add": "blur"}, 207, "blur"),
        ({"add": "covered"}, 201, "covered"),
        ({"add": "multiple face detected"}, 208, "multiple face detected"),
        ({"pose": [1, 2, -9], "add": "pose"}, 204, "pose"),
        ({"add": "decode image failed"}, 302, "decode image failed"),
        (
            {
                "detect_answer": {
                    "result": {"detections": [{"pts": [[-1e308, 0], [1e308, 0], [1e308, 9], [-1e308, 9]]}]}
                }
            },
            301,
            "is not a number from",
        ),
    ],
    ids=str,
)
async def test_a_bad_face_gets_its_code(bench: Bench, spec: dict[str, Any], code: int, message: str) -> None:
    """What the services say of a face becomes the row's code and message."""
    task = bench.task([f"{bench.images.image(**spec)},t,d"], limits=LIMITS)
    await bench.run(task)
    assert bench.failures(task)[1][0] == code
    assert message in bench.failures(task)[1][1]


async def test_what_cannot_be_fetched_or_opened(bench: Bench) -> None:
    """101 and 102 and 303 never reach a service, whatever is wrong with the row."""
    host = bench.images.url
    lines = [
        f"{host}/missing,,",
        ",tag,without uri",
        "no-such-scheme://x,,",
        f"{host}/text,,",
        f"{host}/broken,,",
        "data:image/png;base64,####,,",
        f"{host}/ok/1.jpg,,,too,many",
    ]
    task = bench.task([line.replace("data:image/png;base64,####", '"data:image/png;base64,####"') for line in lines])
    await bench.run(task)
    codes = {row: code for row, (code, _) in bench.failures(task).items()}
    assert codes == {1: 101, 2: 101, 3: 101, 4: 102, 5: 102, 6: 101, 7: 303}
    assert [entry.reason for entry in bench.catalogue.ledger.log(task.id)] == [
        Reason.NOT_FOUND,
        Reason.INVALID_URI,
        Reason.INVALID_URI,
        Reason.NOT_AN_IMAGE,
        Reason.UNREADABLE_IMAGE,
        Reason.INVALID_URI,
        "",
    ]
    assert bench.failures(task)[4][1] == "a web page, not an image: is it behind a login?"
    assert set(bench.services.record()["by_kind"]) == {"create"}


async def test_a_refusal_of_a_service_has_a_reason(bench: Bench) -> None:
    """As has one that does not answer."""
    lines = [f"{bench.images.image(n=1, add='decode image failed')},t,d", f"{bench.images.image(n=2, faces=[])},t,d"]
    task = bench.task(lines)
    await bench.run(task)
    entries = [(entry.code, entry.reason) for entry in bench.catalogue.ledger.log(task.id)]
    assert entries == [(302, Reason.REFUSED), (201, "")]


async def test_all_three_kinds_of_uri_are_imported(bench: Bench) -> None:
    """A data URI takes the same way as a fetched picture; the log never shows its bytes."""
    picture = base64.b64encode(make_image({"n": 5})).decode()
    bad = base64.b64encode(make_image({"faces": []})).decode()
    task = bench.task(
        [
            f"{bench.images.url}/ok/1.jpg,,",
            f'"data:image/jpeg;base64,{picture}",,',
            f'"data:image/jpeg;base64,{bad}",,',
        ]
    )
    await bench.run(task)
    assert bench.succeeded(task) == 2
    (entry,) = bench.catalogue.ledger.log(task.id)
    assert entry.code == 201
    assert len(entry.uri) < 200
    assert "sha256" in entry.uri


async def test_a_cell_that_was_spoilt_says_by_what(bench: Bench) -> None:
    """The log names the cause, whatever the size of the cell, and its lines stay short."""
    image = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(image, "JPEG", quality=95)
    text = base64.b64encode(image.getvalue()).decode()
    whole = f"data:image/jpeg;base64,{text}"
    assert len(whole) > 32_767 + 4
    cells = [
        whole[:32_767],
        whole[:32_768],
        text,
        f"{bench.images.url}/missing?a=1&amp;b=2",
        f"{bench.images.url}/ok/1.jpg {bench.images.url}/ok/2.jpg",
        f"{bench.images.url}/missing?{'a' * 3000}",
    ]
    task = bench.task([f'"{cell}",,' for cell in cells])
    await bench.run(task)
    failures = bench.failures(task)
    assert [failures[row][0] for row in range(1, 7)] == [102, 101, 101, 101, 101, 101]
    expected = ["32,767", "", "bare base64", "&amp;", "two URLs", "404"]
    assert [words in failures[row][1] for row, words in enumerate(expected, 1)] == [True] * 6
    assert "32,767" not in failures[2][1]
    assert all(len(json.dumps(entry._asdict())) < 2000 for entry in bench.catalogue.ledger.log(task.id))


async def test_the_largest_face_counts_and_all_are_counted(bench: Bench) -> None:
    """Of several faces the largest is measured and added."""
    faces = [{"box": [0, 0, 50, 50]}, {"box": [60, 0, 300, 240]}, {"box": [0, 60, 55, 110]}]
    task = bench.task([f"{bench.images.image(faces=faces)},,"], limits=Limits(width=100))
    await bench.run(task)
    assert bench.succeeded(task) == 1
    assert bench.services.record()["violations"] == []


async def test_an_image_of_several_faces_is_refused_if_it_may_show_one(bench: Bench) -> None:
    """Before anything else is measured; nothing is added, and an image of one face is."""
    faces = [{"box": [0, 0, 50, 50]}, {"box": [60, 0, 300, 240]}]
    lines = [f"{bench.images.image(faces=faces[:n])},," for n in (2, 1)]
    task = bench.task(lines, limits=Limits(faces=1, pos_yaw=30))
    await bench.run(task)
    assert bench.failures(task) == {1: (208, "2 faces, at most 1 is allowed")}
    assert bench.services.record()["by_kind"]["pose"] == 1
    assert bench.services.record()["groups"] == {"staff": 1}


async def test_a_dry_run_measures_and_adds_nothing(bench: Bench) -> None:
    """Not even a face under an own id is noted, which other imports would take for one that may be there."""
    good, narrow = bench.images.image(), bench.images.image(faces=[{"box": [0, 0, 20, 300]}])
    task = bench.task(["uri,id", f"{good},alice", f"{narrow},bob"], limits=Limits(width=50), scope=Scope(dry_run=1))
    noted: list[object] = []
    await bench.run(task, observe=lambda _: noted.append(bench.catalogue.journal.of_rows(task.id, 1, 2)))
    assert bench.services.record()["by_kind"] == {"create": 1, "detect": 2, "pose": 2}
    assert bench.succeeded(task) == 1
    assert bench.failures(task) == {2: (205, "width 20 px is below 50 px")}
    assert noted
    assert not any(noted)
    results = bench.catalogue.outcomes.pages(task.id, Selection(Rows.ALL), 2)
    face_ids, poses = zip(*((row[4], row[9]) for row in chain.from_iterable(results)), strict=True)
    assert face_ids == ("", "")
    assert None not in poses


async def test_what_no_limit_needs_costs_no_row(bench: Bench) -> None:
    """A pose that the service refuses to measure is left out where it was only wanted."""
    image = bench.images.image(pose_answer={"code": 400, "message": "no landmarks"})
    for limits, done in ((NO_LIMITS, 1), (LIMITS, 0)):
        task = bench.task([f"{image},,"], scope=Scope(measure=1), limits=limits)
        await bench.run(task)
        assert bench.succeeded(task) == done, bench.failures(task)


async def test_no_pose_limit_no_pose_call(bench: Bench) -> None:
    """The second round trip is made only for a limit that needs it."""
    task = bench.task([f"{bench.images.url}/ok/1.jpg,,"], limits=Limits(width=10))
    await bench.run(task)
    assert bench.services.record()["by_kind"] == {"create": 1, "detect": 1, "add": 1}


async def test_blur_has_a_limit_of_its_own(bench: Bench) -> None:
    """A grey area is as blurred as can be."""
    task = bench.task([inline(kinds.file(Image.new("RGB", (200, 200), "grey"), "JPEG"))], limits=Limits(blur_degree=99))
    await bench.run(task)
    assert bench.failures(task)[1][0] == 207
    assert "exceeds 99" in bench.failures(task)[1][1]


async def test_ids_are_the_rows_own_or_made(bench: Bench) -> None:
    """An id column names the faces; an id that is there already is 104; made ids are task and row."""
    host = bench.images.url
    task = bench.task(["uri,id", f"{host}/ok/1.jpg,alice", f"{host}/ok/2.jpg,alice", f"{host}/ok/3.jpg,"], thread_num=1)
    await bench.run(task)
    assert {row: code for row, (code, _) in bench.failures(task).items()} == {2: 104}
    assert set(bench.services.record(all=1)["faces"]["staff"]) == {"alice", f"{task.id}-3"}


async def test_an_add_whose_answer_was_lost_is_a_success(bench: Bench) -> None:
    """The repeated add finds its own id, also one the row brought along."""
    bench.services.control(faults=[{"kind": "add", "action": "reset", "times": 2, "carry_out": True}])
    task = bench.task(["uri,id", f"{bench.images.url}/ok/1.jpg,alice"])
    await bench.run(task)
    assert bench.succeeded(task) == 1
    assert bench.services.record()["most_adds_of_an_id"] == 1


def inline(data: bytes) -> str:
    """A row whose picture is in the file."""
    return f'"data:application/octet-stream;base64,{base64.b64encode(data).decode()}",,'


async def test_the_first_frame_with_a_face_is_imported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An animation that fades in is searched, and the frame that was found is what is measured and added."""
    asked: list[float] = []
    added: list[float] = []

    def brightness(uri: str) -> float:
        with Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
            assert image.format == "JPEG"
            return float(np.asarray(image.convert("L")).mean())

    async def detect(_: InfoService, uri: DataUri) -> tuple[Face, ...]:
        asked.append(brightness(uri))
        return (Face(((10, 10), (60, 10), (60, 60), (10, 60)), 0.9),) if asked[-1] > 100 else ()

    async def add(_: LibraryService, group: str, face_id: str, image: DataUri, *rest: object) -> str:
        added.append(brightness(image))
        return face_id

    monkeypatch.setattr(InfoService, "detect", detect)
    monkeypatch.setattr(LibraryService, "add", add)
    ramp = np.tile(np.arange(64, dtype="uint8"), (64, 1))
    frames = [Image.new("L", (64, 64)), *(Image.fromarray(ramp + 40 * n) for n in range(4))]
    film = kinds.file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    dark = kinds.file(frames[0], "WEBP", save_all=True, append_images=frames[:3], lossless=True)
    task = bench.task([inline(film)], limits=Limits(blur_degree=100))
    await bench.run(task)
    assert asked == pytest.approx([0, 31.5, 71.5, 111.5], abs=2)
    assert added == pytest.approx([111.5], abs=2)
    asked.clear()
    task = bench.task([inline(dark)])
    await bench.run(task)
    assert asked == pytest.approx([0, 31.5, 71.5], abs=2)
    assert bench.failures(task) == {1: (201, "no face found")}


async def test_other_formats_are_sent_as_jpegs(bench: Bench) -> None:
    """A service that knows JPEG and little else is never sent anything that it cannot read."""
    task = bench.task([inline(kinds.SHALLOW[form]()) for form in ("AVIF", "HEIF", "JPEG2000", "TIFF")])
    await bench.run(task)
    assert bench.succeeded(task) == 4
    assert bench.services.record()["violations"] == []
