"""The console in a real browser against a real stack."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.doubles.images import spec_path
from tests.doubles.process import ImageHost
from tests.real import RealStack
from tests.stack.browser.conftest import MINUTE, Pages, drop, violations
from tests.waiting import until

pytestmark = pytest.mark.slow
expect.set_options(timeout=MINUTE)
WORDS = {
    "en-GB": {
        "new": "New import",
        "start": "Create and start",
        "group": "Group",
        "completed": "Completed with %s failures",
        "stop": "Stop",
        "stopped": "Stopped",
        "go_on": "Resume",
        "running": "Running",
        "delete": "Delete…",
        "sure": "Delete import",
        "deleted": "was deleted",
        "yaw": "203 yaw over the limit",
        "download": "Download as CSV",
        "limits": "Set each limit",
        "limit": "Maximum yaw",
        "filter": "Filter",
    },
    "zh-CN": {
        "new": "新建导入任务",
        "start": "创建并启动",
        "group": "人脸库",
        "completed": "已完成，%s 行失败",
        "stop": "停止",
        "stopped": "已停止",
        "go_on": "继续",
        "running": "运行中",
        "delete": "删除…",
        "sure": "删除导入任务",
        "deleted": "已删除",
        "yaw": "203 偏航角超限",
        "download": "下载 CSV",
        "limits": "逐项设置",
        "limit": "最大偏航角",
        "filter": "筛选",
    },
}


def home(stack: RealStack) -> str:
    """Address of the console."""
    return stack.api.url.removesuffix("/v1/tasks")


def source(folder: Path, images: ImageHost, rows: int) -> Path:
    """A CSV file, every fifth of whose faces looks away and whose seventh row has no picture."""
    lines = ["uri,tag,description"]
    for n in range(1, rows + 1):
        path = spec_path({"n": n, "pose": [0, 60 if n % 5 == 0 else 0, 0]})
        lines.append(f"{images.url}{'/missing' if n % 7 == 0 else path},tag{n},description {n}")
    file = folder / "faces.csv"
    file.write_text("\n".join(lines))
    return file


def create(page: Page, stack: RealStack, file: Path, words: dict[str, str], group: str) -> None:
    """Go to the form, drop a file, and create and start its import."""
    page.goto(home(stack))
    page.get_by_role("link", name=words["new"]).first.click()
    drop(page, ".drop", file)
    expect(page.locator("#preview table").first).to_contain_text("tag1")
    page.get_by_label(words["group"], exact=True).fill(group)
    page.get_by_text(words["limits"], exact=True).click()
    page.get_by_label(words["limit"]).fill("30")
    page.get_by_role("button", name=words["start"]).click()
    page.wait_for_url(re.compile("/tasks/"))


def handled(page: Page, place: str) -> int:
    """Rows that a progress bar shows; the page's own rules keep playwright from waiting for them by itself."""
    return int(page.evaluate(f"document.querySelector('{place} progress').value"))


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_an_import_from_drop_to_delete(
    pages: Pages, stack: RealStack, images: ImageHost, tmp_path: Path, language: str
) -> None:
    """A file is dropped, its import watched to the end, its log filtered and downloaded, and it is deleted."""
    words, page = WORDS[language], pages(language=language)
    create(page, stack, source(tmp_path, images, 70), words, f"drop-{language.lower()}")
    state = page.locator("#state")
    expect(state).to_have_text(words["completed"] % 22, timeout=3 * MINUTE)
    expect(page.locator("#progress")).to_contain_text("70")
    expect(page.locator("#outcomes")).to_contain_text("203")
    expect(page.get_by_role("button", name=words["stop"], exact=True)).to_have_count(0)
    page.reload()
    expect(page.locator(".log tbody tr")).to_have_count(22)
    chip = page.get_by_role("link", name=words["yaw"])
    chip.click()
    expect(page.locator(".log tbody tr")).to_have_count(12)
    expect(chip).to_be_focused()
    expect(chip).to_have_attribute("aria-current", "true")
    picture = page.locator(".log img").first
    picture.scroll_into_view_if_needed()
    until(lambda: page.evaluate("document.querySelector('.log img').naturalWidth === 160"))
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name=words["download"]).click()
    assert len(download.value.path().read_text().splitlines()) == 12
    page.get_by_role("button", name=words["delete"]).click()
    page.get_by_role("button", name=words["sure"]).click()
    expect(page.get_by_role("status").filter(has_text=words["deleted"])).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_an_import_is_stopped_and_goes_on(
    pages: Pages, stack: RealStack, images: ImageHost, tmp_path: Path, language: str
) -> None:
    """By the keyboard alone, in the page that moves by itself."""
    words, page = WORDS[language], pages(language=language)
    images.control(latency_s=0.25, reset=True)
    create(page, stack, source(tmp_path, images, 300), words, f"stop-{language.lower()}")
    until(lambda: handled(page, "#progress") > 10)
    stop = page.get_by_role("button", name=words["stop"], exact=True)
    stop.focus()
    seen = handled(page, "#progress")
    until(lambda: handled(page, "#progress") > seen)
    expect(stop).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text(words["stopped"])
    assert violations(page) == []
    images.control(latency_s=0.0)
    page.get_by_role("button", name=words["go_on"]).press("Enter")
    expect(page.locator("#state")).to_have_text(words["completed"] % 94, timeout=3 * MINUTE)
    expect(page.locator("#progress")).to_contain_text("300")


def test_the_list_moves_by_itself(pages: Pages, stack: RealStack, images: ImageHost) -> None:
    """Progress, speed and time left of a running import change without the page being asked for again."""
    images.control(latency_s=0.25, reset=True)
    task_id = stack.api.create([f"{images.url}/ok/{n}.jpg,t,d" for n in range(1, 400)], "list-moves")
    stack.api.ok(f"{task_id}/start")
    page = pages(width=390)
    page.goto(f"{home(stack)}/?group=list-moves")
    until(lambda: handled(page, f"#t-{task_id}-progress") > 5)
    seen = handled(page, f"#t-{task_id}-progress")
    until(lambda: handled(page, f"#t-{task_id}-progress") > seen)
    expect(page.locator(f"#t-{task_id}-rate")).to_have_text(re.compile(r"^[\d.]+$"))
    expect(page.locator(f"#t-{task_id}-left")).to_have_text(re.compile("second|minute"))
    stack.api.ok(f"{task_id}/stop")
    expect(page.locator(f"#t-{task_id}-state")).to_have_text("Stopped")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_wrong_form_keeps_what_was_typed(pages: Pages, stack: RealStack, images: ImageHost, tmp_path: Path) -> None:
    """The server's refusal stands beside the field, the file stays chosen, and the second try succeeds."""
    page = pages()
    page.goto(f"{home(stack)}/new")
    drop(page, ".drop", source(tmp_path, images, 10))
    page.get_by_label("Group", exact=True).fill("Wrong Name")
    page.get_by_role("button", name="Create", exact=True).click()
    assert page.evaluate("document.getElementById('group_name').validationMessage") != ""
    page.get_by_label("Group", exact=True).fill("right-name")
    page.get_by_text("Set each limit").click()
    page.evaluate("document.getElementById('pos_yaw').max = 1000")
    page.get_by_label("Maximum yaw").fill("500")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("#pos_yaw-problem")).to_have_text("Must be at most 180.")
    expect(page.locator("#pos_yaw")).to_be_focused()
    expect(page.get_by_label("Group", exact=True)).to_have_value("right-name")
    expect(page.locator("#file-name")).to_contain_text("faces.csv")
    assert violations(page) == []
    page.get_by_label("Maximum yaw").fill("50")
    page.get_by_role("button", name="Create", exact=True).click()
    page.wait_for_url(re.compile("/tasks/"))
    expect(page.locator("#state")).to_have_text("Created")


@pytest.mark.parametrize("width", [390, 1200])
def test_columns_are_chosen_by_the_keyboard(pages: Pages, stack: RealStack, tmp_path: Path, width: int) -> None:
    """A file that is not clear cannot be imported until its menus are set; the next file begins anew."""
    page = pages(width=width)
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "staff.csv"
    file.write_text("name,photo,avatar,部门\n" + "anna,http://x/1.jpg,http://x/small/1.jpg,研发\n" * 3)
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("alert").filter(has_text="Choose what the columns are")).to_be_visible()
    create = page.get_by_role("button", name="Create", exact=True)
    expect(create).to_be_disabled()
    assert violations(page) == []
    page.get_by_label("avatar").press("i")  # image URI
    expect(page.locator("#preview-title")).to_be_visible()
    expect(page.get_by_label("avatar")).to_be_focused()
    expect(page.get_by_label("avatar")).to_have_value("uri")
    expect(create).to_be_enabled()
    expect(page.locator("#sending")).to_be_hidden()
    page.get_by_label("photo").press("i")
    expect(page.locator("#reading dl")).to_contain_text("image URI: photo")
    expect(page.get_by_label("avatar")).to_have_value("")
    assert chosen(page) == {"uri": "photo", "tag": "name", "description": None, "id": None}
    page.get_by_label("photo").press("n")  # not used
    expect(create).to_be_disabled()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    file.write_text("http://x/1.jpg,anna\n")
    page.locator("#file").set_input_files([])
    expect(page.locator("#preview")).to_be_empty()
    expect(create).to_be_enabled()
    page.locator("#file").set_input_files(file)
    expect(page.locator("#preview-title")).to_be_visible()
    expect(page.locator("#reading [name=columns]")).to_have_value("")


def test_the_first_line_is_a_header_or_a_row(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """A button accepts what the menus show; a menu makes the header a row; another encoding forgets both."""
    page = pages()
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "unknown.csv"
    file.write_text("Bildadresse,Wer\nhttp://x/1.jpg,anna\n")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Use these columns").press("Enter")
    expect(page.locator("#preview-title")).to_be_visible()
    expect(page.get_by_label("Bildadresse")).to_be_focused()
    assert chosen(page) == {"uri": "Bildadresse", "tag": "Wer", "description": None, "id": None}
    page.get_by_label("First line").select_option("data")
    expect(page.locator("#preview")).to_contain_text("1 row cannot be imported")
    assert chosen(page) == {"uri": 1, "tag": 2, "description": None, "id": None}
    page.get_by_label("Encoding").select_option("gb18030")
    expect(page.get_by_role("button", name="Use these columns")).to_be_visible()
    expect(page.get_by_label("Encoding")).to_have_value("gb18030")


def test_a_file_that_is_chosen_early_is_previewed(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """Also one that was chosen before the page's scripts had arrived."""
    page, held = pages(), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/htmx.min.js*", hold)
    page.goto(f"{home(stack)}/new", wait_until="commit")
    file = tmp_path / "staff.csv"
    file.write_text("http://host/1.jpg,anna\n")
    page.locator("#file").set_input_files(file)
    until(lambda: page.title() and held)
    held[0].continue_()
    expect(page.locator("#preview")).to_contain_text("anna")


def test_a_file_without_importable_rows_creates_nothing(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """Its buttons are off and say why; those of the next file are on."""
    page = pages(width=390)
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "staff.csv"
    file.write_text("ftp://host/1.jpg,anna\n" * 200)
    page.locator("#file").set_input_files(file)
    expect(page.locator("#preview")).to_contain_text("200 rows: FTP is not supported")
    buttons = [page.get_by_role("button", name=name, exact=True) for name in ("Create and start", "Create")]
    for button in buttons:
        expect(button).to_be_disabled()
    expect(page.locator("#locked")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    file.write_text("ftp://host/1.jpg,anna\nhttp://host/1.jpg,anna\n")
    page.locator("#file").set_input_files([])
    page.locator("#file").set_input_files(file)
    expect(page.locator("#preview")).to_contain_text("1 row cannot be imported")
    for button in buttons:
        expect(button).to_be_enabled()
    expect(page.locator("#locked")).to_be_hidden()


def chosen(page: Page) -> object:
    """What the menus say goes with the form."""
    return json.loads(page.locator("#reading [name=columns]").input_value())


@pytest.mark.parametrize(
    "look",
    [{"width": 390}, {"width": 1200}, {"width": 390, "dark": True}, {"width": 1200, "dark": True}],
    ids=str,
)
def test_no_page_has_a_serious_violation(
    pages: Pages, stack: RealStack, images: ImageHost, tmp_path: Path, look: dict[str, int]
) -> None:
    """Contrast, labels and roles of every page, wide and narrow, light and dark; and nothing runs out of the window."""
    lines = [f"{images.url}/ok/1.jpg,t,d", "nonsense,t,d"]
    task_id = stack.api.create(lines, "axe", pos_yaw=30)
    people = [f"{images.image(n=n, person='ada')},{tag},d" for n, tag in enumerate(("Ada", "Grace"))]
    doubtful = stack.api.create(people, "axe-alike", alike=0.7, on_alike="note")
    stack.api.post(f"{doubtful}/start")
    stack.api.state(doubtful, 4)
    done = stack.api.create(lines, "axe")
    stack.api.ok(f"{done}/start")
    stack.api.state(done, 4)
    page = pages(**look)
    found = {}
    for path in (
        "/",
        "/?group=none",
        "/new",
        "/audit",
        f"/tasks/{task_id}",
        f"/tasks/{task_id}/rows",
        f"/tasks/{doubtful}/rows",
        f"/tasks/{done}",
        f"/tasks/{done}/rows",
        f"/tasks/{done}/imported",
        "/groups/axe",
        "/docs",
        "/nowhere",
        "/runs/none",
        "/?embed=1",
    ):
        page.goto(home(stack) + path)
        found[path] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= look["width"], path
    page.goto(f"{home(stack)}/tasks/{doubtful}/rows")
    expect(page.locator(".pair img")).not_to_have_count(0)
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "bad.csv"
    file.write_text("\n".join(lines))
    drop(page, ".drop", file)
    expect(page.locator("#preview")).to_contain_text("1 row cannot be imported")
    found["preview"] = violations(page)
    assert {path: rules for path, rules in found.items() if rules} == {}


def test_rows_are_selected_with_the_keyboard(pages: Pages, stack: RealStack, images: ImageHost) -> None:
    """All of a page at once; without any, nothing can be done; they are downloaded, and the failed ones retried."""
    task_id = stack.api.create([f"{images.url}/ok/1.jpg,t,d", f"{images.url}/missing,t,d", "nonsense,t,d"], "select")
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    page = pages()
    page.goto(f"{home(stack)}/tasks/{task_id}/rows")
    retry, all_rows = page.get_by_role("button", name="Retry selected"), page.get_by_label("Select all on this page")
    expect(retry).to_be_disabled()
    all_rows.focus()
    page.keyboard.press("Space")
    expect(page.locator("#picked [role=status]")).to_have_text("3 rows selected")
    page.get_by_label("Select row 3").focus()
    page.keyboard.press("Space")
    expect(page.locator("#picked [role=status]")).to_have_text("2 rows selected")
    expect(all_rows).to_be_checked(indeterminate=True)
    for _ in range(2):  # a download leaves the page and its buttons as they are
        with page.expect_download() as download:
            page.get_by_role("button", name="Download selected").click()
        assert download.value.path().read_text("utf-8-sig").count("\n") == 3
    retry.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/tasks/{task_id}$"))
    stack.api.state(task_id, 4)
    assert stack.api.detail(task_id)["attempts"] == 2


def test_a_selection_goes_over_pages(pages: Pages, stack: RealStack, images: ImageHost) -> None:
    """By the keyboard: of two pages, all that match, and none; a column is sorted both ways meanwhile."""
    task_id = stack.api.create([f"{images.url}/ok/{n}.jpg,t,d" for n in range(30)], "pages")
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    page = pages()
    page.goto(f"{home(stack)}/tasks/{task_id}/rows?code=0")
    said, every = page.locator("#picked [role=status]"), page.get_by_role("link", name="Select all 30 matching rows")
    page.get_by_label("Select row 3").press("Space")
    expect(every).to_be_hidden()
    page.get_by_role("link", name="Continue from row 26").press("Enter")
    expect(said).to_have_text("1 row selected")
    page.get_by_label("Select row 27").press("Space")
    expect(said).to_have_text("2 rows selected")
    for order in ("ascending", "descending"):
        page.get_by_role("link", name="Result").press("Enter")
        expect(page.locator(f"th[aria-sort={order}]")).to_contain_text("Result")
    expect(page.get_by_label("Select row 3")).to_be_checked()
    expect(said).to_have_text("2 rows selected")
    all_rows = page.get_by_label("Select all on this page")
    expect(all_rows).to_be_visible()
    all_rows.press("Space")
    expect(said).to_have_text("26 rows selected")
    every.press("Enter")
    expect(said).to_have_text("30 rows selected")
    assert violations(page) == []
    page.get_by_label("Select row 3").press("Space")
    expect(said).to_have_text("29 rows selected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download selected").press("Enter")
    assert download.value.path().read_text("utf-8-sig").count("\n") == 30  # a header, and 29 rows
    page.get_by_role("link", name="Clear selection").press("Enter")
    expect(said).to_have_text("")
    expect(all_rows).to_be_focused()
    page.get_by_role("link", name="Next").press("Enter")
    expect(page.get_by_role("button", name="Download selected")).to_be_disabled()


def test_faces_have_their_boxes_when_they_scroll_into_view(pages: Pages, stack: RealStack, images: ImageHost) -> None:
    """Not before: the pictures of a long page are not fetched for a reader of its top."""
    task_id = stack.api.create([f"{images.url}{spec_path({'n': n})},t{n},d" for n in range(25)], "faces")
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    page, asked = pages(width=390), []
    page.on("request", lambda request: asked.append(request.url) if "thumbnail" in request.url else None)
    page.goto(f"{home(stack)}/tasks/{task_id}/imported")
    first, last = page.locator(".portraits img").first, page.locator(".portraits img").last
    first.scroll_into_view_if_needed()
    until(lambda: page.evaluate("document.querySelector('.portraits img').naturalWidth === 320"))
    assert len(asked) < 25
    with page.expect_request(re.compile(r"/25\?face=1$")):
        last.scroll_into_view_if_needed()
    page.locator(".portraits a").first.click()
    page.wait_for_url(re.compile(r"/rows\?row=1$"))


def test_the_language_is_switched(pages: Pages, stack: RealStack) -> None:
    """The switch counts more than the browser's language, and stays."""
    page = pages()
    page.goto(f"{home(stack)}/new")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("新建导入任务")
    page.goto(home(stack))
    expect(page.get_by_role("heading", level=1)).to_have_text("导入任务")


def test_a_server_that_is_away_is_said_to_be(pages: Pages, stack: RealStack) -> None:
    """The page says so, keeps what it shows, and recovers."""
    task_id = stack.api.create(["http://127.0.0.1:9/x.jpg,t,d"], "offline")
    stack.catalogue.tasks.start(task_id)
    page = pages()
    page.goto(f"{home(stack)}/tasks/{task_id}")
    page.route("**/live*", lambda route: route.fulfill(status=503, body="{}"))
    expect(page.locator("#offline")).to_be_visible()
    page.unroute("**/live*")
    expect(page.locator("#offline")).to_be_hidden()
    stack.api.ok(f"{task_id}/delete")
