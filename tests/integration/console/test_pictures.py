"""Pictures of imported rows with a box around the face: as the face services' double places it."""

import io
from base64 import b64encode

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from face_console.pictures import BOX, PORTRAIT_SIDE
from face_import.catalogue import Catalogue
from face_import.contract import Code
from face_import.domain.models import Measurements, Outcome, OutcomeBatch, Shard
from face_import.domain.uri import display
from face_import.settings import Settings
from tests.doubles.images import Spec, make_image
from tests.doubles.process import FaceServices
from tests.unit.console.conftest import Create

SIZE = (1600, 1200)
FACE = (300, 200, 900, 1000)
SPEC: Spec = {"faces": [{"box": [10, 10, 60, 60]}, {"box": FACE}]}
CLOSE = 25
"""Difference of a channel that a JPEG may make."""
MEASURED = Measurements(faces=2, score=0.9, width=600, height=800)


@pytest.fixture
def settings(settings: Settings, services: FaceServices) -> Settings:
    """With the double as info service."""
    return settings.model_copy(update={"info_url": services.url})


def picture(spec: Spec, orientation: int = 1) -> bytes:
    """A plain JPEG with an EXIF orientation that says what the double is to answer."""
    exif = Image.Exif()
    exif[0x112] = orientation
    plain = io.BytesIO()
    Image.new("RGB", SIZE, "grey").save(plain, "JPEG", exif=exif)
    said = make_image(spec, (8, 8))
    comment = said[2 : 4 + int.from_bytes(said[4:6], "big")]
    return said[:2] + comment + plain.getvalue()[2:]


def portrait(
    client: FlaskClient, catalogue: Catalogue, create: Create, data: bytes, measured: Measurements
) -> TestResponse:
    """The picture with the face of an imported row."""
    uri = f"data:image/jpeg;base64,{b64encode(data).decode()}"
    made = create(f'"{uri}",t,d\n'.encode())
    assert made.status_code == 200, made.text
    task_id = made.json["id"]
    catalogue.plans.commit(task_id, [Shard(0, 1, 1, 0, 10**6, 1)], 1)
    catalogue.tasks.start(task_id)
    catalogue.leases.take(task_id, 0, "me", 10)
    outcome = Outcome(1, display(uri), Code.OK, face_id="f", measurements=measured)
    catalogue.ledger.write(OutcomeBatch(task_id, 0, "me", (outcome,)))
    answer = client.get(f"/console/thumbnail/{task_id}/1?face=1")
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    return answer


def box_in(data: bytes) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what is drawn in the colour of a box."""
    wanted = list(bytes.fromhex(BOX[1:]))
    with Image.open(io.BytesIO(data)) as shown:
        pixels = np.asarray(shown.convert("RGB"), dtype=int)
    rows, columns = np.nonzero((np.abs(pixels - wanted) < CLOSE).all(axis=2))
    return (columns.min(), rows.min(), columns.max(), rows.max()) if rows.size else None


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_box_is_where_a_viewer_sees_the_face(
    client: FlaskClient, catalogue: Catalogue, create: Create, orientation: int
) -> None:
    """Of the largest face, in the upright picture: also of one that is stored sideways, and scaled with it."""
    answer = portrait(client, catalogue, create, picture(SPEC, orientation), MEASURED)
    with Image.open(io.BytesIO(answer.data)) as shown:
        upright = SIZE if orientation in {1, 3} else SIZE[::-1]
        assert shown.size == tuple(side * PORTRAIT_SIDE // max(SIZE) for side in upright)
    box = box_in(answer.data)
    assert box is not None
    assert all(abs(drawn - edge / 4) <= 2 for drawn, edge in zip(box, FACE, strict=True)), box
    assert answer.headers["Cache-Control"] == "private, max-age=600"


@pytest.mark.parametrize(
    ("spec", "measured"),
    [
        (SPEC, Measurements(faces=2, score=0.9, width=610, height=800)),
        (SPEC, Measurements()),
        ({"faces": []}, MEASURED),
        ({"detect_code": 500}, MEASURED),
    ],
    ids=["another size", "not measured", "no face", "no answer"],
)
def test_no_box_is_drawn_around_another_face(
    client: FlaskClient, catalogue: Catalogue, create: Create, spec: Spec, measured: Measurements
) -> None:
    """The picture comes without one, and the browser asks again the next time."""
    answer = portrait(client, catalogue, create, picture(spec), measured)
    assert box_in(answer.data) is None
    assert answer.headers["Cache-Control"] == "no-cache, private"
