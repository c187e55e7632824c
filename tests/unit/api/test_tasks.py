"""The other endpoints, without Airflow: wrong states, lists, logs, errors, guards, the OpenAPI document."""

import csv
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

import api_shim
from face_import.catalogue import Catalogue
from face_import.contract import Code, Notice, Reason
from face_import.domain.models import Change, FailurePolicy, Outcome, OutcomeBatch
from face_import.errors import ConfigError
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.doubles.runs import Runs
from tests.hosts import unavailable
from tests.unit.api.conftest import Create


@pytest.mark.parametrize("path", ["start", "stop", "delete", "detail", "log", "download_log", "download_rows", "rows"])
def test_an_unknown_task_is_404(client: FlaskClient, path: str) -> None:
    """Every endpoint of a task that is not there says so."""
    answer = client.get(f"/v1/tasks/AAAAAAAAAAAA/{path}")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "sent", "problem"),
    [
        ("undo?preview=true", {}, "preview: unknown; this call takes no query"),
        ("delete?force=", {}, "force: unknown; this call takes no query"),
        ("start", {"json": {"dry_run": True}}, "dry_run: unknown; this call takes no body"),
        (
            "stop",
            {"data": "{", "content_type": "application/json"},
            "body: not valid JSON; send it as application/json",
        ),
        ("judge?pos_yaw=3", {"json": {}}, "pos_yaw: unknown; this call takes no query"),
        ("retry", {"json": {"codes": [101], "dry": 1}}, "dry: unknown; send codes, reasons, rows, preview"),
        ("log?limit=1&limit=2", {}, "limit: sent 2 times; send it once"),
        ("judge", {"json": []}, "body: send a JSON object"),
    ],
)
def test_what_nobody_knows_is_refused(
    client: FlaskClient, create: Create, path: str, sent: dict[str, Any], problem: str
) -> None:
    """In a query, in the body of a call that takes none, and beside what is known: it may have been meant to matter."""
    method = client.get if path.startswith("log") else client.post
    answer = method(f"/v1/tasks/{create().json['id']}/{path}", **sent)
    assert (answer.status_code, answer.json["error"]) == (400, problem)


@pytest.mark.parametrize("path", ["log?code=&limit=&skip=", "rows?limit=&code=", "download_log?raw=", "detail"])
def test_an_empty_parameter_is_not_sent(client: FlaskClient, create: Create, path: str) -> None:
    """As a form's blank field."""
    task_id = create().json["id"]
    assert client.get(f"/v1/tasks/{task_id}/{path}").status_code in {200, 409}


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


def test_what_a_running_task_waits_for_is_said(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Only while it is running: one that was stopped waits for nothing, and a start begins without it."""
    task = make_task()
    said = lambda: client.get(f"/v1/tasks/{task.id}/detail").json["notice"]  # noqa: E731 - asked four times
    assert said() == ""
    catalogue.tasks.notify(task.id, Notice.DAG_PAUSED)
    assert said() == Notice.DAG_PAUSED
    catalogue.tasks.stop(task.id)
    assert said() == ""
    catalogue.tasks.start(task.id)
    assert said() == ""


@pytest.mark.parametrize("paused", [True, False])
def test_a_start_answers_what_the_task_waits_for(
    settings: Settings,
    make_task: MakeTask,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    *,
    paused: bool,
) -> None:
    """The API document's `{}`, unless somebody has paused the DAG."""
    airflow = Runs(settings)
    airflow.paused = paused
    monkeypatch.setattr(api_shim.app_context, "Airflow", lambda _settings: airflow)
    client: FlaskClient = request.getfixturevalue("client")
    answer = client.post(f"/v1/tasks/{make_task(running=False).id}/start")
    assert (answer.status_code, answer.json) == (200, {"notice": Notice.DAG_PAUSED} if paused else {})


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


def test_image_hosts_that_a_task_waits_for_are_in_its_detail(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """While it runs: each with the reason, since when, how many rows, and when it is asked again."""
    task = make_task(shards=2)
    detail = f"/v1/tasks/{task.id}/detail"
    assert client.get(detail).json["waiting"] == []
    moments = {"since": 1_900_000_000.0, "retry_at": 1_900_000_024.5}
    unavailable(catalogue, task.id, rows=(800, 12), **moments)
    unavailable(catalogue, task.id, "https://other.example.com:8443", reason="connection refused", rows=(900, 0))
    unavailable(catalogue, task.id, "http://healed.example.com", since=None)
    unavailable(catalogue, task.id, "http://given-up.example.com", given_up=True)
    other, first = client.get(detail).json["waiting"]
    assert (other["host"], other["reason"], other["rows"]) == ("other.example.com:8443", "connection refused", 900)
    assert first == {
        "host": "img.example.com",
        "reason": "429 Too Many Requests",
        "since": "2030-03-17T17:46:40.000+00:00",
        "rows": 812,
        "retry_at": "2030-03-17T17:47:04.500+00:00",
    }
    catalogue.tasks.stop(task.id)
    assert client.get(detail).json["waiting"] == []


@pytest.mark.parametrize("status", [0, 1, "1", "", None], ids=repr)
def test_list_takes_status_in_any_form(client: FlaskClient, create: Create, status: object) -> None:
    """A number, a numeric text, an empty one or none."""
    task_id = create().json["id"]
    answer = client.post("/v1/tasks/list", json={"group_name": "staff", "status": status})
    assert answer.json == {"ids": [task_id]}
    other = client.post("/v1/tasks/list", json={"group_name": "staff", "status": 4})
    assert other.json == {"ids": []}


def test_a_list_has_pages(client: FlaskClient, create: Create) -> None:
    """Of ids or summaries, oldest first; the total is that of all pages."""
    made = [create().json["id"] for _ in range(3)]

    def listed(**body: object) -> dict[str, Any]:
        return client.post("/v1/tasks/list", json={"group_name": "staff", **body}).json

    assert [listed(skip=skip, limit=2)["ids"] for skip in (0, 2, 4)] == [made[:2], made[2:], []]
    pages = [listed(skip=skip, limit=2, fields="summary") for skip in (0, 2, 4)]
    assert [[task["id"] for task in page["tasks"]] for page in pages] == [made[:2], made[2:], []]
    assert [page["total_count"] for page in pages] == [3, 3, 3]
    assert listed(fields="summary", status=4) == {"ids": [], "tasks": [], "total_count": 0}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"skip": -1}, {"fields": "all"}, {"limit": "7"}):
        assert client.post("/v1/tasks/list", json={"group_name": "staff", **wrong}).status_code == 400, wrong


def test_a_summary_says_what_detail_says(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Of each task its own counts, over all of its shards."""
    tasks = [make_task(shards=2, rows=2) for _ in range(2)]
    for task, code in zip(tasks, (Code.OK, Code.NO_FACE), strict=True):
        for shard in (0, 1):
            catalogue.leases.take(task.id, shard, "me", 10)
            outcome = Outcome(1 + 2 * shard, "http://x", code, "no face found" if code else "")
            catalogue.ledger.write(OutcomeBatch(task.id, shard, "me", (outcome,)))
    shown = client.post("/v1/tasks/list", json={"group_name": "staff", "fields": "summary"}).json["tasks"]
    assert [(task["success_num"], task["errors"]) for task in shown] == [(2, {}), (0, {"201": 2})]
    for task in shown:
        detail = client.get(f"/v1/tasks/{task.pop('id')}/detail").json
        assert task.pop("source")
        assert task == {name: detail[name] for name in task}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{broken", "not valid JSON"),
        ("[]", "body"),
        ('{"group_name": ""}', "group_name"),
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


def test_what_failures_do_is_changed(client: FlaskClient, create: Create) -> None:
    """One number or several, the others stay as they are; nothing, a null and nonsense are refused."""
    task_id = create(max_failed="7").json["id"]

    def changed(**numbers: object) -> tuple[int, list[int]]:
        answer = client.post(f"/v1/tasks/{task_id}/config", json=numbers)
        config = client.get(f"/v1/tasks/{task_id}/detail").json["config"]
        names = ("thread_num", "max_failed", "max_failed_percent", "fail_on_errors")
        return answer.status_code, [config[name] for name in names]

    assert changed(max_failed_percent=20) == (200, [10, 7, 20, 0])
    assert changed(max_failed=0, fail_on_errors=1, thread_num=4) == (200, [4, 0, 20, 1])
    for name, wrong in (("max_failed", -1), ("max_failed_percent", 101), ("fail_on_errors", 2), ("max_failed", None)):
        assert changed(thread_num=9, **{name: wrong}) == (400, [4, 0, 20, 1])
    assert changed() == (400, [4, 0, 20, 1])
    nothing = client.post(f"/v1/tasks/{task_id}/config", json={}).json["error"]
    assert "send at least one of thread_num, max_failed, max_failed_percent, fail_on_errors" in nothing


def test_a_budget_that_is_overrun_stops_the_task(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """State 3, with how many rows failed with which codes, what was allowed, and what to do."""
    task = make_task(policy=FailurePolicy(max_failed=1))
    catalogue.leases.take(task.id, 0, "me", 10)
    outcomes = tuple(Outcome(n, "http://x", Code.NO_FACE, "no face found") for n in range(1, 3))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    detail = client.get(f"/v1/tasks/{task.id}/detail").json
    assert (detail["state"], detail["failed_num"]) == (3, 2)
    assert detail["last_error"] == (
        "2 of 2 rows failed (201: 2), at most 1 is allowed; see the log for the reasons, then start the task to go on, "
        "or retry the failed rows: either counts failures anew; to allow more of them, change max_failed or "
        "max_failed_percent first"
    )


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
            for name in (
                *(
                    "start",
                    "retry",
                    "stop",
                    "delete",
                    "config",
                    "detail",
                    "log",
                    "download_log",
                    "download_rows",
                    "rows",
                ),
                *("judge", "measurements", "limits", "undo", "events"),
            )
        ),
    }
    assert document["openapi"].startswith("3.1")


def test_the_openapi_document_knows_this_installations_bounds(client: FlaskClient, settings: Settings) -> None:
    """The pattern of group names and the largest thread_num are those of the settings."""
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    form, numbers = (schemas[name]["properties"] for name in ("CreateForm", "ConfigBody"))
    assert form["group_name"]["pattern"] == settings.group_name_pattern
    for threads, least in ((form["thread_num"], 0), (form["host_threads"], 0), (numbers["thread_num"], 1)):
        assert (threads["type"], threads["minimum"], threads["maximum"]) == ("integer", least, settings.max_threads)


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


def test_a_retry_is_counted_before_it_is_made(client: FlaskClient, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Neither a preview changes anything, nor a retry while Airflow is away."""
    task = make_task(rows=4)
    catalogue.leases.take(task.id, 0, "me", 10)
    missing = [Outcome(row, "u", Code.URI_UNREACHABLE, "404", reason=Reason.NOT_FOUND) for row in (2, 3)]
    good = [Outcome(row, "u", Code.OK, "", f"id-{row}") for row in (1, 4)]
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (*missing, *good)))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    retry = lambda **body: client.post(f"/v1/tasks/{task.id}/retry", json=body)  # noqa: E731 - asked six times
    assert retry(preview=True).status_code == 409, "it is running"
    catalogue.tasks.complete(task.id)

    assert retry(preview=True).json == {"rows": 2}
    assert retry(codes=[101], reasons=["not_found"], rows="1-2", preview=True).json == {"rows": 1}
    answer = retry(rows="3")
    assert (answer.status_code, answer.json["code"]) == (503, "airflow_unavailable")
    detail = client.get(f"/v1/tasks/{task.id}/detail").json
    assert (detail["state"], detail["handled_num"], detail["attempts"]) == (4, 4, 1)


@pytest.mark.parametrize(
    "body",
    [{"codes": [0]}, {"codes": "101"}, {"reasons": ["bad"]}, {"rows": "x"}, {"rows": 7}, {"code": 101}, [], None],
)
def test_a_retry_of_nonsense_is_refused(client: FlaskClient, create: Create, body: object) -> None:
    """With the field's name, and before anything is looked at."""
    answer = client.post(f"/v1/tasks/{create().json['id']}/retry", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
