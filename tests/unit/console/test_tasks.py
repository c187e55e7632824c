"""The list of imports, and the pages that Airflow and wrong addresses lead to."""

import re

import pytest
from flask.testing import FlaskClient

import api_shim
import face_console
from face_import.catalogue import Catalogue
from face_import.contract import Code, Notice
from face_import.domain.identity import import_of_run, task_id_of_run
from face_import.domain.models import Outcome, OutcomeBatch, Shard
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.test_results import run
from tests.unit.console.conftest import Create, Fail, Get


def listed(page: str) -> list[str]:
    """Groups of the imports on a page, in its order."""
    return re.findall(r'<a href="/tasks/[^"]+">([^<]+)</a>', page)


def test_without_imports_the_page_says_what_they_are(get: Get) -> None:
    """The empty list leads to the first import, and a filter without results back to all."""
    assert "Create your first import" in get("/")
    assert "No matching imports" in get("/?group=staff")
    assert "还没有导入" in get("/", language="zh")


def test_imports_are_listed_newest_first(get: Get, create: Create) -> None:
    """Each has its group, file and state; the names of groups are offered."""
    for group in ("first", "second", "third"):
        create(group_name=group)
    page = get("/")
    assert listed(page) == ["third", "second", "first"]
    assert page.count("faces.csv") == 3
    assert "0 of 1 rows" in page
    assert '<option value="second">' in page


@pytest.mark.parametrize(
    ("query", "groups"),
    [
        ("group=ta", ["staff-2", "staff"]),
        ("group=%25", []),
        ("group=a_f", []),
        ("state=1", ["staff-2", "guests"]),
        ("state=2", ["staff"]),
        ("group=staff&state=1", ["staff-2"]),
        ("group=staff&exact=1", ["staff"]),
        ("group=ta&exact=1", []),
        ("exact=1", ["staff-2", "guests", "staff"]),
        ("state=nonsense", ["staff-2", "guests", "staff"]),
        ("state=&group=", ["staff-2", "guests", "staff"]),
    ],
)
def test_the_list_is_filtered(get: Get, create: Create, make_task: MakeTask, query: str, groups: list[str]) -> None:
    """By a part of the group's name, in which nothing is a wildcard, and by state."""
    make_task()
    create(group_name="guests")
    create(group_name="staff-2")
    assert listed(get(f"/?{query}")) == groups


def test_long_lists_have_pages(get: Get, create: Create) -> None:
    """Twenty at a time, and the filter goes along."""
    for number in range(21):
        create(group_name=f"group-{number:02}")
    first = get("/?group=group")
    assert len(listed(first)) == 20
    assert 'href="/?page=2&amp;group=group"' in first
    assert listed(get("/?page=2&group=group")) == ["group-00"]
    assert "No imports yet" in get("/?page=3")
    for _ in range(20):
        create(group_name="group-20")
    assert 'href="/?page=2&amp;group=group-20&amp;exact=1"' in get("/?group=group-20&exact=1")


def test_running_imports_move(client: FlaskClient, get: Get, make_task: MakeTask, fail: Fail) -> None:
    """A page with a running import asks every two seconds, and gets its numbers."""
    task = make_task()
    assert 'hx-trigger="every 2s"' in get("/")
    fail(task, (Code.NO_FACE, "http://x", ""), (Code.YAW, "http://x", ""))
    live = get(f"/live?id={task.id}&id=AAAAAAAAAAAA&id=%00")
    assert 'value="2"' in live
    assert f'hx-swap-oob="innerHTML:#t-{task.id}-failed">2<' in live
    client.post(f"/tasks/{task.id}/stop")
    assert 'hx-trigger="every 15s"' in get(f"/live?id={task.id}")


def test_an_import_that_waits_says_for_what(get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """In the reader's language, also on a page that is open."""
    task = make_task()
    (mark,) = re.findall(r"/live\?mark=([^\"&]+)", get(f"/tasks/{task.id}"))
    catalogue.tasks.notify(task.id, Notice.DAG_PAUSED)
    assert Notice.DAG_PAUSED in get(f"/tasks/{task.id}/live?mark={mark}")
    assert "导入任务正在等待" in get(f"/tasks/{task.id}", language="zh")
    assert "在 Airflow 中已被暂停" in get(f"/tasks/{task.id}", language="zh")


@pytest.mark.parametrize(("failed", "failures"), [(1, "1 failure"), (3, "3 failures")])
def test_an_import_that_completed_with_failures_says_so(
    get: Get, catalogue: Catalogue, make_task: MakeTask, failed: int, failures: str
) -> None:
    """In amber, in the list and on its page; one without failures is green and just completed."""
    codes = (failed, 0)
    tasks = [make_task() for _ in codes]
    for task, bad in zip(tasks, codes, strict=True):
        catalogue.leases.take(task.id, 0, "me", 10)
        outcomes = (Outcome(n, "http://x", Code.NO_FACE if n <= bad else Code.OK, "", f"f-{n}") for n in range(1, 11))
        catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", tuple(outcomes)))
        assert catalogue.tasks.complete(task.id)
    for page in ("/", f"/tasks/{tasks[0].id}", f"/live?id={tasks[0].id}", f"/tasks/{tasks[0].id}/live"):
        shown = get(page)
        assert f'<span class="badge state-4 flawed">Completed with {failures}</span>' in shown
        assert '<progress class="state-4 flawed"' in shown
        assert f">已完成，{failed} 行失败</span>" in get(page, language="zh")
    clean = get(f"/tasks/{tasks[1].id}")
    assert '<span class="badge state-4">Completed</span>' in clean
    assert "flawed" not in clean


def test_programs_learn_where_the_api_is(client: FlaskClient) -> None:
    """Whoever asks for JSON at the root gets it."""
    assert client.get("/", headers={"Accept": "application/json"}).json["api"] == "/v1/tasks"


def test_a_run_leads_to_its_import(client: FlaskClient, get: Get, catalogue: Catalogue, make_task: MakeTask) -> None:
    """By any run id Airflow may have, inside a frame too; a run without import has a page that waits."""
    config, run_id = make_task().config, "manual__2026-11-22T10:00:00+00:00/x"
    task_id = task_id_of_run(run_id)
    catalogue.tasks.add(task_id, run_id, config, state=1)
    answer = client.get(f"/runs/{run_id}?embed=1")
    assert (answer.status_code, answer.location) == (303, f"/tasks/{task_id}?embed=1")
    assert "There is no import for this run" in get("/runs/manual__none", status=404)
    part = client.get("/runs/manual__none", headers={"HX-Request": "true"})
    assert part.status_code == 204
    found = client.get(f"/runs/{run_id}", headers={"HX-Request": "true"})
    assert found.headers["HX-Redirect"] == f"/tasks/{task_id}"
    assert client.get(f"/runs/{run_id}?shard=3").location == f"/tasks/{task_id}?shard=3#log"


def test_a_run_of_a_recurring_import_leads_to_what_it_began(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """Airflow's tab is on the runs of every DAG, and says which one it is."""
    task_id = import_of_run("recurring_staff", "scheduled__2026-11-22")
    catalogue.tasks.add(task_id, task_id, make_task().config, state=1)
    answer = client.get("/runs/scheduled__2026-11-22?dag=recurring_staff&embed=1")
    assert answer.location == f"/tasks/{task_id}?embed=1"


def test_a_frame_has_no_navigation(get: Get, create: Create) -> None:
    """Pages for Airflow lead to pages for Airflow."""
    task_id = create().json["id"]
    page = get("/?embed=1")
    assert "<header" not in page
    assert f'href="/tasks/{task_id}?embed=1"' in page


@pytest.mark.parametrize("path", ["/tasks/AAAAAAAAAAAA", "/tasks/%00", "/nowhere", "/console/thumbnail/AAAAAAAAAAAA/1"])
def test_wrong_addresses_have_a_page(get: Get, path: str) -> None:
    """People get a page, in their language, and a way back."""
    page = get(path, status=404)
    assert "Not found" in page
    assert "All imports" in page
    chinese = get(path, language="zh", status=404)
    assert "内容不存在" in chinese
    assert "地址有误，或者导入任务已被删除。" in chinese


def test_pages_run_only_our_own_files(client: FlaskClient) -> None:
    """No inline code or style works, nobody but Airflow may frame a page, and no type is guessed."""
    for path in ("/", "/new", "/nowhere", "/console/static/console.js"):
        headers = client.get(path, headers={"Accept": "text/html"}).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';"), path
        assert "unsafe" not in policy
        assert policy.endswith("; frame-ancestors http://127.0.0.1:9 http://localhost:9")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
    assert not re.search(r"<script>|<style|style=|onclick=", client.get("/new").get_data(as_text=True))


def test_airflow_is_where_a_browser_finds_it(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where the API does: links lead there, and frames are for its pages alone."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)
    names = {"airflow_url": "http://airflow-api-server:8080", "airflow_public_url": "https://airflow.example/"}
    answer = face_console.create_app(settings.model_copy(update=names)).test_client().get(f"/tasks/{make_task().id}")
    assert 'href="https://airflow.example/dags/face_import/runs/' in answer.text
    assert answer.headers["Content-Security-Policy"].endswith("; frame-ancestors https://airflow.example")
    assert "airflow-api-server" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    ("method", "mode", "path", "status"),
    [
        ("GET", "navigate", "/", 200),
        ("GET", "no-cors", "/", 403),
        ("POST", "navigate", "/tasks/AAAAAAAAAAAA/delete", 403),
        ("POST", "navigate", "/new", 403),
        ("GET", "navigate", "/v1/tasks/AAAAAAAAAAAA/delete", 403),
        ("GET", "no-cors", "/console/thumbnail/AAAAAAAAAAAA/1", 403),
    ],
)
def test_other_sites_may_only_link(client: FlaskClient, method: str, mode: str, path: str, status: int) -> None:
    """A link from elsewhere opens a page; nothing else that another site makes a browser do is done."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}
    assert client.open(path, method=method, headers=headers).status_code == status


def test_failed_rows_of_an_ended_import_can_be_retried(
    client: FlaskClient, get: Get, catalogue: Catalogue, make_task: MakeTask, fail: Fail
) -> None:
    """By code or all, not while it runs; without Airflow the page says so."""
    task = make_task(rows=3)
    fail(task, (Code.URI_UNREACHABLE, "http://x/1", "404"), (Code.NO_FACE, "http://x/2", ""), (Code.NO_FACE, "", ""))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    assert "retry-" not in get(f"/tasks/{task.id}")
    catalogue.tasks.complete(task.id)
    page = get(f"/tasks/{task.id}")
    assert set(re.findall(r'id="(retry-\w+)"', page)) == {"retry-101", "retry-201", "retry-all"}

    answer = client.post(f"/tasks/{task.id}/retry", data={"code": "201"})
    assert answer.status_code == 503
    assert "Airflow is unavailable" in answer.text
    assert catalogue.ledger.progress(task.id).by_code == {101: 1, 201: 2}
    for code in ("7", "", "all", "201.0", "9" * 5000):
        assert client.post(f"/tasks/{task.id}/retry", data={"code": code}).status_code == 400, code


def test_failed_rows_are_downloaded_to_be_corrected(
    client: FlaskClient, get: Get, create: Create, catalogue: Catalogue, settings: Settings
) -> None:
    """All columns of the file with the reasons, of the code that the log shows; imported again as it is."""
    task_id = create(b"uri,tag,floor\nhttp://x/1.jpg,Ann,3\nhttp://x/2.jpg,Bob,4\n").json["id"]
    outcomes = [Outcome(1, "", Code.URI_UNREACHABLE, "404"), Outcome(2, "", Code.NO_FACE, "no face found")]
    run(catalogue, settings, task_id, outcomes)
    (link,) = re.findall(r'href="([^"]*failed\.csv[^"]*)"', get(f"/tasks/{task_id}?code=201"))
    answer = client.get(link.replace("&amp;", "&"))
    header, *lines = answer.text.removeprefix("\ufeff").splitlines()
    assert header.startswith("uri,tag,floor,row,line,code,reason,message,")
    assert [line[:41] for line in lines] == ["http://x/2.jpg,Bob,4,2,3,201,,no face fou"]
    assert create(answer.data).status_code == 200


def test_rows_to_correct_are_those_of_the_shard(
    client: FlaskClient, get: Get, create: Create, catalogue: Catalogue
) -> None:
    """As the log, when Airflow's link to a shard has narrowed it."""
    task_id = create(b"uri\n" + b"http://x/1.jpg\n" * 4).json["id"]
    catalogue.plans.commit(task_id, [Shard(0, 1, 2, 4, 34, 2), Shard(1, 3, 2, 34, 64, 4)], 4)
    catalogue.tasks.start(task_id)
    for number, rows in enumerate(((1, 2), (3, 4))):
        catalogue.leases.take(task_id, number, "me", 10)
        failed = tuple(Outcome(row, "", Code.NO_FACE, "") for row in rows)
        catalogue.ledger.write(OutcomeBatch(task_id, number, "me", failed))
    (link,) = re.findall(r'href="([^"]*failed\.csv[^"]*)"', get(f"/tasks/{task_id}?shard=1&code=201"))
    lines = client.get(link.replace("&amp;", "&")).text.splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == ["3", "4"]


def test_the_page_of_a_task_says_what_became_of_its_callback(
    client: FlaskClient, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """Its address without secrets, and the last answer while it is not delivered; nothing for a task without one."""
    task = make_task(callback_url="https://me:p4ss@app.example.com/hooks?key=t0k")

    def shown() -> str:
        page = client.get(f"/tasks/{task.id}").get_data(as_text=True)
        assert "p4ss" not in page
        assert "t0k" not in page
        found = re.search(r"<dt>Callback URL</dt><dd>(.*?)</dd>", page)
        assert found is not None
        return found[1].removeprefix("https://app.example.com/hooks?…<br>")

    assert shown() == "Not called so far"
    catalogue.tasks.stop(task.id)
    (call,) = catalogue.callbacks.claim(1, 60.0)
    catalogue.callbacks.failed(call, "503 <b>", 60.0)
    assert shown() == "Not delivered yet (503 &lt;b&gt;)"
    catalogue.callbacks.failed(call, "no answer within 15 s", 60.0)
    chinese = client.get(f"/tasks/{task.id}", headers={"Accept-Language": "zh"}).get_data(as_text=True)
    assert "尚未送达 (15 秒内没有响应)" in chinese
    catalogue.callbacks.delivered(call, "200 OK")
    assert shown() == "Delivered"
    assert "Callback URL" not in client.get(f"/tasks/{make_task().id}").get_data(as_text=True)
