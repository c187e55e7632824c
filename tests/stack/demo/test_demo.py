"""The whole demo on a real stack."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import requests

from examples.demo.album import LIMITS, album
from examples.demo.stack import CHECKOUT, HOME
from face_import.stack.layout import Layout
from face_import.stack.processes import members

MARGINS = {"pitch": 5, "yaw": 5, "roll": 5, "width": 10, "height": 10, "blur": 10}
LIMIT_OF = {"pitch": "pos_pitch", "yaw": "pos_yaw", "roll": "pos_rol", "blur": "blur_degree"}


def demo(**variables: str) -> "subprocess.Popen[str]":
    """Start the demo as `make demo` does."""
    environment = {name: value for name, value in os.environ.items() if name not in {"KEEP", "FORCE_COLOR"}}
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo"],
        cwd=CHECKOUT,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left() -> list[psutil.Process]:
    """Processes of the demo's stack."""
    return members(Layout.of(HOME).stack_id)


def measured() -> dict[int, dict[str, float]]:
    """What the last demo's import measured, by row."""
    with closing(sqlite3.connect(Path(HOME) / "catalogue.db")) as database:
        database.row_factory = sqlite3.Row
        return {row["row"]: dict(row) for row in database.execute("select * from outcome")}


def test_the_demo() -> None:
    """It exits 0, names every code, prints no control character, leaves no process; all limits lie far off."""
    running = demo()
    output, _ = running.communicate(timeout=240)
    assert running.returncode == 0, output
    assert "Everything as expected" in output
    assert all(f" {int(code)} " in output for code in {entry.code for entry in album()})
    assert all(character.isprintable() or character == "\n" for character in output)
    assert left() == []
    for row, measurements in measured().items():
        for name, margin in MARGINS.items():
            value, limit = measurements.get(name), LIMITS[LIMIT_OF.get(name, name)]
            assert value is None or abs(abs(value) - limit) >= margin, f"row {row}: {name} {value}, limit {limit}"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_an_interrupted_demo_stops_everything(number: signal.Signals) -> None:
    """Whatever ends it while the stack starts, the stack ends with it."""
    running = demo()
    deadline = time.monotonic() + 60
    while len(left()) < 3:  # the supervisor and its first programs: in the middle of the start
        assert time.monotonic() < deadline
        time.sleep(0.1)
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert left() == []


@pytest.mark.slow
def test_a_kept_stack_stays_until_the_next_demo() -> None:
    """With KEEP=1 the stack answers after the demo, which says how to end it."""
    running = demo(KEEP="1")
    output, _ = running.communicate(timeout=240)
    try:
        assert running.returncode == 0, output
        assert left()
        url = next(line.split()[-1] for line in output.splitlines() if line.strip().startswith("API:"))
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
        assert f"FACE_IMPORT_HOME={HOME}" in output
    finally:
        ended = subprocess.run(
            [Path(sys.executable).with_name("face-import"), "down"],
            env={**os.environ, "FACE_IMPORT_HOME": str(HOME)},
            capture_output=True,
            check=False,
        )
    assert ended.returncode == 0
    assert left() == []
