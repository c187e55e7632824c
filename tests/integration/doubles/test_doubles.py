"""The doubles themselves: strict, countable, breakable, and gone when their parent is."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from face_import.domain.uri import to_data_uri
from tests.doubles.images import make_image, read_spec, spec_of_path, spec_path
from tests.doubles.process import CHECKOUT, FaceServices, ImageHost

PTS = [[1, 1], [9, 1], [9, 9], [1, 9]]
URI = to_data_uri(make_image({"task": "a"}))
DETECT = {"data": {"uri": URI}}


@pytest.fixture(scope="module")
def double() -> Iterator[FaceServices]:
    """Both face services."""
    with FaceServices() as running:
        yield running


@pytest.mark.parametrize("size", [(320, 240), (16, 16), (640, 480)])
def test_a_spec_survives_the_picture_and_the_path(size: tuple[int, int]) -> None:
    """What is written into a picture or a path is read from it; an ordinary picture has no spec."""
    spec = {"n": 3, "faces": [], "add": "é\u2028"}
    assert read_spec(make_image(spec, size)) == spec
    assert spec_of_path(spec_path(spec).rpartition("/")[2]) == spec
    assert read_spec(make_image()) == {}


def _add(**image: object) -> dict[str, object]:
    face = {"id": "", "uri": URI, "tag": "", "desc": "", "bounding_box": {"pts": PTS}, **image}
    return {"image": face, "params": {"reject_bad_face": False}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/eval/facex-detect", {"uri": URI}),
        ("/v1/eval/facex-detect", {"data": {"uri": "http://a/b.jpg"}}),
        ("/v1/eval/facex-detect", {"data": {"uri": URI + "#"}}),
        ("/v1/eval/facex-detect", {"data": {"uri": URI, "more": 1}}),
        ("/v1/eval/facex-pose", {"data": {"uri": URI, "attribute": {"detections": []}}}),
        ("/v1/eval/facex-pose", {"data": {"uri": URI, "attribute": {"detections": [{"pts": PTS[:3]}]}}}),
        ("/v1/face/groups/team/add", _add(id=7)),
        ("/v1/face/groups/team/add", _add(bounding_box={"pts": PTS[::-1]})),
        ("/v1/face/groups/team/add", _add(extra=1)),
        ("/v1/face/groups/T/add", _add()),
        ("/v1/face/groups/team", {"capacity": 1}),
    ],
)
def test_a_request_off_the_protocol_is_a_violation(double: FaceServices, path: str, body: object) -> None:
    """What a tolerant server would let pass is answered 400 and remembered."""
    double.control(reset=True)
    assert _post(double, path, body) == 400
    assert len(double.record()["violations"]) == 1


def test_rows_in_flight_are_counted_by_task(double: FaceServices) -> None:
    """Calls under way at once are seen overall, by the task their picture names, and on average."""
    double.control(reset=True, faults=[{"kind": "detect", "action": "hang", "task": "a"}])
    with ThreadPoolExecutor(3) as callers:
        answers = [callers.submit(_post, double, "/v1/eval/facex-detect", DETECT) for _ in range(3)]
        double.wait_for(3)
        double.control()
    assert [answer.result() for answer in answers] == [503] * 3
    record = double.record(task="a")
    assert (record["max_in_flight"], record["max_in_flight_by_task"]) == (3, {"a": 3})
    assert record["calls"] == 3
    assert record["mean_in_flight"] > 1


def test_an_outage_keeps_the_port(double: FaceServices) -> None:
    """A double that is stopped and started again is found where it was."""
    with ImageHost() as host:
        url = host.url
        host.stop()
        with pytest.raises(urllib.error.URLError):
            host.record()
        host.start()
        assert host.url == url
        assert host.record()["fetches"] == 0


def test_a_double_ends_with_its_parent() -> None:
    """Nothing is left behind by a test run that was killed."""
    program = (
        "import time; from tests.doubles.process import ImageHost\n"
        "host = ImageHost(); host.start(); print(host.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    orphan = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    orphan.wait(timeout=10)


def test_a_double_ends_when_told(double: FaceServices) -> None:
    """`POST /__quit` ends the process."""
    with ImageHost() as host:
        assert host.pid is not None
        process = psutil.Process(host.pid)
        assert _post(host, "/__quit", {}) == 200
        process.wait(10)


def _post(double: FaceServices | ImageHost, path: str, body: object) -> int:

    request = urllib.request.Request(double.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
