"""docker-compose.yaml fits the format, and what it names exists in the code; no Docker is needed."""

import importlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
import typer
from sqlalchemy import make_url

from face_import.cli import app
from face_import.settings import CHECKOUT, Settings
from face_import.stack.environment import airflow_settings
from face_import.stack.layout import Layout
from face_import.stack.supervisor import programs
from tests.compose import COMPOSE, HOME, VARIABLE, example, fill, load, ours, services
from tests.doubles.object_store import ObjectStore

SCHEMA = Path(__file__).parent / "schema" / "compose_spec.json"
PORTS = {"airflow-api-server": 8080, "shim": 8000, "face-info": 8100, "face-library": 8100}


def variables() -> list[dict[str, str | None]]:
    """Every `${...}` outside comments."""
    lines = [line for line in COMPOSE.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [found.groupdict() for line in lines for found in VARIABLE.finditer(line)]


def test_the_file_fits_the_compose_specification() -> None:
    """A key that Compose does not know, or a value of another kind, would be refused at the operator's."""
    jsonschema.Draft201909Validator(json.loads(SCHEMA.read_text())).validate(load())


def test_every_variable_is_explained_and_used() -> None:
    """.env.example has those of the file, with the same defaults, and no others."""
    used = {found["name"]: found for found in variables()}
    assert used.keys() == example().keys()
    for name, value in example().items():
        assert (used[name]["rest"] if used[name]["kind"] == "-" else "") == value, name


def test_no_secret_has_a_default_or_stands_in_the_file() -> None:
    """Each password has to be given, and nothing else that is secret is in an environment."""
    passwords = {name for name in example() if name.endswith("_PASSWORD")}
    assert passwords == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "MINIO_ROOT_PASSWORD"}
    assert {found["kind"] for found in variables() if found["name"] in passwords} == {"?"}
    for name, service in services().items():
        names = service["environment"].keys() - {"AWS_ACCESS_KEY_ID"}  # the name of a user
        secret = {k: service["environment"][k] for k in names if "PASSWORD" in k or "KEY" in k or "SECRET" in k}
        assert all(value == "given" or value.startswith(HOME) for value in secret.values()), name
        for value in service["environment"].values():
            assert "://" not in value or urlsplit(value).password in {None, "given"}


def test_make_env_gives_each_password(tmp_path: Path) -> None:
    """It makes a file for its owner only, of all variables, and leaves one that is there as it is."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(CHECKOUT / "deploy" / "make-env", tmp_path / "deploy")
    shutil.copy(CHECKOUT / ".env.example", tmp_path)
    assert subprocess.run([tmp_path / "deploy" / "make-env"], check=False).returncode == 0
    made = dict(
        line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines() if line and not line.startswith("#")
    )
    given = {name: value for name, value in made.items() if name.endswith("_PASSWORD")}
    assert made | dict.fromkeys(given, "") == example()
    assert all(len(value) == 48 and value.isalnum() for value in given.values())
    assert len(set(given.values())) == len(given)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    again = subprocess.run([tmp_path / "deploy" / "make-env"], check=False, capture_output=True)
    assert again.returncode != 0
    assert given["REDIS_PASSWORD"] in (tmp_path / ".env").read_text()


def test_our_variables_are_settings() -> None:
    """A misspelt one would silently do nothing; each value is one that the settings take."""
    for name, service in ours().items():
        mine = {k: v for k, v in service["environment"].items() if k.startswith("FACE_IMPORT_")}
        fields = {k.removeprefix("FACE_IMPORT_").lower(): v for k, v in mine.items()}
        assert fields.keys() <= Settings.model_fields.keys(), name
        Settings.model_validate(fields)
    assert {k.removeprefix("FACE_IMPORT_").lower() for k in example() if k.startswith("FACE_IMPORT_")} <= (
        Settings.model_fields.keys()
    )


def test_airflow_is_set_like_the_embedded_one() -> None:
    """What a setting was found to be needed for on one machine is needed here too, but for places and users."""
    here = {
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__PLUGINS_FOLDER",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__API__HOST",
    }
    embedded = airflow_settings(Settings(home=Path(HOME)), Layout(Path(HOME)))
    assert embedded.pop("AIRFLOW_HOME") == dockerfile_environment()["AIRFLOW_HOME"]
    for name, service in ours().items():
        if not service["depends_on"]:
            continue  # the face services have no Airflow
        given = {k: v for k, v in service["environment"].items() if k.startswith("AIRFLOW")}
        assert given.keys() - embedded.keys() == {
            "AIRFLOW__CORE__AUTH_MANAGER",
            "AIRFLOW__CELERY__BROKER_URL",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
        }, name
        assert {k: v for k, v in given.items() if k in embedded.keys() - here} == {
            k: v for k, v in embedded.items() if k not in here
        }, name


def test_the_databases_are_those_that_are_made() -> None:
    """Airflow and the catalogue both keep a table alembic_version, so they need one each."""
    postgres = services()["postgres"]["environment"]
    script = (CHECKOUT / "deploy" / "create-databases.sql").read_text()
    shim = ours()["shim"]["environment"]
    airflow, catalogue = (
        make_url(shim[name]) for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "FACE_IMPORT_DATABASE_URL")
    )
    assert airflow.database == postgres["POSTGRES_DB"]
    assert f"CREATE DATABASE {catalogue.database};" in script
    for url in (airflow, catalogue):
        assert (url.host, url.username) == ("postgres", postgres["POSTGRES_USER"])
        assert url.get_dialect().driver == "psycopg"


def test_the_commands_of_ours_exist() -> None:
    """Each `face-import ...` is a command of the CLI."""
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = {words[1] for words in commands() if words[0] == "face-import"}
    assert named == {"credentials", "migrate", "stop-active", "keeper"}
    assert named <= known


def test_airflows_own_parser_takes_its_commands(tmp_path: Path) -> None:
    """Services and health checks call Airflow the way this release wants it."""
    checks = [service["healthcheck"]["test"][1:] for service in ours().values() if "healthcheck" in service]
    calls = [words[1:] for words in (*commands(), *checks) if words[0] == "airflow"]
    named = {"api-server", "scheduler", "celery", "dag-processor", "triggerer", "db", "jobs"}
    assert {words[0] for words in calls} == named
    code = (
        "import json, sys; from airflow.cli.cli_parser import get_parser; parser = get_parser()\n"
        "for words in json.loads(sys.argv[1]): parser.parse_args(words)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(calls)],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_modules_and_apps_that_are_called_exist() -> None:
    """`python -m` and Celery's check name what is there."""
    modules = {words[2] for words in commands() if words[:2] == ["python", "-m"]} - {"gunicorn"}
    assert modules == {"face_import.orchestration.users"}
    ping = ours()["airflow-worker"]["healthcheck"]["test"][-1].split()
    assert ping[:2] == ["celery", "--app"]
    module, _, name = ping[2].rpartition(".")
    for one in (*modules, module):
        assert importlib.util.find_spec(one) is not None
    assert f"import {name}" in Path(str(importlib.util.find_spec(module).origin)).read_text()  # type: ignore[union-attr]


def test_the_workers_run_what_the_scheduler_hands_out() -> None:
    """Not more is handed out than runs, or what waits in the broker would be taken for stuck."""
    worker = ours()["airflow-worker"]
    assert "container_name" not in worker
    assert "ports" not in worker
    broker = urlsplit(worker["environment"]["AIRFLOW__CELERY__BROKER_URL"])
    assert (broker.scheme, broker.hostname, broker.port) == ("redis", "redis", 6379)
    assert example()["AIRFLOW_WORKER_SLOTS"] == example()["FACE_IMPORT_EXECUTOR_SLOTS"]
    assert "requirepass $$REDISCLI_AUTH" in services()["redis"]["command"][-1]
    assert services()["redis"]["environment"] == {"REDISCLI_AUTH": broker.password}


def test_the_object_store_is_where_the_settings_say() -> None:
    """Storage and sources are in the one bucket that is made, with the one user that there is."""
    environment, minio = ours()["shim"]["environment"], services()["minio"]
    endpoint = urlsplit(environment["AWS_ENDPOINT_URL"])
    assert (endpoint.hostname, endpoint.port) == ("minio", 9000)  # MinIO's own port, unless told
    assert environment["AWS_ACCESS_KEY_ID"] == minio["environment"]["MINIO_ROOT_USER"]
    raw = load()["x-face-import"]["environment"]
    assert raw["AWS_SECRET_ACCESS_KEY"] == load()["services"]["minio"]["environment"]["MINIO_ROOT_PASSWORD"]
    for name in ("FACE_IMPORT_STORAGE_URL", "FACE_IMPORT_SOURCE_PREFIXES"):
        assert urlsplit(environment[name])[:2] == ("s3", "face-import")
    assert "'face-import'" in ours()["storage-init"]["command"][-1]


@pytest.mark.slow
def test_the_bucket_is_made_once(tmp_path: Path) -> None:
    """The one-shot makes it, and at the next start finds it with what is in it."""
    with ObjectStore(tmp_path / "log") as store:
        for _ in range(2):
            command = [sys.executable, *ours()["storage-init"]["command"][1:]]
            subprocess.run(command, env=os.environ | store.environment, check=True)
            store.client.put_object(Bucket="face-import", Key="inbox/a.csv", Body=b"a")
        assert store.keys("face-import") == ["inbox/a.csv"]


def test_gunicorn_is_called_as_in_the_embedded_stack() -> None:
    """The number of processes, the threads and the mask of the programs hold here too."""
    embedded = {program.name: list(program.command[3:]) for program in programs(Settings())}
    for service, program in {"shim": "shim", "face-info": "services", "face-library": "services"}.items():
        words = [part for word in ours()[service]["command"][3:] for part in word.split("=", 1)]
        address = words.index("--bind") + 1
        assert words[address] == f"0.0.0.0:{PORTS[service]}"
        words[address] = f"127.0.0.1:{PORTS[service]}"
        words = ["-c" if word == "--config" else word for word in words]
        assert words[:-1] == embedded[program][:-1], service
        module, call = words[-1].split(":")
        assert call.startswith("create_app(")
        assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize(("service", "port"), PORTS.items())
def test_ports_agree(service: str, port: int) -> None:
    """Health check, published port, and the URLs by which others reach the service name one port."""
    assert f"http://127.0.0.1:{port}/" in ours()[service]["healthcheck"]["test"][-1]
    for published in ours()[service].get("ports", []):
        assert fill(published) == f"127.0.0.1:{port}:{port}"
    urls = [value for one in ours().values() for value in one["environment"].values() if f"//{service}:" in value]
    assert {urlsplit(url).port for url in urls} <= {port}
    assert urls or "ports" in ours()[service]


def test_nothing_is_published_beyond_this_machine() -> None:
    """Only the API and Airflow are, on loopback."""
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published.keys() == {"shim", "airflow-api-server"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_volumes_are_declared_used_and_writable() -> None:
    """Each is mounted somewhere; where our user writes, the image has a folder of its own for it."""
    mounts = [mount.split(":") for service in services().values() for mount in service.get("volumes", [])]
    assert {source for source, *_ in mounts if not source.startswith(".")} == load()["volumes"].keys()
    assert all((CHECKOUT / source).is_file() for source, *_ in mounts if source.startswith("."))
    targets = {m.split(":")[1] for service in ours().values() for m in service["volumes"]}
    assert all(f" {target}" in dockerfile() for target in targets)


def test_who_resumes_imports_waits_for_stop_active() -> None:
    """The programs that the embedded stack starts late wait here for the one-shot, and everybody for the migrations."""
    late = {program.name for program in programs(Settings()) if program.late}
    waiting = {
        name.removeprefix("airflow-")
        for name, service in ours().items()
        if service["depends_on"].get("stop-active") == {"condition": "service_completed_successfully"}
    }
    assert waiting == late | {"worker"}
    for name, service in ours().items():
        for other, wanted in service["depends_on"].items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services()[other], name
            once = services()[other]["restart"] == "no"
            assert once == (wanted["condition"] == "service_completed_successfully"), name


def test_the_image_is_built_from_what_is_there() -> None:
    """Each COPY has its source, which .dockerignore lets through; it does not run as root."""
    lines = dockerfile().splitlines()
    let_through = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert sources
    for source in sources:
        assert (CHECKOUT / source).exists(), source
        assert source.split("/")[0] in let_through, source
    assert [line for line in lines if line.startswith("USER ")] == ["USER face-import"]
    assert dockerfile_environment()["FACE_IMPORT_HOME"] == HOME


def commands() -> list[list[str]]:
    """What our services run, shell lines taken apart at `&&`."""
    found = []
    for service in ours().values():
        words = service["command"]
        found += [part.split() for part in words[2].split("&&")] if words[0] == "bash" else [words]
    return found


def dockerfile() -> str:
    """The Dockerfile, continued lines joined."""
    return (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")


def dockerfile_environment() -> dict[str, str]:
    """The variables it sets."""
    words = [word for line in dockerfile().splitlines() if line.startswith("ENV ") for word in line.split()[1:]]
    return dict(word.split("=", 1) for word in words if "=" in word)
