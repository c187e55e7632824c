"""docker-compose.yaml fits the format, and what it names exists in the code; no Docker is needed."""

import importlib
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
import typer
from airflow.api_fastapi.core_api.datamodels.monitor import (
    BaseInfoResponse,
    HealthInfoResponse,
    SchedulerInfoResponse,
    TriggererInfoResponse,
)
from redis import Redis
from sqlalchemy import make_url

from face_import import __version__
from face_import.cli import app
from face_import.settings import CHECKOUT, Settings
from face_import.stack.environment import airflow_settings
from face_import.stack.layout import Layout
from face_import.stack.supervisor import programs
from face_import.stack.workers import worker_command
from tests.compose import COMPOSE, HOME, VARIABLE, example, fill, load, ours, services
from tests.containers.stack import commands_of
from tests.doubles.object_store import ObjectStore
from tests.servers import Unavailable, skip
from tests.waiting import until

SCHEMA = Path(__file__).parent / "schema" / "compose_spec.json"
ALONE = {
    "airflow-scheduler": {
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST",
    },
    "airflow-worker": {"AIRFLOW__CELERY__WORKER_CONCURRENCY"},
}
"""What only one service is told."""
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
        "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
        "AIRFLOW__API__HOST",
    }
    layout = Layout(Path(HOME))
    embedded = airflow_settings(Settings(home=Path(HOME)), layout)
    servers = {"broker_url": "redis://redis", "airflow_database_url": "postgresql+psycopg://postgres/airflow"}
    embedded |= airflow_settings(Settings(home=Path(HOME), executor_slots=8, **servers), layout)
    assert embedded.pop("AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX")  # the server is nobody else's
    assert embedded.pop("AIRFLOW_HOME") == dockerfile_environment()["AIRFLOW_HOME"]
    for name, service in ours().items():
        if not service["depends_on"]:
            continue  # the face services have no Airflow
        given = {k: v for k, v in service["environment"].items() if k.startswith("AIRFLOW")}
        alone = ALONE.get(name, set())
        assert given.keys() - embedded.keys() - alone == {"AIRFLOW__CORE__AUTH_MANAGER"}, name
        assert alone <= given.keys()
        elsewhere = set().union(*ALONE.values()) - alone
        assert {k: v for k, v in given.items() if k in embedded.keys() - here} == {
            k: v for k, v in embedded.items() if k not in here | elsewhere
        }, name


def test_more_workers_replace_nothing() -> None:
    """What is set for a worker is in the environment of workers alone, so `up` makes no other container anew."""
    users = [name for name, one in load()["services"].items() if "${AIRFLOW_WORKER_SLOTS" in json.dumps(one)]
    assert users == ["airflow-worker"]


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
    """Services call Airflow the way this release wants it."""
    calls = [words[1:] for words in commands() if words[0] == "airflow"]
    named = {"api-server", "scheduler", "celery", "dag-processor", "triggerer", "db"}
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


def test_modules_that_are_called_exist() -> None:
    """`python -m` names what is there."""
    modules = {words[2] for words in commands() if words[:2] == ["python", "-m"]} - {"gunicorn"}
    assert modules == {"face_import.orchestration.users"}
    assert all(importlib.util.find_spec(module) for module in modules)


def test_workers_are_those_of_the_embedded_stack() -> None:
    """They take from both queues, into which the DAG puts shards where our own setting names the broker."""
    worker = ours()["airflow-worker"]
    assert "container_name" not in worker
    assert "ports" not in worker
    embedded = list(worker_command(Settings(home=Path(HOME)), "one"))[3:]
    del embedded[(name := embedded.index("--celery-hostname")) : name + 4]  # with --concurrency, which a setting says
    assert [word for word in worker["command"][1:] if not word.startswith("--pid=")] == embedded
    broker = urlsplit(worker["environment"]["AIRFLOW__CELERY__BROKER_URL"])
    assert worker["environment"]["FACE_IMPORT_BROKER_URL"] == broker.geturl()
    assert (broker.scheme, broker.hostname, broker.port) == ("redis", "redis", 6379)
    assert "requirepass $$REDISCLI_AUTH" in services()["redis"]["command"][-1]
    assert services()["redis"]["environment"] == {"REDISCLI_AUTH": broker.password}


def test_the_broker_takes_messages_that_it_cannot_save(tmp_path: Path) -> None:
    """On a full disk a Redis would refuse all that writes: workers could take nothing, and no shard would start."""
    if shutil.which("redis-server") is None:
        skip(Unavailable("redis-server is not installed"))
    folder, address = tmp_path / "data", tmp_path / "socket"
    folder.mkdir()
    script = services()["redis"]["command"][-1].replace("$$", "$")
    script = script.replace("dir /data", f"dir {folder}\nport 0\nunixsocket {address}")
    server = subprocess.Popen(["sh", "-c", script], env=os.environ | {"REDISCLI_AUTH": "given"})
    try:
        until(address.exists)
        with Redis(unix_socket_path=str(address), password="given") as client:  # noqa: S106 - as the file is read
            client.set("a", 1)
            folder.rmdir()
            client.bgsave()
            until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
            assert client.rpush("queue", "message") == 1
            assert client.blpop("queue", timeout=1)
    finally:
        server.kill()  # asked to end, it would insist on saving
        server.wait(30)


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


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_one_command_is_the_guides_first_start(readme: str) -> None:
    """What is copied from the front page is what `make test-containers` runs, line by line."""
    guide = [line.partition("#")[0].strip() for line in commands_of("Containers", "deploy/make-env")]
    (command,) = re.findall(
        r"^```sh\n(deploy/make-env.*?)```$", (CHECKOUT / readme).read_text(), re.MULTILINE | re.DOTALL
    )
    assert " ".join(command.split()).split(" && ") == guide


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
    assert ours()[service]["healthcheck"]["test"][:3] == ["CMD", "answers", str(port)]
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


def test_what_services_name_is_there() -> None:
    """Compose refuses a network, a volume or a service that the file does not have; the schema does not see that."""
    for name, service in services().items():
        assert set(service["networks"]) <= load()["networks"].keys(), name
        assert service.get("depends_on", {}).keys() <= services().keys(), name


def test_volumes_are_declared_used_and_writable() -> None:
    """Each is mounted somewhere; where our user writes, the image has a folder of its own for it."""
    mounts = [mount.split(":") for service in services().values() for mount in service.get("volumes", [])]
    assert {source for source, *_ in mounts if not source.startswith(".")} == load()["volumes"].keys()
    assert all((CHECKOUT / source).is_file() for source, *_ in mounts if source.startswith("."))
    targets = {m.split(":")[1] for service in ours().values() for m in service["volumes"]}
    assert all(target in dockerfile().split() for target in targets)
    assert ours()["shim"]["environment"]["TMPDIR"] == str(Layout(Path(HOME)).temporary)
    assert targets > {str(Layout(Path(HOME)).temporary), str(Layout(Path(HOME)).logs)}


def test_only_the_initialiser_writes_secrets() -> None:
    """All others mount the volume with the passwords read-only; face services, and what runs before it, not at all."""
    mounts = {name: [m for m in one["volumes"] if m.split(":")[1] == HOME] for name, one in ours().items()}
    assert mounts.pop("airflow-init") == [f"face-import:{HOME}"]
    assert {name for name, mount in mounts.items() if not mount} == {"face-info", "face-library", "storage-init"}
    assert {mount for found in mounts.values() for mount in found} == {f"face-import:{HOME}:ro"}


def test_every_container_is_confined() -> None:
    """No privileges, no unbounded memory, processes or logs; ours write in volumes and /tmp only."""
    for name, service in services().items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service or name == "postgres"
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service["networks"], name
    assert all(service["read_only"] for service in ours().values())


def test_networks_are_apart() -> None:
    """Face services and the servers are on networks without a way out, and reach each other over none."""
    networks = {name: set(service["networks"]) for name, service in services().items()}
    inside = {name for name, network in load()["networks"].items() if network}
    assert inside == {"data", "faces"}
    assert all(load()["networks"][name] == {"internal": True} for name in inside)
    assert {name for name, used in networks.items() if "faces" in used} == {
        "face-info",
        "face-library",
        "airflow-worker",
    }
    for name in ("face-info", "face-library"):
        assert networks[name] == {"faces"}
    for name in ("postgres", "redis", "minio"):
        assert networks[name] == {"data"}
    assert {name for name, used in networks.items() if "default" in used} == {
        "airflow-worker",  # fetches images
        "keeper",  # sends callbacks
        *(name for name, service in services().items() if "ports" in service),
    }


def test_the_image_is_built_once_and_never_pulled() -> None:
    """One service builds it for all; an image of that name in a registry is not ours."""
    assert [name for name, service in services().items() if "build" in service] == ["airflow-init"]
    assert {service["pull_policy"] for service in ours().values()} == {"never"}


def test_health_checks_are_cheap() -> None:
    """Everything that stays has one, and none starts Python: a dozen of them would keep a processor busy."""
    for name, service in services().items():
        if service["restart"] != "no":
            assert not {"python", "airflow", "celery"} & set(" ".join(service["healthcheck"]["test"]).split()), name
    airflow = {name: ours()[name]["healthcheck"]["test"][2:] for name in ("airflow-dag-processor", "airflow-triggerer")}
    assert {tuple(words[:-1]) for words in airflow.values()} == {
        ("airflow-api-server:8080", "/api/v2/monitor/health"),
    }
    assert {words[-1] for words in airflow.values()} <= HealthInfoResponse.model_fields.keys()
    beating = {name for name, one in ours().items() if "FACE_IMPORT_HEARTBEAT_FILE" in one["environment"]}
    assert beating == {"airflow-worker", "keeper"}
    for name in beating:
        assert ours()[name]["environment"]["FACE_IMPORT_HEARTBEAT_FILE"] in ours()[name]["healthcheck"]["test"][1]


@pytest.mark.parametrize(
    ("answer", "part", "healthy"),
    [
        ("HTTP/1.1 200 OK", (), True),
        ("HTTP/1.0 503 no", (), False),
        ("HTTP/1.1 200 OK", ("scheduler",), True),
        ("HTTP/1.1 200 OK", ("triggerer",), False),
        ("HTTP/1.1 200 OK", ("dag_processor",), False),
    ],
)
def test_a_health_check_believes_what_it_is_answered(answer: str, part: tuple[str, ...], healthy: bool) -> None:
    """deploy/answers takes a 200, and of Airflow's report only a part that is called healthy."""
    report = HealthInfoResponse(
        metadatabase=BaseInfoResponse(status="healthy"),
        scheduler=SchedulerInfoResponse(status="healthy", latest_scheduler_heartbeat="now"),
        triggerer=TriggererInfoResponse(status="unhealthy", latest_triggerer_heartbeat="then"),
    ).model_dump_json()
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [CHECKOUT / "deploy" / "answers", str(server.getsockname()[1]), "/health", *part]
        check = subprocess.Popen(command)
        server.settimeout(30)
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as request:
            asked = list(iter(request.readline, b"\r\n"))
            assert asked[:2] == [b"GET /health HTTP/1.0\r\n", b"Host: localhost\r\n"]
            connection.sendall(f"{answer}\r\n\r\n{report}".encode())
        assert (check.wait(30) == 0) is healthy


def test_a_health_check_needs_somebody_who_answers() -> None:
    """Nobody on the port is a failure, and so is a name that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (str(port), f"nobody.invalid:{port}"):
        done = subprocess.run([CHECKOUT / "deploy" / "answers", address, "/"], check=False, capture_output=True)
        assert done.returncode != 0


def test_who_resumes_imports_waits_for_stop_active() -> None:
    """The programs that the embedded stack starts late wait here for it, and everybody for the migrations."""
    late = {program.name for program in programs(Settings()) if program.late}
    waiting = {
        name.removeprefix("airflow-")
        for name, service in ours().items()
        if service["depends_on"].get("stop-active") == {"condition": "service_healthy"}
    }
    assert waiting == late | {"worker"}
    for name, service in ours().items():
        for other, wanted in service["depends_on"].items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services()[other], name
            once = services()[other]["restart"] == "no"
            assert once == (wanted["condition"] == "service_completed_successfully"), name


def test_a_start_of_the_whole_stops_what_ran_and_more_workers_do_not() -> None:
    """The daemon starts it again with all others, and `up` leaves it alone, since it does not end."""
    service = ours()["stop-active"]
    assert service["restart"] == "unless-stopped"
    script = service["command"][2]
    assert script.endswith("exec sleep infinity")
    assert f"touch {service['healthcheck']['test'][-1]};" in script
    assert not any(mount.split(":")[1] == "/tmp" for mount in service["volumes"])  # noqa: S108 - a container's own


def test_face_services_go_after_those_that_need_them() -> None:
    """Compose stops dependents first, so a shard does not wait for services that are gone."""
    for name in ("face-info", "face-library"):
        assert ours()["airflow-worker"]["depends_on"][name] == {"condition": "service_healthy"}


def test_the_image_is_built_from_what_is_there() -> None:
    """Each COPY has its source, which .dockerignore lets through; it does not run as root."""
    lines = dockerfile().splitlines()
    let_through = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [line for line in lines if line.startswith("COPY ") and "--from=" not in line]
    sources = [word for line in copies for word in line.split()[1:-1]]
    assert sources
    for source in sources:
        assert (CHECKOUT / source).exists(), source
        assert {source, source.split("/")[0]} & let_through, source
    assert [line for line in lines if line.startswith("USER ")] == ["USER face-import"]
    assert len({line.split()[1] for line in lines if line.startswith("FROM ")}) == 1
    assert dockerfile_environment()["FACE_IMPORT_HOME"] == HOME


def test_the_images_labels_are_the_projects_metadata() -> None:
    """What a registry shows of the image is true of this release."""
    (label,) = (line for line in dockerfile().splitlines() if line.startswith("LABEL "))
    labels = dict(word.split("=", 1) for word in shlex.split(label)[1:])
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = {
        "title": "Face import",
        "description": project["description"],
        "version": __version__,
        "licenses": project["license"],
    }
    assert labels == {f"org.opencontainers.image.{name}": value for name, value in wanted.items()}


def commands() -> list[list[str]]:
    """What our services run, shell lines taken apart at `&&`."""
    found = []
    for service in ours().values():
        words = service["command"]
        if words[0] != "bash":
            found.append(words)
            continue
        found += [part.split() for part in re.split("&&|;", words[2].replace("until ", ""))]
    return found


def dockerfile() -> str:
    """The Dockerfile, continued lines joined."""
    return (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")


def dockerfile_environment() -> dict[str, str]:
    """The variables it sets."""
    words = [word for line in dockerfile().splitlines() if line.startswith("ENV ") for word in line.split()[1:]]
    return dict(word.split("=", 1) for word in words if "=" in word)
