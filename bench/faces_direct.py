"""The face engine called directly, once a picture, in one process per core."""

import base64
import sys
import time
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from face_services.opencv_engine import OpenCvEngine
from face_services.seen import look


@cache
def engine() -> OpenCvEngine:
    """This process's engine."""
    return OpenCvEngine()


def work(path: str, count: int) -> tuple[float, float]:
    """Decode, find, measure and embed `count` times; returns when it began and when it ended."""
    uri = "data:application/octet-stream;base64," + base64.b64encode(Path(path).read_bytes()).decode()
    began = time.monotonic()
    for _ in range(count):
        (seen,) = look(engine(), uri, 50_000_000).faces
        engine().embed(seen.face.chip)
    return began, time.monotonic()


def main(path: str, processes: int) -> None:
    """Answer each number of faces on standard input with the seconds that all processes take for them side by side."""
    with get_context("spawn").Pool(processes) as pool:
        for line in sys.stdin:
            times = pool.starmap(work, [(path, int(line) // processes)] * processes, chunksize=1)
            print(sum(end - began for began, end in times) / processes, flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
