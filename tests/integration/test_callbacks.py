"""Callbacks over real connections: nasty receivers, and a keeper's courier that is killed while it delivers."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook

from face_import.callbacks import Courier
from face_import.catalogue import Catalogue, LastCall
from face_import.catalogue.schema import callback
from face_import.clients.callback import post
from face_import.clients.transfer import FetchError
from face_import.contract import CallState
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.integration.clients.evil import Evil, evil, head, redirect
from tests.real import CHECKOUT
from tests.waiting import until

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
DEADLINE_S = 1.0
COURIER = """
import sys, time
from face_import import callbacks
from face_import.catalogue import Catalogue
from face_import.settings import Settings
settings = Settings(home=sys.argv[1], fetch_allow=("127.0.0.0/8",))
callbacks.Courier(settings, Catalogue.open(settings), lease_s=float(sys.argv[2])).start()
time.sleep(600)
"""
"""A keeper reduced to its courier."""


@pytest.fixture(autouse=True)
def _secret(settings: Settings) -> None:
    (settings.home / "secrets").mkdir(parents=True)
    (settings.home / "secrets" / "callback_secret").write_text(f"{SECRET}\n")


def deliver(settings: Settings, catalogue: Catalogue) -> None:
    """A round, until all its calls have ended."""

    async def go() -> None:
        courier = Courier(settings, catalogue, deadline_s=DEADLINE_S)
        await courier.round()
        await courier.all_ended()

    asyncio.run(go())


def called(settings: Settings, catalogue: Catalogue, make_task: MakeTask, url: str) -> LastCall:
    """Stop a task whose callback is at a URL, deliver, and return what became of it."""
    task = make_task(callback_url=url)
    catalogue.tasks.stop(task.id)
    deliver(settings, catalogue)
    last = catalogue.callbacks.last(task.id)
    assert last is not None
    assert last.tries == 1
    return last


def endless(_: Evil) -> Iterable[bytes]:
    """A success with a body that never ends."""
    yield head("Transfer-Encoding: chunked")
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while True:
        yield piece


def hanging_body(_: Evil) -> Iterable[bytes]:
    """A success whose body does not come."""
    yield head("Content-Length: 10")
    time.sleep(2 * DEADLINE_S)
    yield b"x"


def dripping_head(_: Evil) -> Iterable[bytes]:
    """A head that never ends: each byte comes in time, the whole does not."""
    yield b"HTTP/1.1 200 OK\r\nX-Slow: "
    while True:
        time.sleep(DEADLINE_S / 10)
        yield b"x"


def huge_head(_: Evil) -> Iterable[bytes]:
    """A header of a megabyte."""
    yield head("X-Huge: " + "x" * 2**20)


def garbage(_: Evil) -> Iterable[bytes]:
    """Something that is not HTTP."""
    yield b"\x16\x03\x01 no\r\n\r\n"


def silence(_: Evil) -> Iterable[bytes]:
    """Nothing, and the connection is closed."""
    return ()


@pytest.mark.parametrize("answer", [endless, hanging_body])
def test_a_success_counts_whatever_its_body(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, answer: object
) -> None:
    """It is not read: neither its size nor its time matters."""
    with evil(answer) as receiver:  # type: ignore[arg-type]
        last = called(settings, catalogue, make_task, receiver.url("/hooks?token=1"))
    assert (last.state, last.answer) == (CallState.DELIVERED, "200 OK")
    ((path, headers),) = receiver.asked
    assert path == "/hooks?token=1"
    message = Webhook(SECRET).verify(receiver.sent[0], headers)
    assert message["type"] == "task.stopped"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (dripping_head, "no answer within 1 s"),
        (huge_head, "a header of more than"),
        (garbage, "not a valid HTTP answer"),
        (silence, "the connection broke off"),
        (lambda _: [head("Content-Length: 0", status="500 Internal Server Error")], "500 Internal Server Error"),
    ],
    ids=["dripping head", "huge head", "garbage", "silence", "500"],
)
def test_what_is_no_success_is_tried_again(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, answer: object, said: str
) -> None:
    """In time, and with the reason."""
    with evil(answer) as receiver:  # type: ignore[arg-type]
        last = called(settings, catalogue, make_task, receiver.url())
    assert last.state == CallState.PENDING
    assert last.answer.startswith(said)


def test_a_redirect_is_not_followed(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Wherever it leads: to a private address or to a good one."""
    with evil(lambda _: [head("Content-Length: 0")]) as target:
        for to in (target.url(), "http://169.254.169.254/latest/meta-data"):
            with evil(lambda _, to=to: [redirect(to)]) as receiver:  # type: ignore[misc]
                last = called(settings, catalogue, make_task, receiver.url())
            assert (last.state, last.answer) == (CallState.PENDING, "302 Found: redirects are not followed")
    assert target.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
def test_a_private_address_is_not_called(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, host: str
) -> None:
    """However it is written; the address that is connected to decides, as for images."""
    strict = settings.model_copy(update={"fetch_allow": ()})
    with evil(lambda _: [head("Content-Length: 0")]) as receiver:
        last = called(strict, catalogue, make_task, receiver.url(host=host))
    assert receiver.asked == []
    assert last.state == CallState.PENDING
    assert last.answer == "not a valid URL" or "is not public (FACE_IMPORT_FETCH_ALLOW)" in last.answer


def test_headers_for_image_hosts_are_not_sent(settings: Settings, tmp_path: Path) -> None:
    """A user's URL must not put the operator's login to use; what is in the URL itself is sent."""
    with evil(lambda _: [head("Content-Length: 0")]) as receiver:
        file = tmp_path / "headers.yaml"
        file.write_text(f"http://127.0.0.1:{receiver.port}: {{X-Operator: s3cret}}")
        file.chmod(0o600)
        configured = settings.model_copy(update={"fetch_headers_file": file})
        asyncio.run(post(receiver.url(user="me:pass@"), b"{}", {}, configured, 5.0))
    ((_, headers),) = receiver.asked
    assert "x-operator" not in headers
    assert headers["authorization"].startswith("Basic ")


def test_a_host_that_does_not_answer_costs_the_deadline_only(settings: Settings) -> None:
    """A connection that is accepted and then ignored."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(FetchError, match=r"^no answer within 0\.5 s$"):
            asyncio.run(post(url, b"{}", {}, settings, 0.5))
        assert time.monotonic() - began < 10


def courier(home: Path, lease_s: float) -> "subprocess.Popen[bytes]":
    """A process that delivers."""
    paths = os.pathsep.join((str(CHECKOUT / "plugins"), str(CHECKOUT)))
    return subprocess.Popen([sys.executable, "-c", COURIER, str(home), str(lease_s)], env={"PYTHONPATH": paths})


@pytest.fixture
def killed(settings: Settings) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes that are killed in the end, at the latest."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_a_courier_killed_between_send_and_record_loses_nothing(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, killed: list["subprocess.Popen[bytes]"]
) -> None:
    """The receiver has got the call, and its sender is killed before it sees the answer: the next one sends it again.

    Under the same id and with the same body, so that the receiver can tell that it knows it.
    """

    def answer(_: Evil) -> Iterable[bytes]:
        if len(killed) == 1:  # it has been received
            os.kill(killed[0].pid, signal.SIGKILL)
            return ()
        return [head("Content-Length: 0", status="204 No Content")]

    with evil(answer) as receiver:
        task = make_task(callback_url=receiver.url())
        catalogue.tasks.stop(task.id)
        killed.append(courier(settings.home, 60.0))
        assert killed[0].wait(60) == -signal.SIGKILL
        last = catalogue.callbacks.last(task.id)
        assert last is not None
        assert (last.state, last.tries, last.answer) == (CallState.PENDING, 1, "")
        killed.append(courier(settings.home, 60.0))
        with catalogue.engine.begin() as connection:  # the lease ends
            connection.execute(update(callback).values(due_at=0.0))
        until(lambda: (found := catalogue.callbacks.last(task.id)) and found.state == CallState.DELIVERED)
    assert len(receiver.sent) == 2
    assert receiver.sent[0] == receiver.sent[1]
    assert len({headers["webhook-id"] for _, headers in receiver.asked}) == 1
    assert json.loads(receiver.sent[1])["data"]["id"] == task.id
    for body, (_, headers) in zip(receiver.sent, receiver.asked, strict=True):
        Webhook(SECRET).verify(body, headers)


def test_two_couriers_share_the_work(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, killed: list["subprocess.Popen[bytes]"]
) -> None:
    """Each of many calls arrives once, although both look for all of them."""
    with evil(lambda _: [head("Content-Length: 0")]) as receiver:
        killed += [courier(settings.home, 60.0) for _ in range(2)]
        tasks = [make_task(callback_url=receiver.url(f"/{n}")) for n in range(12)]
        for task in tasks:
            catalogue.tasks.stop(task.id)

        def all_arrived() -> bool:
            found = [catalogue.callbacks.last(task.id) for task in tasks]
            return all(last is not None and last.state == CallState.DELIVERED for last in found)

        until(all_arrived)
    assert sorted(path for path, _ in receiver.asked) == sorted(f"/{n}" for n in range(12))
