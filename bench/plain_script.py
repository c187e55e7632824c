"""The peer: what a careful person would write in an afternoon with requests and a pool of threads.

It makes the same calls for the same file, checks every picture in full, and writes the failures to a file. It
cannot be stopped, watched or resumed, waits out no outage, and runs on one processor's worth of Python.

Prints its rows, seconds and CPU seconds as JSON.
"""

import argparse
import base64
import csv
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import requests
from PIL import Image


class Mine(threading.local):
    """This thread's session, whose connections stay open."""

    def __init__(self) -> None:
        self.session = requests.Session()


mine = Mine()


def import_row(service: str, row: list[str], number: int) -> str:
    """Import one row; returns what went wrong, or nothing."""
    uri, tag, description = row
    try:
        fetched = mine.session.get(uri, timeout=30)
        fetched.raise_for_status()
        with Image.open(io.BytesIO(fetched.content)) as image:
            image.load()
        data = "data:application/octet-stream;base64," + base64.b64encode(fetched.content).decode()
        answer = mine.session.post(f"{service}/v1/eval/facex-detect", json={"data": {"uri": data}}, timeout=30)
        answer.raise_for_status()
        faces = answer.json()["result"]["detections"]
        if not faces:
            return "no face"
        image_of_face = {
            "id": str(number),
            "uri": data,
            "tag": tag,
            "desc": description,
            "bounding_box": {"pts": faces[0]["pts"]},
        }
        body = {"image": image_of_face, "params": {"reject_bad_face": False}}
        mine.session.post(f"{service}/v1/face/groups/staff/add", json=body, timeout=30).raise_for_status()
    except (requests.RequestException, OSError, KeyError) as error:
        return str(error) or type(error).__name__
    return ""


def main() -> None:
    """Import a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("service")
    parser.add_argument("threads", type=int)
    asked = parser.parse_args()
    began, before = time.perf_counter(), time.process_time()
    with asked.source.open(newline="") as file:
        rows = list(csv.reader(file))
    with ThreadPoolExecutor(asked.threads) as pool:
        problems = list(pool.map(partial(import_row, asked.service), rows, range(len(rows))))
    failed = [(row[0], problem) for row, problem in zip(rows, problems, strict=True) if problem]
    with asked.source.with_suffix(".failed.csv").open("w", newline="") as file:
        csv.writer(file).writerows(failed)
    figures = {"rows": len(rows), "failed": len(failed), "seconds": time.perf_counter() - began}
    print(json.dumps({**figures, "cpu_s": time.process_time() - before}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
