"""A Python client of the API, generated from its OpenAPI document by openapi-python-client."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

BIN = Path(sys.executable).parent
PACKAGE = "generated_face_import_client"


def generate(document: dict[str, Any], folder: Path) -> Path:
    """Generate the package in a folder; anything that the generator has to leave out is an error."""
    (folder / "openapi.json").write_text(json.dumps(document))
    done = subprocess.run(
        [
            *(BIN / "openapi-python-client", "generate", "--path", folder / "openapi.json"),
            *("--meta", "none", "--fail-on-warning", "--output-path", folder / PACKAGE),
        ],
        env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},  # it formats with ruff
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / PACKAGE


@contextmanager
def python_client(document: dict[str, Any], folder: Path) -> Iterator[ModuleType]:
    """The generated package with all its modules, imported."""
    package = generate(document, folder)
    sys.path.insert(0, str(folder))
    try:
        for module in sorted(package.rglob("*.py")):
            importlib.import_module(".".join(module.relative_to(folder).with_suffix("").parts))
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
