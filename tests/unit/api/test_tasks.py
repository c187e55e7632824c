"""The other endpoints, without Airflow: wrong states, lists, logs, errors, guards, the OpenAPI document."""

import csv
import io

import pytest
from flask.testing import FlaskClient

import api_shim
from face_import.catalogue import Catalogue
from face_import.contract import Code, Reason
from face_import.domain.models import Change, Outcome, OutcomeBatch
from face_import.errors import ConfigError
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.conftest import Create


@pytest.mark.parametrize("path", ["start", "stop", "delete", "detail", "log", "download_log"])
def test_an_unknown_task_is_404(client: FlaskClient, path: str) -> None:
    """Every endpoint of a task that is not there says so."""
    answer = client.get(f"/v1/tasks/AAAAAAAAAAAA/{path}")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_task_that_is_not_running_cannot_be_stopped(client: FlaskClient, create: Create) -> None:
    """A stop of a created task is 409 and names the state."""
    answer = client.get(f"/v1/tasks/{create().json['id']}/stop")
    assert answer.status_code == 409
    assert "created" in answer.json["error"]


def test_a_start_without_airflow_changes_nothing(client: FlaskClient, create: Create) -> None:
    """Airflow away is 503, and the task can be started later."""
    task_id = create().json["id"]
    answer = client.get(f"/v1/tasks/{task_id}/start")
    assert (answer.status_code, answer.json["code"]) == (503, "airflow_unavailable")
    assert client.get(f"/v1/tasks/{task_id}/detail").json["state"] == 1


def test_a_stop_without_airflow_holds(client: FlaskClient, make_task: MakeTask) -> None:
    """The catalogue's state fences the rows, whatever Airflow does."""
    task = make_task()
    assert client.post(f"/v1/tasks/{task.id}/stop").status_code == 200
    assert client.get(f"/v1/tasks/{task.id}/detail").json["state"] == 3


def test_a_deleted_task_is_gone(client: FlaskClient, create: Create) -> None:
    """After a delete every endpoint answers 404, also a second delete."""
    task_id = create().json["id"]
    assert client.get(f"/v1/tasks/{task_id}/delete").json == {}
    assert client.get(f"/v1/tasks/{task_id}/detail").status_code == 404
    assert client.get(f"/v1/tasks/{task_id}/delete").status_code == 404
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).json == {"ids": []}


def test_detail_tells_changes_where_only_those_are_imported(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """Rows by change add up to those that succeeded; any other import has none."""
    task = make_task(entry="nightly")
    catalogue.leases.take(task.id, 0, "me", 10)
    changes = (Change.NEW, Change.UNCHANGED, Change.UNCHANGED)
    outcomes = tuple(Outcome(n, "http://x", Code.OK, change=change) for n, change in enumerate(changes, 1))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    detail = client.get(f"/v1/tasks/{task.id}/detail").json
    assert detail["changes"] == {"new": 1, "changed": 0, "unchanged": 2, "gone": 0}
    assert detail["success_num"] == 3
    assert client.get(f"/v1/tasks/{make_task().id}/detail").json["changes"] is None


@pytest.mark.parametrize("status", [0, 1, "1", "", None], ids=repr)
def test_list_takes_status_in_any_form(client: FlaskClient, create: Create, status: object) -> None:
    """A number, a numeric text, an empty one or none."""
    task_id = create().json["id"]
    answer = client.post("/v1/tasks/list", json={"group_name": "staff", "status": status})
    assert answer.json == {"ids": [task_id]}
    other = client.post("/v1/tasks/list", json={"group_name": "staff", "status": 4})
    assert other.json == {"ids": []}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{broken", "not valid JSON"),
        ("[]", "body"),
        ("{}", "group_name"),
        ('{"group_name": "staff", "status": 9}', "status"),
        ('{"group_name": 5}', "group_name"),
    ],
)
def test_a_wrong_list_is_explained(client: FlaskClient, body: str, words: str) -> None:
    """What is wrong with a body is named."""
    answer = client.post("/v1/tasks/list", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert words in answer.json["error"]


@pytest.mark.parametrize("path", ["list", "AAAAAAAAAAAA/config"])
def test_a_form_is_no_json(client: FlaskClient, path: str) -> None:
    """A body of another type is told what is wanted."""
    answer = client.post(f"/v1/tasks/{path}", data={"group_name": "staff"})
    assert answer.status_code == 400
    assert "application/json" in answer.json["error"]


def test_a_long_log_is_streamed(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """The answer's length is not known before: it is not put together in memory."""
    task = make_task(rows=100)
    catalogue.leases.take(task.id, 0, "me", 10)
    outcomes = tuple(Outcome(n, "http://x", Code.NO_FACE, "no face found") for n in range(1, 101))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    for path in ("log", "download_log"):
        answer = client.get(f"/v1/tasks/{task.id}/{path}")
        assert answer.is_streamed, path
        assert len(answer.get_data()) > 100 * len("no face found")


def test_threads_are_changed_within_bounds(client: FlaskClient, create: Create) -> None:
    """A created task's thread_num changes; nonsense is refused."""
    task_id = create().json["id"]
    assert client.post(f"/v1/tasks/{task_id}/config", json={"thread_num": 33}).status_code == 200
    assert client.get(f"/v1/tasks/{task_id}/detail").json["config"]["thread_num"] == 33
    for wrong in (0, 201, "many", None):
        assert client.post(f"/v1/tasks/{task_id}/config", json={"thread_num": wrong}).status_code == 400


def test_a_spreadsheet_runs_nothing_of_the_log(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Cells that look like formulas become text; raw=1 and the JSON keep them."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    outcome = Outcome(
        1, '=HYPERLINK("x"),"1"', Code.URI_UNREACHABLE, "-1 is no address\nat all", reason=Reason.NOT_FOUND
    )
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (outcome,)))

    def cells(query: str) -> list[list[str]]:
        text = client.get(f"/v1/tasks/{task.id}/download_log{query}").get_data(as_text=True)
        return list(csv.reader(io.StringIO(text, newline="")))

    assert cells("") == [["'" + outcome.uri, "101", "'" + outcome.message]]
    assert cells("?raw=1") == [[outcome.uri, "101", outcome.message]]
    assert client.get(f"/v1/tasks/{task.id}/log").json == {
        "logs": [{"row": 1, "uri": outcome.uri, "code": 101, "message": outcome.message, "reason": "not_found"}],
        "total_count": 1,
    }


@pytest.mark.parametrize("query", ["skip=-1", "limit=x", "code=999", "page=2"])
def test_a_wrong_log_query_is_refused(client: FlaskClient, create: Create, query: str) -> None:
    """Unknown and malformed parameters of a log are named."""
    answer = client.get(f"/v1/tasks/{create().json['id']}/log?{query}")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(query.split("=", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8000"}, 403),
        ({"Host": "localhost:8000"}, 404),
        ({"Host": "[::1]:8000"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 404),
    ],
    ids=str,
)
def test_foreign_hosts_and_pages_are_refused(client: FlaskClient, headers: dict[str, str], status: int) -> None:
    """A browser that another site talked into a request, or a rebound name, gets nothing."""
    assert client.get("/v1/tasks/AAAAAAAAAAAA/delete", headers=headers).status_code == status


def test_no_open_port_without_keys(settings: Settings) -> None:
    """The shim does not start on an address that other machines reach."""
    with pytest.raises(ConfigError, match="FACE_IMPORT_BIND"):
        api_shim.create_app(settings.model_copy(update={"bind": "0.0.0.0"}))  # noqa: S104 - refused


def test_the_openapi_document_names_every_endpoint(client: FlaskClient) -> None:
    """The document is generated from what validates."""
    document = client.get("/openapi.json").json
    assert set(document["paths"]) == {
        "/v1/tasks/create",
        "/v1/tasks/list",
        *(
            f"/v1/tasks/{{task_id}}/{name}"
            for name in ("start", "stop", "delete", "config", "detail", "log", "download_log")
        ),
    }
    assert document["openapi"].startswith("3.1")


def test_the_openapi_document_knows_this_installations_bounds(client: FlaskClient, settings: Settings) -> None:
    """The pattern of group names and the largest thread_num are those of the settings."""
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    form, threads = (
        next(s for name, s in schemas.items() if name.startswith(n)) for n in ("CreateForm", "ConcurrencyBody")
    )
    assert form["properties"]["group_name"]["pattern"] == settings.group_name_pattern
    assert threads["properties"]["thread_num"]["maximum"] == settings.max_threads


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient, method: str) -> None:
    """405 names what is allowed."""
    answer = client.open("/v1/tasks/AAAAAAAAAAAA/start", method=method)
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.allow)


@pytest.mark.parametrize("value", ["5", True, 1.5, None, {}, []], ids=repr)
def test_a_number_in_json_is_a_number(client: FlaskClient, create: Create, value: object) -> None:
    """Neither a text nor true is taken for thread_num."""
    answer = client.post(f"/v1/tasks/{create().json['id']}/config", json={"thread_num": value})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("thread_num: ")


@pytest.mark.parametrize("status", [5, -1, "5", "01", " 1", "one", True, 1.5, {}, [1]], ids=repr)
def test_a_state_that_is_none_is_refused(client: FlaskClient, status: object) -> None:
    """A list is not narrowed by what nobody meant."""
    answer = client.post("/v1/tasks/list", json={"group_name": "staff", "status": status})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("status: ")


@pytest.mark.parametrize("path", ["list", "AAAAAAAAAAAA/config"])
def test_hostile_bodies_are_refused(client: FlaskClient, path: str) -> None:
    """Endless nesting and endless size are the client's mistake."""
    deep = client.post(f"/v1/tasks/{path}", data="[" * 200_000, content_type="application/json")
    assert deep.status_code == 400
    large = client.post(f"/v1/tasks/{path}", data=" " * 2_000_000, content_type="application/json")
    assert large.status_code in {400, 413}


def test_a_malformed_origin_is_foreign(client: FlaskClient) -> None:
    """What cannot be parsed is nobody we know."""
    assert client.get("/healthz", headers={"Origin": "http://["}).status_code == 403


def test_what_is_no_task_id_is_404(client: FlaskClient) -> None:
    """Also with characters that a database would choke on."""
    assert client.get("/v1/tasks/%00/detail").status_code == 404


def test_errors_are_json(client: FlaskClient) -> None:
    """Unknown paths and wrong methods have the error body too."""
    assert client.get("/nowhere").json["code"] == "not_found"
    assert client.get("/v1/tasks/list").json["code"] == "method_not_allowed"
