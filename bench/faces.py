"""Row 10: the embedded info service over HTTP, against its engine called directly in one process per core."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from bench.figures import Figure, at_least, pairs, ratios
from bench.workbench import Workbench, child
from face_import.domain.uri import to_data_uri
from face_import.settings import CHECKOUT, Settings
from face_import.stack.programs import programs
from tests.real import free_ports, until

FACES = 360
CORES = 2
CLIENTS = 6
WARM_UP = 40


def faces(bench: Workbench) -> Iterator[Figure]:
    """Faces a second by both ways, each warm, with the same picture of one face."""
    picture = bench.services.picture
    path = bench.folder / "face.jpg"
    path.write_bytes(picture)
    python = Settings().services_python
    with _service(bench) as port:
        body = json.dumps({"data": {"uri": to_data_uri(picture)}}).encode()
        _detect(port, body, WARM_UP)
        measured = pairs(
            lambda: FACES / _detect(port, body, FACES),
            lambda: FACES / child("bench.faces_direct", path, FACES, CORES, python=python)["seconds"],
        )
    rate, direct = (median(side) for side in zip(*measured, strict=True))
    note = f"{rate:.0f} faces/s; directly {direct:.0f}"
    yield at_least(
        10, "embedded info service: faces/s / its library called directly", 0.85, ratios(measured), note=note
    )


@contextmanager
def _service(bench: Workbench) -> Iterator[int]:
    """The embedded services as the stack starts them."""
    (port,) = free_ports(1)
    program = next(p for p in programs(Settings(services_port=port)) if p.name == "services")
    environment = os.environ | {"PYTHONPATH": "plugins:.", "FACE_SERVICES_DATABASE": str(bench.folder / "library.db")}
    with (
        (bench.folder / "services.log").open("w") as log,
        subprocess.Popen(program.command, env=environment, cwd=CHECKOUT, stderr=log) as process,
    ):
        try:
            until(lambda: _healthy(port))
            yield port
        finally:
            process.terminate()


def _healthy(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port)
    try:
        client.request("GET", "/healthz")
        return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


def _detect(port: int, body: bytes, count: int) -> float:
    """Seconds that so many detections take, several of them at once."""

    def calls(of_client: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(of_client):
            client.request("POST", "/v1/eval/facex-detect", body, {"Content-Type": "application/json"})
            answer = json.loads(client.getresponse().read())
            assert len(answer["result"]["detections"]) == 1, answer
        client.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(calls, [count // CLIENTS] * CLIENTS))
    return (time.perf_counter() - began) * count / (count // CLIENTS * CLIENTS)
