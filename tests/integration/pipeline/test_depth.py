"""How deep a row's calls are: what a reader has to follow, and a profiler to show."""

import sys
from pathlib import Path

import pytest

import face_import
from face_import.clients import fetcher, keepalive
from face_import.domain.models import Limits
from face_import.pipeline.row import RowImporter
from tests.integration.pipeline.conftest import Bench

OURS = str(Path(face_import.__file__).parent)
MOST = 6


def depth() -> int:
    """Frames of ours between the row's way and the caller, which is at the socket."""
    frame, count = sys._getframe(2), 0
    while frame is not None and frame.f_code.co_filename != sys.modules[RowImporter.__module__].__file__:
        name = frame.f_code.co_filename
        count += name.startswith(OURS) and not name.endswith("adding.py")  # the add's part of the row's way
        frame = frame.f_back  # type: ignore[assignment]
    return count


async def test_a_call_is_a_few_frames_deep(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the row's way to the socket, for the picture and for each of the services' calls."""
    depths: dict[str, int] = {}
    send, read = keepalive._Connection.send, fetcher.Fetcher._read

    def sending(self: keepalive._Connection, head: bytes, body: bytes) -> object:
        depths[head.split()[1].decode().rpartition("/")[2]] = depth()
        return send(self, head, body)

    async def reading(*args: object) -> bytes:
        depths["picture"] = depth() + 1
        return await read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(keepalive._Connection, "send", sending)
    monkeypatch.setattr(fetcher.Fetcher, "_read", reading)
    task = bench.task([f"{bench.images.image()},t,d"], limits=Limits(pos_yaw=80))
    await bench.run(task)
    assert bench.succeeded(task) == 1
    del depths["staff"]  # the group is made before the shards begin
    assert set(depths) == {"picture", "facex-detect", "facex-pose", "add"}
    assert max(depths.values()) <= MOST, depths
