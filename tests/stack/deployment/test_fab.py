"""Airflow as docker-compose.yaml sets it up, with FAB's users, on a PostgreSQL server and without containers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text
from werkzeug.security import generate_password_hash

from face_import.clients.airflow import Airflow
from face_import.contract import DAG_ID, FINISH_TASK, PLAN_TASK, SHARD_TASK
from face_import.domain.identity import POOL_PREFIX
from face_import.domain.planning import Pool
from face_import.errors import AirflowRefused, WrongState
from face_import.settings import CHECKOUT, Settings
from tests import servers
from tests.compose import HOME, ours
from tests.real import answers, free_ports
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # with the first test's set-up, on a busy machine
RECURRING = 'imports: [{name: other, schedule: {asset: "test://never"}, source: "http://x/", group: staff}]'


@dataclass(frozen=True)
class Deployed:
    """An Airflow that runs with the environment of the compose file."""

    settings: Settings
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command as a service of the file would; returns what it printed."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
        return done.stdout

    def login(self, user: str, password: str) -> requests.Response:
        """Ask for a token."""
        body = {"username": user, "password": password}
        return requests.post(f"{self.settings.airflow_api}/auth/token", json=body, timeout=60)

    def status(self, method: str, path: str, body: object = None) -> int:
        """What the API's user is answered."""
        token = self.login(self.settings.airflow_user, self.settings.airflow_password.get_secret_value()).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        url = f"{self.settings.airflow_api}/{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=60).status_code


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, str]]:
    """Two empty databases, by the names that the compose file has for them."""
    try:
        with servers.databases(2) as urls:
            yield dict(zip(("airflow", "face_import"), urls, strict=True))
    except servers.Unavailable as reason:
        servers.skip(reason)


def environment(home: Path, port: int, databases: dict[str, str]) -> dict[str, str]:
    """The environment of the file's services, with this machine's places instead of containers."""
    service = ours()["airflow-api-server"]["environment"]
    places = {
        f"http://airflow-api-server:{8080}": f"http://127.0.0.1:{port}",
        "/opt/face-import": str(CHECKOUT),
        HOME: str(home),
    }
    for name, url in databases.items():
        places[f"postgresql+psycopg://face_import@postgres/{name}"] = url

    def here(value: str) -> str:
        for there, place in places.items():
            value = value.replace(there, place)
        return value

    own = {name: value for name, value in os.environ.items() if not name.startswith(("FACE_IMPORT_", "AIRFLOW"))}
    return {
        **own,
        **{name: here(value) for name, value in service.items() if not name.startswith("AWS_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(str(CHECKOUT / part) for part in ("config", "plugins", ".")),
        "FACE_IMPORT_HOME": str(home),
        "FACE_IMPORT_RECURRING_FILE": str(home / "recurring_imports.yaml"),
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
    }


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, databases: dict[str, str]) -> Iterator[Deployed]:
    """What `airflow-init` does, then the DAGs in its database, and the api-server."""
    home = tmp_path_factory.mktemp("compose")
    (home / "recurring_imports.yaml").write_text(RECURRING)
    (port,) = free_ports(1)
    settings = Settings(home=home, airflow_port=port)
    found = Deployed(settings, environment(home, port, databases))
    found.run(*ours()["airflow-init"]["command"])
    with (home / "api-server.log").open("wb") as log:
        server = subprocess.Popen(
            ours()["airflow-api-server"]["command"], env=found.environment, cwd=CHECKOUT, stdout=log, stderr=log
        )
    try:
        found.run("airflow", "dags", "reserialize")  # while the server starts
        until(lambda: server.poll() is not None or answers(f"{settings.airflow_api}/api/v2/monitor/health"), 240)
        assert server.poll() is None, (home / "api-server.log").read_text()[-3000:]
        yield found
    finally:
        family = (
            [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]
            if server.poll() is None
            else []
        )
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(family, 15)[1]:
            process.kill()
        server.wait()


def test_the_api_can_do_all_that_imports_need(deployed: Deployed) -> None:
    """Every call of the client is allowed: runs, their task instances, and pools."""
    with Airflow(deployed.settings) as airflow:
        with pytest.raises(WrongState):
            airflow.trigger("run", {"source": "upload:run"}, "without a group")
        airflow.trigger("run", {"source": "upload:run", "group_name": "staff"}, "note")
        airflow.trigger("run", {"source": "upload:run", "group_name": "staff"}, "again")
        assert airflow.active_runs().keys() == {"run"}
        airflow.fail_run("run")
        run = airflow.run("run")
        assert run is not None
        assert run.state == "failed"
        assert airflow.to_clear("run", [], []) == [PLAN_TASK, SHARD_TASK, FINISH_TASK]
        airflow.clear("run", [PLAN_TASK, SHARD_TASK, FINISH_TASK])
        assert airflow.active_runs().keys() == {"run"}
        airflow._update_instances("run", [{"task_id": PLAN_TASK, "map_index": -1, "new_state": "success"}])
        assert {ti["task_id"]: ti["state"] for ti in airflow._task_instances("run")}[PLAN_TASK] == "success"
        pool = Pool(f"{POOL_PREFIX}run", 2, "")
        airflow.make_pool(pool)
        airflow.set_pool(replace(pool, slots=0))
        assert airflow.pools(POOL_PREFIX) == {f"{POOL_PREFIX}run": 0}
        airflow.delete_pool(f"{POOL_PREFIX}run")
        airflow.fail_run("run")
        assert airflow.delete_run("run")
        assert airflow.run("run") is None


def test_a_start_of_the_whole_finds_what_runs(deployed: Deployed) -> None:
    """The one-shot before the scheduler ends a run that has no task yet, with the API's own rights."""
    with Airflow(deployed.settings) as airflow:
        airflow.trigger("left", {"source": "http://x/a.csv", "group_name": "staff"}, "note")
        deployed.run("face-import", "stop-active")
        run = airflow.run("left")
    assert run is not None
    assert run.state == "failed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "api/v2/variables"),
        ("GET", "api/v2/connections"),
        ("GET", "api/v2/config"),
        ("GET", "api/v2/eventLogs"),
        ("PATCH", f"api/v2/dags/{DAG_ID}/dagRuns/~/taskInstances/~/logs/1"),
        ("DELETE", f"api/v2/dags/{DAG_ID}"),
        ("GET", "api/v2/dags/recurring_other/details"),
        ("POST", "api/v2/dags/recurring_other/dagRuns"),
        ("GET", "auth/fab/v1/users"),
        ("POST", "auth/fab/v1/users"),
        ("GET", "auth/fab/v1/roles"),
    ],
)
def test_the_api_can_do_nothing_else(deployed: Deployed, method: str, path: str) -> None:
    """Its password opens neither secrets, nor users, nor other DAGs."""
    bodies = {
        "api/v2/dags/recurring_other/dagRuns": {"logical_date": None},
        "auth/fab/v1/users": {"username": "x", "first_name": "x", "last_name": "x", "email": "x@x", "password": "x"},
    }
    body = bodies.get(path) if method == "POST" else None
    assert deployed.status(method, path, body) in ({404, 405} if method == "PATCH" else {403})


def test_a_person_logs_in_as_admin(deployed: Deployed) -> None:
    """With the password that stands in the secrets, and with no other."""
    password = (deployed.settings.home / "secrets" / "airflow_admin_password").read_text().strip()
    assert deployed.login("admin", password).status_code == 201
    assert deployed.login("admin", "admin").status_code == 401


def test_the_next_start_brings_rights_back(deployed: Deployed) -> None:
    """Rights that the API's user was given are taken away again, a person's own password stays, and none is printed."""
    name, secrets = deployed.settings.airflow_user, deployed.settings.home / "secrets"
    engine = create_engine(deployed.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    roles = text(
        "SELECT r.name FROM ab_role r JOIN ab_user_role x ON x.role_id = r.id JOIN ab_user u ON u.id = x.user_id"
        " WHERE u.username = :name"
    )
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE ab_user_role SET role_id = (SELECT id FROM ab_role WHERE name = 'Admin')"
                " WHERE user_id = (SELECT id FROM ab_user WHERE username = :name)"
            ),
            {"name": name},
        )
        connection.execute(text("UPDATE ab_user SET password = :hash"), {"hash": generate_password_hash("her own")})
    said = deployed.run("python", "-m", "face_import.orchestration.users")
    with engine.begin() as connection:
        assert connection.execute(roles, {"name": name}).scalars().all() == ["face_import"]
    engine.dispose()
    assert deployed.login(name, deployed.settings.airflow_password.get_secret_value()).status_code == 201
    assert deployed.login("admin", "her own").status_code == 201
    said += (deployed.settings.home / "api-server.log").read_text()
    for file in ("airflow_admin_password", "airflow_password"):
        assert (secrets / file).read_text().strip() not in said


def test_an_error_of_rights_is_told(deployed: Deployed) -> None:
    """A client whose user may not trigger says what Airflow answered."""
    with Airflow(deployed.settings) as airflow:
        airflow._runs = "/dags/recurring_other/dagRuns"
        with pytest.raises(AirflowRefused, match="403"):
            airflow.trigger("run", {}, "")
