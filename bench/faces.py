"""Row 10: the embedded info service over HTTP, against its engine called directly in one process per core."""

import asyncio
import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.figures import Figure, at_least, pairs, ratios
from bench.workbench import Workbench
from face_import.clients.services import InfoService
from face_import.domain.uri import DataUri, to_data_uri
from face_import.settings import CHECKOUT, Settings
from face_import.stack.supervisor import programs
from tests.real import free_ports
from tests.waiting import until

FACES = 180
TURNS = 13  # short ones: the machine's speed changes within seconds
CORES = 2
CLIENTS = 6
WARM_UP = 40


def faces(bench: Workbench) -> Iterator[Figure]:
    """Faces a second by both ways, each warm, with the same picture of one face."""
    picture = bench.services.picture
    path = bench.folder / "face.jpg"
    path.write_bytes(picture)
    with _service(bench) as port, _engines(path) as directly:
        settings, uri = Settings(info_url=f"http://127.0.0.1:{port}"), to_data_uri(picture)
        _detect(settings, uri, WARM_UP)
        directly(WARM_UP)
        measured = pairs(lambda: FACES / _detect(settings, uri, FACES), lambda: FACES / directly(FACES), TURNS)
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


@contextmanager
def _engines(picture: Path) -> Iterator[Callable[[int], float]]:
    """The engine in a process for each core; gives what tells the seconds that so many faces take."""
    command = [Settings().services_python, "-m", "bench.faces_direct", str(picture), str(CORES)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        requests, answers = process.stdin, process.stdout
        assert requests is not None
        assert answers is not None

        def directly(count: int) -> float:
            print(count, file=requests, flush=True)
            return float(answers.readline())

        yield directly
        requests.close()


def _healthy(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port)
    try:
        client.request("GET", "/healthz")
        return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


def _detect(settings: Settings, picture: DataUri, count: int) -> float:
    """Seconds that so many detections take, several of them at once, by the client that shards use."""

    async def calls(info: InfoService) -> None:
        for _ in asked:
            assert len(await info.detect(picture)) == 1

    asked = iter(range(count))

    async def all_calls() -> float:
        async with InfoService(settings) as info:
            began = time.perf_counter()
            await asyncio.gather(*(calls(info) for _ in range(CLIENTS)))
            return time.perf_counter() - began

    return asyncio.run(all_calls())
