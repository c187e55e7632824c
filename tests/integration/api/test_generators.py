"""Generators read our OpenAPI document: two for Python, one for TypeScript, whose client is compiled and run."""

import importlib
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
import requests

from api_shim.examples import EXAMPLES
from face_import.contract import Code, TaskState
from face_import.keys import KeyFile
from tests.generated import BIN, python_client
from tests.servers import Unavailable, skip
from tests.shim import Shim

UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "E403")
"""What npm says where it may not or cannot ask its registry; a machine for tests needs apt and pip only."""
TYPESCRIPT = Path(__file__).with_name("typescript")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of an API without Airflow, and a key of it."""
    folder = tmp_path_factory.mktemp("shim")
    keys = KeyFile(folder / "keys.json")
    key = keys.add("client", None)
    with Shim(folder / "home", FACE_IMPORT_API_KEYS_FILE=str(keys.path)) as shim:
        yield shim.url, key


@pytest.fixture(scope="module")
def document(served: tuple[str, str]) -> dict[str, Any]:
    """The document that it serves."""
    url, key = served
    answer = requests.get(f"{url}/openapi.json", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.timeout(120)
def test_a_python_client_has_every_operation(served: tuple[str, str], document: dict[str, Any], tmp_path: Path) -> None:
    """As a function of its name; nothing is left out, and numbers that mean something have names."""
    url, key = served
    with python_client(document, tmp_path) as generated:
        functions = {name for name in vars(generated.api.tasks) if not name.startswith("_")}
        assert functions == {
            operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
        }
        assert {code.name: code.value for code in generated.models.Code} == {code.name: code.value for code in Code}
        client = generated.AuthenticatedClient(base_url=url, token=key)
        api, models = generated.api.tasks, generated.models
        assert api.list_tasks.sync(client=client, body=models.ListBody(group_name="nobody")).ids == []
        file = generated.types.File(io.BytesIO(b"https://example.com/1.jpg,Ada,\n"), "faces.csv", "text/csv")
        created = api.create_task.sync(client=client, body=models.CreateForm(group_name="staff", file=file))
        assert (
            api.configure_task.sync(client=client, task_id=created.id, body=models.ConfigBody(thread_num=5)) is not None
        )
        assert api.get_detail.sync(client=client, task_id=created.id).state is models.TaskState.CREATED
        rows = api.get_rows.sync(client=client, task_id=created.id).rows
        assert [row.cells for row in rows] == [["https://example.com/1.jpg", "Ada", ""]]
        assert "Ada" in api.download_rows.sync(client=client, task_id=created.id, rows=models.Rows.ALL)
        assert api.download_log.sync(client=client, task_id=created.id).payload.read() == b""
        judged = api.judge_limits.sync(client=client, task_id=created.id, body=models.JudgeBody(pos_yaw=30))
        assert (judged.limits.pos_yaw, judged.handled_num) == (30, 0)
        assert api.start_task.sync(client=client, task_id=created.id).code == "airflow_unavailable"
        assert api.stop_task_by_get.sync(client=client, task_id=created.id).code == "wrong_state"
        missing = api.get_detail.sync(client=client, task_id="AAAAAAAAAAAA")
        assert (type(missing), missing.code) == (models.Error, "not_found")
        stranger = generated.AuthenticatedClient(base_url=url, token="wrong")  # noqa: S106 - it is
        assert api.get_log.sync(client=stranger, task_id="AAAAAAAAAAAA").code == "unauthorized"


@pytest.mark.timeout(120)
def test_pydantic_models_are_generated_for_every_schema(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By datamodel-code-generator, under our names; each takes our example of it."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    done = subprocess.run(
        [
            *(BIN / "datamodel-codegen", "--input", tmp_path / "openapi.json", "--input-file-type", "openapi"),
            *("--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin"),
            *("--output", tmp_path / "generated_models.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.syspath_prepend(tmp_path)
    generated = importlib.import_module("generated_models")
    assert not [name for name in document["components"]["schemas"] if not hasattr(generated, name)]
    for name, example in EXAMPLES.items():
        getattr(generated, name).model_validate(example)
    assert issubclass(generated.TaskState, IntEnum)
    assert {state.name: state.value for state in generated.TaskState} == {s.name: s.value for s in TaskState}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_typescript_client_is_compiled_and_run(
    served: tuple[str, str], document: dict[str, Any], tmp_path: Path
) -> None:
    """With the types of openapi-typescript, all strict; typescript/client.ts asserts what it is answered."""
    npm = shutil.which("npm")
    if npm is None:
        skip(Unavailable("no npm"))
    project = shutil.copytree(TYPESCRIPT, tmp_path / "client")
    (project / "openapi.json").write_text(json.dumps(document))
    generate = ["node_modules/.bin/openapi-typescript", "openapi.json", "--output", "schema.d.ts"]
    for command in (
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        [*generate, "--default-non-nullable=false"],  # or else fields with a default have to be sent
        ["node_modules/.bin/tsc"],
        ["node", "built/client.js", *served],
    ):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if command[0] == npm and any(word in done.stderr for word in UNREACHABLE):
            pytest.skip("npm's registry cannot be reached")
        assert done.returncode == 0, f"{command[:2]}: {done.stdout}{done.stderr}"
