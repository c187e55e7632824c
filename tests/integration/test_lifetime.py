"""A process that ends with its parent."""

import subprocess
import sys

import psutil

from face_import.stack.processes import alive
from tests.waiting import until

PARENT = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]]).pid, flush=True)
sys.stdin.read()
"""
CHILD = """
import os, sys
from face_import.lifetime import end_with_parent
end_with_parent()
os.write(2, b"ready")
import time
while True: time.sleep(1)
"""


def test_it_ends_with_its_parent() -> None:
    """Though its parent was killed, and it catches nothing."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], **pipes) as parent:  # type: ignore[call-overload]
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stderr.read(5) == b"ready"
        parent.kill()
        until(lambda: not alive(child), 15)
