"""The served API under schemathesis: requests made from our OpenAPI document, to its letter and against it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from face_import.keys import KeyFile
from tests.real import CHECKOUT
from tests.shim import Shim

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
BRIEF = ("--worker-class", "tests.integration.api.deadlines.Brief")
COMMAND = Path(sys.executable).with_name("schemathesis")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_api_does_what_its_document_says(tmp_path: Path) -> None:
    """At least two thousand requests, all checks on: no 5xx, no undocumented answer, nothing wrong accepted."""
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.add("fuzz", None)
    variables = {
        "FACE_IMPORT_MAX_SOURCE_BYTES": "1000000",
        "FACE_IMPORT_API_KEYS_FILE": str(keys.path),
        "FACE_IMPORT_KEY_REQUESTS_PER_MINUTE": "1000000",
    }
    with Shim(tmp_path / "home", *BRIEF, **variables) as shim:
        done = subprocess.run(
            [
                *(COMMAND, "--config-file", CONFIGURATION, "--no-color", "run", f"{shim.url}/openapi.json"),
                *("--checks", "all", "--max-examples", "150", "--header", f"Authorization: Bearer {key}"),
            ],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},  # for the hooks
            capture_output=True,
            text=True,
            timeout=560,
            check=False,
        )
        log = shim.log.read_text()
        served = requests.get(f"{shim.url}/openapi.json", headers={"Authorization": f"Bearer {key}"}, timeout=30).json()
    operations = sum(len(methods) for methods in served["paths"].values())
    assert done.returncode == 0, done.stdout
    generated, passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout.replace(",\n", ", ")).groups()  # type: ignore[union-attr]
    print(f"{generated} cases, {passed} passed")  # noqa: T201 - the result
    assert int(generated) == int(passed) >= 2000
    assert f"{operations} selected / {operations} total" in done.stdout
    assert "unexpected error" not in log
    assert "Traceback" not in log
