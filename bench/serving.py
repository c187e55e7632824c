"""The API as the stack starts it, a bare application under the same server, and clients of both."""

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from statistics import quantiles

import psutil

from bench.figures import PAIRS
from bench.saying import say
from face_import.settings import CHECKOUT, Settings
from face_import.stack.environment import stack_environment
from face_import.stack.layout import Layout
from face_import.stack.supervisor import programs
from tests.real import free_ports
from tests.waiting import until

Get = Callable[[str], bytes]


@contextmanager
def shim(settings: Settings, app: str = "face_console:create_app()") -> Iterator[psutil.Process]:
    """The API as the stack starts it, or another application in its place; gives its worker's process."""
    layout = Layout.of(settings.home)
    program = next(p for p in programs(settings) if p.name == "shim")
    environment = stack_environment(settings, layout) | {
        "FACE_IMPORT_PORT": str(settings.port),
        "FACE_IMPORT_DATABASE_URL": settings.catalogue_url,
    }
    settings.home.mkdir(parents=True, exist_ok=True)
    log = settings.home / "shim.log"
    command = (*program.command[:-1], app)
    with log.open("a") as out, subprocess.Popen(command, env=environment, cwd=CHECKOUT, stderr=out) as process:
        try:
            until(lambda: _listens(settings.port))
            yield until(psutil.Process(process.pid).children)[0]
        finally:
            process.terminate()


@contextmanager
def bare(settings: Settings) -> Iterator[http.client.HTTPConnection]:
    """`bench.bare` on the same database; gives a connection to it."""
    beside = settings.model_copy(update={"port": free_ports(1)[0]})
    with shim(beside, "bench.bare:create_app()"), closing(client_of(beside)) as client:
        yield client


def client_of(settings: Settings) -> http.client.HTTPConnection:
    """A connection to the API that is kept."""
    return http.client.HTTPConnection("127.0.0.1", settings.port)


def getter(client: http.client.HTTPConnection) -> Get:
    """What gets a path, which has to answer 200."""

    def get(path: str) -> bytes:
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        assert answer.status == 200, body[:300]
        return body

    return get


def download_s(client: http.client.HTTPConnection, path: str, lines: int) -> float:
    """Seconds that an answer of so many lines takes, read in pieces as a program would."""
    began = time.perf_counter()
    client.request("GET", path)
    answer = client.getresponse()
    seen = 0
    while piece := answer.read(2**18):
        seen += piece.count(b"\n")
    assert seen == lines, (path, seen)
    return time.perf_counter() - began


def p95_pairs(get: Get, peer: Get, paths: Sequence[str]) -> list[tuple[float, float]]:
    """95th percentiles in milliseconds of calls, and of as many calls to `bare` between them, for `PAIRS` parts."""
    measured = []
    for part in range(PAIRS):
        say(f"sample {part + 1} of {PAIRS}")
        times = [(_call_ms(get, path), _call_ms(peer, "/")) for path in paths[part::PAIRS]]
        ours, bares = zip(*times, strict=True)
        measured.append((_p95(ours), _p95(bares)))
    return measured


def _call_ms(get: Get, path: str) -> float:
    began = time.perf_counter()
    json.loads(get(path))
    return (time.perf_counter() - began) * 1e3


def _p95(times: Sequence[float]) -> float:
    return quantiles(times, n=20)[-1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
