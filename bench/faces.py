"""Row 10: the embedded face services over HTTP, against those of an earlier commit, and their engine called directly.

Row 16: the same services with photographs of 12 megapixels.

A row is what an import asks about it: detection, pose, addition. Each has an image of its own: the services remember
what they have seen.
"""

import asyncio
import http.client
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from skimage import data

from bench.figures import Figure, at_least, pairs, ratios
from bench.workbench import Workbench
from face_import.clients.services import InfoService, LibraryService
from face_import.domain.uri import to_data_uri
from face_import.settings import CHECKOUT, Settings
from face_import.stack.supervisor import programs
from tests.real import free_ports
from tests.waiting import until

BEFORE = "974f0e51e"
"""The last commit with MediaPipe and dlib."""
BEFORE_CHECKOUT = CHECKOUT / ".bench" / f"before-{BEFORE}"
PAIRS = 12
ROWS, ROWS_BEFORE, ROWS_LARGE = 120, 40, 40
CORES = 2
CLIENTS = 8
WARM_UP = 24
GROUP = "bench"

Rate = Callable[[int], float]
"""Handles so many rows; returns rows a second."""


def faces(bench: Workbench) -> Iterator[Figure]:
    """Rows a second by each way, all warm, two of them at a time in turns."""
    images = _images(bench.services.picture)
    path = bench.folder / "face.jpg"
    path.write_bytes(bench.services.picture)
    with (
        _services(bench, "now", CHECKOUT) as now,
        _services(bench, "before", set_up()) as before,
        _engines(path) as directly,
    ):
        rate, rate_before = _over_http(now, images), _over_http(before, images)
        for way in (rate, rate_before, directly):
            way(WARM_UP)
        against = pairs(lambda: rate(ROWS), lambda: rate_before(ROWS_BEFORE), PAIRS)
        alone = pairs(lambda: rate(ROWS), lambda: directly(ROWS), PAIRS)
    here, there = (median(side) for side in zip(*against, strict=True))
    note = f"{here:.1f} rows/s; before {there:.1f}"
    yield at_least(10, f"embedded face services: rows/s / at commit {BEFORE}", 5, ratios(against), note=note)
    here, there = (median(side) for side in zip(*alone, strict=True))
    note = f"{here:.1f} rows/s; directly {there:.1f}"
    yield at_least(10, "the same / their engine called directly", 0.8, ratios(alone), note=note)


def large_photographs(bench: Workbench) -> Iterator[Figure]:
    """Rows a second of 12-megapixel photographs, and in turns of those of row 10."""
    large = _twelve_megapixels()
    with _services(bench, "large", CHECKOUT) as services:
        rate, rate_small = (_over_http(services, _images(one)) for one in (large, bench.services.picture))
        for way in (rate, rate_small):
            way(WARM_UP)
        measured = pairs(lambda: rate(ROWS_LARGE), lambda: rate_small(ROWS_LARGE), PAIRS)
    here, there = (median(side) for side in zip(*measured, strict=True))
    note = f"{here:.1f} rows/s of {len(large) / 1e6:.1f} MB; 512x512 {there:.1f}"
    yield at_least(
        16, "embedded face services, JPEGs of 4000x3000: rows/s / of 512x512", 0.3, ratios(measured), note=note
    )


def _twelve_megapixels() -> bytes:
    """The photograph at 4000x3000, its sides mirrored outwards, with the grain that makes such files large."""
    photo = data.astronaut()  # type: ignore[no-untyped-call]
    photo = np.asarray(Image.fromarray(photo).resize((3000, 3000), Image.Resampling.BICUBIC))
    wide = np.pad(photo, ((0, 0), (500, 500), (0, 0)), "reflect").astype(np.int16)
    grain = np.random.default_rng(0).normal(0, 9, wide.shape).astype(np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(wide + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=83)
    return file.getvalue()


def set_up() -> Path:
    """A checkout of the earlier commit, with its environments: made once, the only step that needs a package index."""
    if not (BEFORE_CHECKOUT / ".venv-services" / "bin" / "python").exists():
        shutil.rmtree(BEFORE_CHECKOUT, ignore_errors=True)
        git = shutil.which("git") or "git"
        subprocess.run([git, "clone", "--quiet", "--no-checkout", CHECKOUT, BEFORE_CHECKOUT], check=True)
        subprocess.run([git, "checkout", "--quiet", BEFORE], cwd=BEFORE_CHECKOUT, check=True)
        subprocess.run([sys.executable, BEFORE_CHECKOUT / "scripts" / "setup.py"], check=True)
    return BEFORE_CHECKOUT


def _images(picture: bytes) -> Iterator[bytes]:
    """The same JPEG again and again, each with another comment."""
    for number in count():
        comment = f"{number:010d}".encode()
        yield picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


@contextmanager
def _services(bench: Workbench, name: str, checkout: Path) -> Iterator[Settings]:
    """The embedded services of a checkout, as its stack starts them; gives settings by which to reach them."""
    (port,) = free_ports(1)
    settings = Settings(services_port=port, info_url="", library_url="")
    command = next(list(p.command) for p in programs(settings) if p.name == "services")
    python = checkout / ".venv-services" / "bin" / "python"
    command[0] = str(python) if python.exists() else command[0]
    database = bench.folder / f"{name}.db"
    environment = os.environ | {"PYTHONPATH": "plugins:.", "FACE_SERVICES_DATABASE": str(database)}
    with (
        (bench.folder / f"{name}.log").open("w") as log,
        subprocess.Popen(command, env=environment, cwd=checkout, stderr=log) as process,
    ):
        try:
            until(lambda: _healthy(port))
            yield settings
        finally:
            process.terminate()


@contextmanager
def _engines(picture: Path) -> Iterator[Rate]:
    """The engine in a process for each core."""
    command = [sys.executable, "-m", "bench.faces_direct", str(picture), str(CORES)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        requests, answers = process.stdin, process.stdout
        assert requests is not None
        assert answers is not None

        def directly(rows: int) -> float:
            print(rows, file=requests, flush=True)
            return rows / float(answers.readline())

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


def _over_http(settings: Settings, images: Iterator[bytes]) -> Rate:
    """Several rows at once, by the clients that shards use."""

    async def rows(asked: Iterator[int], info: InfoService, library: LibraryService) -> None:
        for _ in asked:
            image = to_data_uri(next(images))
            (face,) = await info.detect(image)
            assert await info.pose(image, face) is not None
            await library.add(GROUP, "", image, "", "", face)

    async def seconds(number: int) -> float:
        asked = iter(range(number))
        async with InfoService(settings) as info, LibraryService(settings) as library:
            await library.ensure_group(GROUP, 0)
            began = time.perf_counter()
            await asyncio.gather(*(rows(asked, info, library) for _ in range(CLIENTS)))
            return time.perf_counter() - began

    return lambda number: number / asyncio.run(seconds(number))
