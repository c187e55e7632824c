"""The page of limits in a real browser: a line is moved with the mouse, by touch and with the keyboard."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.doubles.images import spec_path
from tests.doubles.process import ImageHost
from tests.real import RealStack
from tests.stack.browser.conftest import MINUTE, Pages, violations
from tests.waiting import until

pytestmark = pytest.mark.slow
expect.set_options(timeout=MINUTE)
FACES = 40


@pytest.fixture
def limits_page(stack: RealStack, images: ImageHost) -> str:
    """Limits of a completed import whose faces are turned by 0, 1, 2 ... degrees, to the left and to the right."""
    poses = [[0, angle if angle % 2 else -angle, 0] for angle in range(FACES)]
    lines = [images.url + spec_path({"n": n, "pose": pose}) for n, pose in enumerate(poses)]
    task_id = stack.api.create(lines, "limits", pos_yaw=60)
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    return f"{stack.api.url.removesuffix('/v1/tasks')}/tasks/{task_id}/limits"


def yaw(page: Page) -> tuple[Locator, Locator]:
    """The slider and the field of a limit."""
    return page.get_by_role("slider", name="Maximum yaw"), page.get_by_role("spinbutton", name="Maximum yaw")


def place(page: Page, limit: int) -> tuple[float, float]:
    """Where the line of the slider is at a limit."""
    chart = page.locator(".measure:has(#pos_yaw) svg").bounding_box()
    slider = yaw(page)[0]
    box = slider.bounding_box()
    assert chart is not None
    assert box is not None
    part = limit / float(slider.get_attribute("max") or "nan")
    return chart["x"] + chart["width"] * part, box["y"] + box["height"] - 8


def judged(page: Page, limit: int) -> None:
    """Field, line and counts are those of a limit: one face for each degree up to it."""
    expect(yaw(page)[1]).to_have_value(str(limit))
    expect(page.locator(".measure:has(#pos_yaw) line")).to_have_attribute("x1", str(limit))
    expect(page.locator("#verdict .tiles dd").first).to_contain_text(str(min(limit + 1, FACES)))
    expect(page.locator("#said")).to_have_text(f"{min(limit + 1, FACES)} of {FACES} rows would be imported.")


def test_a_limit_is_dragged(pages: Pages, limits_page: str) -> None:
    """The counts follow while the button is still down; at the end the limit is off, and the field moves the line."""
    page = pages()
    page.goto(limits_page)
    slider, field = yaw(page)
    top = int(slider.get_attribute("max") or "")
    assert FACES <= top <= 60, "the chart reaches as far as the faces"
    page.mouse.move(*place(page, top))
    page.mouse.down()
    for limit in (30, 20, 12):
        page.mouse.move(*place(page, limit), steps=5)
        judged(page, limit)
    page.mouse.move(*place(page, 25), steps=5)
    page.mouse.up()
    judged(page, 25)
    field.fill("7")
    judged(page, 7)
    page.mouse.click(*place(page, top))
    expect(field).to_have_value("0")
    expect(slider).to_have_attribute("aria-valuetext", "no limit")
    expect(page.locator("#said")).to_have_text(f"{FACES} of {FACES} rows would be imported.")


def test_a_limit_is_moved_by_the_keyboard(pages: Pages, limits_page: str) -> None:
    """By arrows and to both ends; a number that cannot be is explained."""
    page = pages(dark=True)
    page.goto(limits_page)
    slider, field = yaw(page)
    field.fill("20")
    field.press("Tab")
    expect(slider).to_be_focused()
    for key, limit in (("ArrowLeft", 19), ("ArrowDown", 18), ("ArrowRight", 19), ("Home", 1)):
        page.keyboard.press(key)
        judged(page, limit)
        expect(slider).to_have_attribute("aria-valuetext", f"{limit}°")
    page.keyboard.press("End")
    expect(field).to_have_value("0")
    page.keyboard.press("ArrowLeft")
    judged(page, int(slider.get_attribute("max") or "") - 1)
    field.fill("500")
    expect(page.get_by_role("alert")).to_have_text("Maximum yaw: Must be at most 180.")


def test_a_limit_that_is_typed_early_is_judged(pages: Pages, limits_page: str) -> None:
    """Also one that was typed before the page's scripts had arrived."""
    page, held = pages(), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/htmx.min.js*", hold)
    page.goto(limits_page, wait_until="commit")
    yaw(page)[1].fill("9")
    until(lambda: page.title() and held)
    held[0].continue_()
    judged(page, 9)


def test_a_limit_is_moved_by_touch(pages: Pages, limits_page: str) -> None:
    """On a phone, where the counts stay in view."""
    page = pages(width=390, has_touch=True)
    page.goto(limits_page)
    yaw(page)[0].scroll_into_view_if_needed()
    page.touchscreen.tap(*place(page, 30))
    judged(page, 30)
    session = page.context.new_cdp_session(page)
    for kind, limit in (("touchStart", 30), ("touchMove", 22), ("touchMove", 15), ("touchEnd", 15)):
        x, y = place(page, limit)
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    judged(page, 15)
    expect(page.locator("#verdict .sums")).to_be_in_viewport(ratio=1)


def test_limits_are_applied(pages: Pages, limits_page: str) -> None:
    """By the keyboard: what they would do is said first, and can be cancelled; then the import does it."""
    page = pages()
    page.goto(limits_page)
    yaw(page)[1].fill("29")
    judged(page, 29)
    asks = page.get_by_role("button", name="Apply these limits…")
    asks.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("10 faces are removed from the group.")
    assert violations(page) == []
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_focused()
    cancel.press("Enter")
    asks.press("Enter")
    page.get_by_role("button", name="Apply", exact=True).press("Enter")
    page.wait_for_url(limits_page.removesuffix("/limits"))
    expect(page.locator("#state")).to_have_text("Completed with 10 failures", timeout=3 * MINUTE)
    expect(page.locator("#failures")).to_contain_text(
        "10 of 40 rows were not imported, because the face is turned to the side by more than 29°."
    )
    page.get_by_role("link", name="Try other limits").click()
    yaw(page)[1].fill("34")
    page.get_by_role("button", name="Apply these limits…").click()
    expect(page.locator("#verdict")).to_contain_text("5 rows are tried again: they pass, or may.")
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#state")).to_have_text("Completed with 5 failures", timeout=3 * MINUTE)


def test_without_scripts_the_fields_are_judged(pages: Pages, limits_page: str) -> None:
    """By a button; the address keeps the limits."""
    page = pages(java_script_enabled=False)
    page.goto(limits_page)
    expect(page.get_by_role("slider")).to_have_count(0)
    yaw(page)[1].fill("9")
    page.get_by_role("button", name="Judge").click()
    expect(page.locator("#verdict .tiles dd").first).to_have_text("10 −30")
    expect(page.locator(".measure:has(#pos_yaw) line")).to_have_attribute("x1", "9")
    assert "pos_yaw=9" in page.url


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_has_no_serious_violation(pages: Pages, limits_page: str, dark: bool) -> None:
    """At any width, and nothing runs out of the window."""
    for width in (390, 768, 1440):
        page = pages(width=width, dark=dark)
        page.goto(limits_page)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
