"""What every process of the stack is told."""

import importlib.machinery
import os
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import yaml
from airflow.providers.celery.get_provider_info import get_provider_info

from face_import.settings import CHECKOUT, Settings
from face_import.stack.environment import airflow_settings, look_as_the_stack, stack_environment
from face_import.stack.layout import Layout, create_credentials
from face_import.stack.supervisor import programs
from tests.unit.stack.conftest import make_settings

DISTRIBUTED = {
    "database_url": "postgresql+psycopg://db/faces",
    "airflow_database_url": "postgresql+psycopg://db/airflow",
    "broker_url": "redis://:secret@broker/0",
}
UNDOCUMENTED = {
    ("scheduler", "num_stuck_in_queued_retries"),  # the scheduler reads it
    ("celery_broker_transport_options", "global_keyprefix"),  # kombu's own; Airflow hands the section on to it
}


@pytest.mark.parametrize("changes", [{}, DISTRIBUTED], ids=["embedded", "distributed"])
def test_every_airflow_setting_exists(layout: Layout, changes: dict[str, str]) -> None:
    """A section or key this Airflow does not have would silently do nothing."""
    known = yaml.safe_load((files("airflow") / "config_templates" / "config.yml").read_text())
    known |= get_provider_info()["config"]
    settings = make_settings(layout.home, **changes)
    names = [name for name in airflow_settings(settings, layout) if name.startswith("AIRFLOW__")]
    for name in names:
        _, section, key = name.lower().split("__")
        assert (section, key) in UNDOCUMENTED or key in known[section]["options"], name


def test_workers_are_set_up_by_urls_alone(layout: Layout, tmp_path: Path) -> None:
    """Executor, databases and broker follow from three settings; another stack's messages are not these workers'."""
    found = airflow_settings(make_settings(layout.home, **DISTRIBUTED), layout)
    assert found["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == DISTRIBUTED["airflow_database_url"]
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] == DISTRIBUTED["airflow_database_url"]
    assert found["AIRFLOW__CELERY__BROKER_URL"] == DISTRIBUTED["broker_url"]
    other = airflow_settings(make_settings(tmp_path, **DISTRIBUTED), Layout.of(tmp_path))
    prefix = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX"
    assert found[prefix] != other[prefix]


def test_workers_are_programs_without_a_secret_in_their_arguments(layout: Layout) -> None:
    """As many as wanted, started after `stop-active`, with both queues; a list of processes shows no password."""
    listed = programs(make_settings(layout.home, workers=3, **DISTRIBUTED))
    workers = [program for program in listed if program.name.startswith("worker-")]
    assert [program.name for program in workers] == ["worker-1", "worker-2", "worker-3"]
    assert all(program.late and program.command[-1] == "default,shards" for program in workers)
    assert "secret" not in " ".join(word for program in listed for word in program.command)


def test_no_secret_is_in_it(settings: Settings, layout: Layout) -> None:
    """Whoever may list processes may not read passwords."""
    create_credentials(settings, layout)
    values = "\n".join(stack_environment(settings, layout).values())
    for file in layout.secrets.glob("*password"):
        assert file.read_text().strip() not in values


@pytest.mark.parametrize(
    "name",
    [
        *("AIRFLOW__CORE__EXECUTOR", "AIRFLOW_CONFIG", "CELERY_BROKER_URL", "FACE_IMPORT_API_KEY", "FLASK_DEBUG"),
        *("GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS", "PYTHONHOME", "PYTHONPATH", "SCRIPT_NAME", "TMPDIR"),
        *("UVICORN_PORT", "VIRTUAL_ENV", "WEB_CONCURRENCY"),
        *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "http_proxy", "https_proxy", "no_proxy"),
    ],
)
def test_the_callers_own_settings_do_not_leak_in(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Another Airflow's variables in the operator's shell change nothing here, and the own API key stays there."""
    monkeypatch.delenv(name, raising=False)
    expected = stack_environment(settings, layout)
    monkeypatch.setenv(name, "theirs")
    assert stack_environment(settings, layout) == expected


def test_airflows_tasks_reach_their_server_whatever_proxy_the_caller_has(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """httpx, which Airflow's tasks use, raises if it does not know a proxy's kind, before any request."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:7890")
    environment = stack_environment(settings, layout)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    with httpx.Client(base_url=environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]) as client:
        assert client.base_url.port == settings.airflow_port


def test_the_proxy_for_images_is_a_setting(settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name looks like that of a proxy's variable."""
    monkeypatch.setenv("FACE_IMPORT_FETCH_PROXY", "http://proxy.example.com:3128")
    assert stack_environment(settings, layout)["FACE_IMPORT_FETCH_PROXY"] == "http://proxy.example.com:3128"


def test_a_command_can_look_as_the_stack_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` must not call a service unreachable because of a proxy that no import uses."""
    monkeypatch.setattr(os, "environ", {"HTTP_PROXY": "http://127.0.0.1:9", "FACE_IMPORT_PORT": "8001", "HOME": "/"})
    look_as_the_stack()
    assert os.environ == {"FACE_IMPORT_PORT": "8001", "HOME": "/"}


def test_a_dollar_in_a_password_is_not_a_variable(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow replaces `$NAME` in its settings, with whatever the caller's environment has."""
    monkeypatch.setenv("SECRET", "theirs")
    url = "postgresql+psycopg://user:a$SECRET@db/airflow"
    broker = "redis://:a$SECRET@broker/0"
    settings = make_settings(layout.home, airflow_database_url=url, broker_url=broker)
    found = airflow_settings(settings, layout)
    for name in ("DATABASE__SQL_ALCHEMY_CONN", "DATABASE__SQL_ALCHEMY_CONN_ASYNC", "CELERY__BROKER_URL"):
        value = os.path.expandvars(found[f"AIRFLOW__{name}"])
        assert unquote(urlsplit(value).password or "") == "a$SECRET"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"])
def test_an_object_store_is_found_by_its_usual_variables(
    settings: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Storage by s3:// works in every process as it does in the operator's shell."""
    monkeypatch.setenv(name, "theirs")
    assert stack_environment(settings, layout)[name] == "theirs"


def test_the_face_services_follow_the_imports_limit_of_pixels(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """One setting moves both, unless somebody sets the services' own."""
    settings = make_settings(layout.home, max_image_pixels=108_000_000)
    assert stack_environment(settings, layout)["FACE_SERVICES_MAX_PIXELS"] == "108000000"
    monkeypatch.setenv("FACE_SERVICES_MAX_PIXELS", "5000")
    assert stack_environment(settings, layout)["FACE_SERVICES_MAX_PIXELS"] == "5000"


def test_everything_listens_and_talks_on_loopback(settings: Settings, layout: Layout) -> None:
    """Airflow's default is every interface."""
    assert stack_environment(settings, layout)["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_all_packages_are_importable(settings: Settings, layout: Layout) -> None:
    """The policy hook's file, the package and the two Flask packages are found by every process."""
    path = stack_environment(settings, layout)["PYTHONPATH"].split(os.pathsep)
    for module in ("airflow_local_settings", "face_import", "api_shim", "face_console", "face_services"):
        assert importlib.machinery.PathFinder.find_spec(module, path), module


def test_relative_paths_are_made_absolute(layout: Layout) -> None:
    """The processes run in the checkout, not where the command was called."""
    files = dict.fromkeys(("api_keys_file", "ca_file", "fetch_headers_file"), "a file")
    found = stack_environment(make_settings(layout.home, **files), layout)
    assert {found[f"FACE_IMPORT_{name.upper()}"] for name in files} == {str(Path("a file").absolute())}
    assert found["AIRFLOW__CORE__DAGS_FOLDER"] == str(CHECKOUT / "dags")
