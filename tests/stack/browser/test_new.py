"""The form for a new import in a real browser: by the keyboard alone, with large files, drops, presets."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.doubles.process import ImageHost
from tests.real import RealStack
from tests.stack.browser.conftest import MINUTE, Pages, violations
from tests.stack.browser.test_console import home, source

pytestmark = pytest.mark.slow
expect.set_options(timeout=MINUTE)
LARGE = 8_000_000
SLOW = 1_000_000
"""Bytes of a file, and of the ones that are sent in a second."""


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"the keyboard does not reach {selector}")


def slow_down(page: Page, bytes_per_s: int) -> None:
    """Bound what the page sends; -1 does not."""
    session = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", conditions)


def large_file(folder: Path) -> Path:
    """A file that takes some seconds to send."""
    line = "http://host.example/photos/{}.jpg,Somebody,{}\n"
    file = folder / "large.csv"
    file.write_text("".join(line.format(n, "x" * 200) for n in range(LARGE // 240)))
    return file


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_a_whole_import_by_the_keyboard_alone(
    pages: Pages, stack: RealStack, images: ImageHost, tmp_path: Path, language: str
) -> None:
    """All but choosing the file: the preview's menus, a preset, the group, the start, its log, and its end."""
    page = pages(language=language)
    press = page.keyboard.press
    page.goto(f"{home(stack)}/new")
    file = source(tmp_path, images, 35)
    file.write_text(file.read_text().replace("uri,tag,description", "Bildadresse,Wer,Mehr"))
    page.locator("#file").set_input_files(file)
    expect(page.locator("#use-columns")).to_be_visible()
    tab_to(page, "#use-columns")
    press("Enter")
    expect(page.locator("#column-1")).to_be_focused()
    tab_to(page, "#column-3")
    for key, use in (("ArrowDown", "id"), ("ArrowUp", "description")):
        press(key)
        expect(page.locator("#column-3")).to_have_value(use)
        expect(page.locator("#sending")).to_be_hidden()
    expect(page.locator("#column-3")).to_be_focused()
    tab_to(page, "#group_name")
    page.keyboard.type(f"keys-{language.lower()}")
    tab_to(page, "[data-limits*='\"pos_yaw\": 30']")
    press("Enter")
    expect(page.locator("#pos_yaw")).to_have_value("30")
    tab_to(page, "summary:has(+ .hint + .limits)")
    press("Enter")
    for name, value in (("width", "0"), ("height", "0"), ("blur_degree", "0")):
        tab_to(page, f"#{name}")
        press("ControlOrMeta+a")
        page.keyboard.type(value)
    assert violations(page) == []
    tab_to(page, "button[name=then][value=start]")
    press("Enter")
    page.wait_for_url(re.compile("/tasks/"))
    expect(page.locator("#state")).to_contain_text("11", timeout=3 * MINUTE)
    page.reload()
    tab_to(page, "#code-203")
    press("Enter")
    expect(page.locator(".log tbody tr")).to_have_count(6)
    expect(page.locator("#code-203")).to_be_focused()
    message = "偏航角" if language == "zh-CN" else "yaw"
    expect(page.locator(".log .message").first).to_contain_text(f"{message} 60")
    page.keyboard.press("Shift+Tab")
    tab_to(page, "a[download]")
    page.goto(page.url.partition("?")[0])
    tab_to(page, "#delete")
    press("Enter")
    expect(page.locator("#confirm")).to_be_visible()
    press("Shift+Tab")
    tab_to(page, "#confirm .danger")
    press("Enter")
    page.wait_for_url(re.compile("deleted="))


def test_a_large_file_says_how_far_it_is_and_can_be_stopped(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """For the preview and for the import. What is stopped leaves nothing, and the form works as before."""
    page = pages(width=390)
    page.goto(f"{home(stack)}/new")
    slow_down(page, SLOW)
    file, size = large_file(tmp_path), re.compile(r"^\d+%, [\d.]+ [kM]B of [\d.]+ MB$")
    page.locator("#file").set_input_files(file)
    expect(page.locator("#sending")).to_contain_text("Sending the file")
    expect(page.locator("#sent-part")).to_have_text(size)
    assert 0 < float(page.locator("#sent").get_attribute("value") or 0) < 1
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#cancel").press("Enter")
    expect(page.locator("#sending")).to_be_hidden()
    expect(page.locator("#file")).to_be_focused()
    assert page.locator("#file").input_value() == ""
    slow_down(page, -1)
    page.locator("#file").set_input_files(file)
    expect(page.locator("#preview-title")).to_be_visible()
    slow_down(page, SLOW)
    page.get_by_label("Group", exact=True).fill("large")
    create = page.get_by_role("button", name="Create", exact=True)
    create.click()
    expect(page.locator("#sent-part")).to_have_text(size)
    page.locator("#cancel").press("Enter")
    expect(page.locator("#sending")).to_be_hidden()
    expect(create).to_be_enabled()
    assert stack.api.post("list", json={"group_name": "large"}).json()["ids"] == []
    slow_down(page, -1)
    create.click()
    page.wait_for_url(re.compile("/tasks/"))
    assert len(stack.api.post("list", json={"group_name": "large"}).json()["ids"]) == 1


def test_a_file_can_be_dropped_anywhere(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """While it is dragged over the page, the page says so; leaving takes that back."""
    page = pages()
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "staff.csv"
    file.write_text("http://host/1.jpg,anna\n")
    session = page.context.new_cdp_session(page)

    def drag(step: str, y: int) -> None:
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": step, "x": 600, "y": y, "data": data})

    for step in ("dragEnter", "dragOver"):
        drag(step, 20)
    expect(page.locator("#drop-here")).to_be_visible()
    page.evaluate("document.body.dispatchEvent(new DragEvent('dragleave', { bubbles: true }))")
    expect(page.locator("#drop-here")).to_be_hidden()
    for step in ("dragEnter", "dragOver", "drop"):
        drag(step, 850)
    expect(page.locator("#drop-here")).to_be_hidden()
    expect(page.locator("#preview")).to_contain_text("anna")
    expect(page.locator("#file-name")).to_contain_text("staff.csv")


def test_the_separator_is_chosen_from_its_menu(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """Where two fit; another one forgets the columns, and the import is read as its preview was."""
    page = pages()
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "works.csv"
    file.write_text("http://h/w_1,h_1/a.jpg;Werk 1, Halle 2\n")
    page.locator("#file").set_input_files(file)
    create, menu = page.get_by_role("button", name="Create", exact=True), page.get_by_label("Separator")
    expect(page.locator("#preview")).to_contain_text("the separator may be a comma")
    expect(create).to_be_disabled()
    menu.press("s")  # semicolon
    expect(page.locator("#preview-title")).to_be_visible()
    expect(menu).to_be_focused()
    expect(menu).to_have_value(";")
    cells = page.locator("#reading td")
    expect(cells.nth(1)).to_have_text("Werk 1, Halle 2")
    assert violations(page) == []
    page.locator("#column-2").select_option("description")
    expect(page.locator("#reading dl")).to_contain_text("description: column 2")
    menu.press("t")  # tab
    expect(cells.first).to_have_text(file.read_text().rstrip())
    expect(page.locator("#reading [name=columns]")).to_have_value("")
    expect(menu.locator("option:checked")).to_have_text("tab")
    menu.select_option("semicolon")
    expect(cells.nth(1)).to_have_text("Werk 1, Halle 2")
    page.get_by_label("Group", exact=True).fill("separated")
    create.click()
    page.wait_for_url(re.compile("/tasks/"))
    (task_id,) = stack.api.post("list", json={"group_name": "separated"}).json()["ids"]
    assert stack.api.detail(task_id)["source"]["separator"] == ";"


def test_a_file_that_is_gone_is_chosen_again(pages: Pages, stack: RealStack, tmp_path: Path) -> None:
    """Browsers do not send a file that was moved or changed since; that is not the server being away."""
    page = pages()
    page.goto(f"{home(stack)}/new")
    file = tmp_path / "staff.csv"
    file.write_text("http://host/1.jpg,anna\n")
    page.locator("#file").set_input_files(file)
    expect(page.locator("#preview-title")).to_be_visible()
    page.get_by_label("Group", exact=True).fill("changed")
    file.unlink()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("#file-problem")).to_contain_text("choose it again")
    expect(page.locator("#offline")).to_be_hidden()
    file.write_text("http://host/2.jpg,ben\n")
    page.locator("#file").set_input_files([])
    page.locator("#file").set_input_files(file)
    expect(page.locator("#preview")).to_contain_text("ben")
    expect(page.locator("#file-problem")).to_be_empty()


def test_presets_fill_in_and_a_wrong_limit_is_seen(pages: Pages, stack: RealStack) -> None:
    """The preset in use is marked, whoever typed it; a folded limit that is wrong is unfolded."""
    page = pages(width=390)
    page.goto(f"{home(stack)}/new")
    presets = page.locator("[data-limits]")
    expect(presets.first).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="ID photos").click()
    assert page.url.endswith("/new")
    expect(page.locator("#width")).to_have_value("120")
    expect(page.locator("#preset-said")).to_have_text("Limits set: ID photos")
    expect(page.locator(".presets [aria-current]")).to_contain_text("ID photos")
    page.get_by_text("Set each limit").click()
    page.get_by_label("Maximum yaw").fill("999")
    expect(page.locator(".presets [aria-current]")).to_have_count(0)
    page.get_by_text("Set each limit").click()
    expect(page.get_by_label("Maximum yaw")).to_be_hidden()
    page.locator("#file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"http://host/1.jpg,a\n"})
    expect(page.locator("#preview-title")).to_be_visible()
    page.get_by_label("Group", exact=True).fill("presets")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_label("Maximum yaw")).to_be_focused()
    assert violations(page) == []
