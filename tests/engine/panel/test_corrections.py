"""Drawing over the camera's picture, in a real browser: by mouse, finger, pen and keys."""

import numpy as np
import pytest

from tests.engine.panel.conftest import button

sync_api = pytest.importorskip("playwright.sync_api", reason='no playwright; pip install "jit-masker[browser]"')
pytestmark = pytest.mark.filterwarnings("default")  # of the browser's driver
expect = sync_api.expect

KEPT = {"keep": True, "area": 0.083, "found": True}
DROPPED = {"keep": False, "area": 0.0, "found": False}


@pytest.fixture
def camera(page, session):
    """The camera's picture is shown, 4:3 in a place of 16:9; gives shares of it -> a point of the page."""
    session.room = np.full((72, 96, 3), (20, 40, 200), np.uint8)
    button(page, "Show camera").click()
    expect(page.locator("#room")).to_have_js_property("naturalWidth", 96)
    page.locator("#room").scroll_into_view_if_needed()
    box = page.locator("#room").bounding_box()

    def at(x, y):
        width = box["height"] * 4 / 3
        return box["x"] + (box["width"] - width) / 2 + x * width, box["y"] + y * box["height"]

    return at


def drag(page, camera, *points, steps=5):
    page.mouse.move(*camera(*points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*camera(*point), steps=steps)
    page.mouse.up()


def drawn(session):
    """The one stroke that the session was told."""
    with session.came:
        assert session.came.wait_for(lambda: session.told, 10)
    ((what, stroke),) = session.told
    assert what == "correct"
    return stroke


def near(points, expected):
    return np.allclose(points, expected, atol=0.01)


@pytest.mark.parametrize(("name", "keep"), [("Keep this", True), ("Remove this", False)])
def test_a_stroke_is_told_in_shares_of_the_cameras_picture(page, session, camera, name, keep):
    button(page, name).click()
    expect(button(page, name)).to_have_attribute("aria-pressed", "true")
    drag(page, camera, (0.1, 0.2), (0.5, 0.2), (0.5, 0.9))
    stroke = drawn(session)
    assert stroke.keep is keep
    assert near([stroke.points[0], stroke.points[-1]], [(0.1, 0.2), (0.5, 0.9)])
    assert min(np.hypot(x - 0.5, y - 0.2) for x, y in stroke.points) < 0.02
    word = "Keeping" if keep else "Removing"
    expect(page.get_by_role("list", name="Corrections")).to_have_text(f"{word} something: looking for it")
    expect(page.locator("#notice")).to_contain_text("Learning that takes a moment")


def test_a_click_is_a_stroke_of_one_point(page, session, camera):
    button(page, "Keep this").click()
    page.mouse.click(*camera(0.25, 0.75))
    stroke = drawn(session)
    assert len(stroke.points) == 1
    assert near(stroke.points, [(0.25, 0.75)])


def test_the_stroke_is_seen_while_it_is_made_and_through_new_pictures(page, session, camera):
    button(page, "Keep this").click()
    page.mouse.move(*camera(0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*camera(0.8, 0.6), steps=10)
    line = page.locator("#pad .line")
    before = line.get_attribute("points")
    assert len(before.split()) > 5
    session.room = np.full((72, 96, 3), 250, np.uint8)
    for _ in range(2):
        with page.expect_response("**/source"):
            pass
    assert line.get_attribute("points") == before
    assert session.told == []
    page.mouse.up()
    drawn(session)
    expect(line).to_have_attribute("points", "")  # it goes by itself


def test_a_long_stroke_is_thinned_and_keeps_its_ends(page, session, camera):
    button(page, "Keep this").click()
    way = [(0.5 + 0.4 * np.cos(a), 0.5 + 0.4 * np.sin(a)) for a in np.linspace(0, 6, 120)]
    drag(page, camera, *way, steps=1)
    stroke = drawn(session)
    assert 32 < len(stroke.points) <= 64
    assert near([stroke.points[0], stroke.points[-1]], [way[0], way[-1]])
    steps = np.hypot(*np.diff(stroke.points, axis=0).T)
    assert steps.max() < 3 * np.median(steps)


def test_a_stroke_that_leaves_the_picture_ends_at_its_edge_and_none_begins_beside_it(page, session, camera):
    button(page, "Keep this").click()
    page.mouse.click(*camera(-0.1, 0.5))
    drag(page, camera, (0.5, 0.5), (1.1, 0.5), (1.1, -0.2))
    stroke = drawn(session)
    assert near(stroke.points[-1], (1, 0))
    assert np.ptp(stroke.points, axis=0).max() <= 0.51


def test_nothing_is_drawn_before_something_is_chosen_nor_after(page, session, camera):
    drag(page, camera, (0.2, 0.2), (0.4, 0.4))
    button(page, "Keep this").click()
    button(page, "Keep this").click()
    drag(page, camera, (0.2, 0.2), (0.4, 0.4))
    button(page, "Remove this").click()
    button(page, "Hide camera").click()
    expect(page.locator("#correcting")).to_be_hidden()
    button(page, "Show camera").click()
    expect(button(page, "Remove this")).to_have_attribute("aria-pressed", "false")
    assert session.told == []


def test_escape_drops_the_stroke_and_then_ends_drawing(page, session, camera):
    button(page, "Keep this").click()
    page.mouse.move(*camera(0.2, 0.2))
    page.mouse.down()
    page.mouse.move(*camera(0.4, 0.4))
    page.keyboard.press("Escape")
    expect(page.locator("#pad .line")).to_have_attribute("points", "")
    page.mouse.up()
    page.keyboard.press("Escape")
    expect(button(page, "Keep this")).to_have_attribute("aria-pressed", "false")
    expect(button(page, "Keep this")).to_be_focused()
    assert session.told == []


@pytest.mark.parametrize("kind", ["touch", "pen"])
def test_a_finger_and_a_pen_draw_and_the_page_stands_still(page, session, camera, kind):
    button(page, "Keep this").click()
    scrolled = page.evaluate("scrollY")
    driver = page.context.new_cdp_session(page)
    for i in range(11):
        x, y = camera(0.3, 0.8 - 0.05 * i)
        if kind == "touch":
            event = "touchStart" if i == 0 else "touchMove"
            driver.send("Input.dispatchTouchEvent", {"type": event, "touchPoints": [{"x": x, "y": y}]})
        else:
            event = {"type": "mousePressed" if i == 0 else "mouseMoved", "x": x, "y": y, "pointerType": "pen"}
            driver.send("Input.dispatchMouseEvent", event | {"button": "left", "buttons": 1, "clickCount": 1})
    if kind == "touch":
        driver.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    else:
        event = {"type": "mouseReleased", "x": x, "y": y, "pointerType": "pen", "button": "left", "clickCount": 1}
        driver.send("Input.dispatchMouseEvent", event)
    stroke = drawn(session)
    assert near([stroke.points[0], stroke.points[-1]], [(0.3, 0.8), (0.3, 0.3)])
    assert page.evaluate("scrollY") == scrolled


def test_the_keyboard_draws(page, session, camera):
    button(page, "Remove this").press("Enter")
    pad = page.get_by_role("application", name="Draw in the camera's picture")
    expect(pad).to_be_focused()
    for key in ("Shift+ArrowRight", "ArrowRight", "Shift+ArrowUp", "Shift+ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator("#cross")).to_have_text("62 % across, 32 % down")
    page.keyboard.press("Enter")
    stroke = drawn(session)
    assert (stroke.points, stroke.keep) == (((0.62, 0.32),), False)
    page.keyboard.press("Escape")
    expect(button(page, "Remove this")).to_be_focused()
    expect(pad).to_be_hidden()


def test_corrections_that_hold_are_told_and_the_last_is_undone(page, session):
    session.learning(corrections=[KEPT, DROPPED, KEPT | {"area": 0.002}])
    items = page.get_by_role("list", name="Corrections").get_by_role("listitem")
    expect(items).to_have_text(
        [
            "Keeping something, 8 % of the picture",
            "Removing something: looking for it",
            "Keeping something, less than 1 % of the picture",
        ]
    )
    expect(page.locator("#correct-hint")).to_contain_text("show the camera")
    undo = button(page, "Undo the last one")
    for left in (2, 1):
        undo.click()
        expect(items).to_have_count(left)
    expect(undo).to_be_focused()
    undo.press("Enter")
    expect(undo).to_be_hidden()
    expect(button(page, "Show camera")).to_be_focused()
    assert session.told == [("undo",)] * 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (None, "nobody teaches in this run"),
        ({"on": False}, "Learning rests, so nothing can be corrected."),
        ({"on": False, "died": "it ran out of memory"}, "Learning has stopped, so nothing can be corrected."),
    ],
)
def test_where_nobody_learns_nothing_can_be_drawn_and_the_reason_is_said(page, session, camera, changed, reason):
    button(page, "Keep this").click()
    session.says["learning"] = None if changed is None else session.says["learning"] | changed
    expect(page.locator("#correct-hint")).to_contain_text(reason)
    expect(button(page, "Keep this")).to_be_disabled()
    expect(button(page, "Remove this")).to_be_disabled()
    expect(page.locator("#pad")).to_be_hidden()


def test_a_refusal_is_said(page, session, camera, monkeypatch):
    def refuse(stroke):
        raise ValueError("no")

    monkeypatch.setattr(session, "correct", refuse)
    button(page, "Keep this").click()
    page.mouse.click(*camera(0.5, 0.5))
    expect(page.get_by_role("alert")).to_contain_text("the command failed")
    expect(page.locator("#notice")).to_have_text("")


def test_what_draws_has_a_role_and_a_name_and_its_focus_is_seen(page, session, camera):
    session.learning(corrections=[KEPT])
    expect(button(page, "Undo the last one")).to_be_visible()
    button(page, "Keep this").press("Enter")
    for name in ("pad", "show-room", "keep-this", "drop-this", "undo"):
        page.locator(f"#{name}").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        ring = page.evaluate("""() => {
            const at = document.activeElement;
            const { outlineStyle, outlineWidth } = getComputedStyle(at);
            return [at.id, outlineStyle, parseFloat(outlineWidth) >= 3];
        }""")
        assert ring == [name, "solid", True]
    described = page.locator("#pad").get_attribute("aria-describedby")
    assert "Enter marks what lies under it" in page.locator(f"#{described}").text_content()
