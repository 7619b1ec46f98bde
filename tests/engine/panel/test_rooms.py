"""The list of remembered rooms, in a real browser."""

import pytest

from tests.engine.panel.conftest import button, remembered, status

sync_api = pytest.importorskip("playwright.sync_api", reason='no playwright; pip install "jit-masker[browser]"')
pytestmark = pytest.mark.filterwarnings("default")  # of the browser's driver
expect = sync_api.expect

DAY = 86400  # s


@pytest.fixture
def rooms(page, session):
    """Three of them; the user sits in the first."""
    session.remembered = [
        remembered("a" * 12, "0"),
        remembered("b" * 12, "camera:Logitech BRIO", visits=1, seen=remembered("", "")["seen"] - DAY),
        remembered("c" * 12, "/dev/video2", visits=41, seen=1700000000, believed=False),
    ]
    session.learning(room="a" * 12)
    items = page.get_by_role("list", name="Rooms").get_by_role("listitem")
    expect(page.get_by_text("Here now")).to_be_visible()
    expect(items).to_have_count(3)
    return items


def test_each_room_is_listed_and_the_one_at_hand_is_marked(page, rooms):
    expect(rooms.nth(0)).to_contain_text("Camera 0 Here now")
    expect(rooms.nth(0)).to_contain_text("3 visits · match\u00a00.93")
    expect(rooms.nth(1)).to_contain_text("Logitech BRIO")
    expect(rooms.nth(1)).to_contain_text("1 visit")
    expect(rooms.nth(2)).to_contain_text("/dev/video2")
    expect(rooms.nth(2)).to_contain_text("Nov 2023 · 41 visits")
    expect(rooms.nth(2)).to_contain_text("did not fit, so it is not used")
    expect(page.get_by_text("Here now")).to_have_count(1)


def test_the_disk_is_read_where_the_room_changes_and_not_each_second(page, session, rooms):
    def look(times):
        for _ in range(times):
            with page.expect_response("**/stats"):
                pass

    look(2)  # what was set before is seen
    listed = session.listed
    look(3)
    assert session.listed == listed
    session.learning(room="b" * 12)
    expect(rooms.nth(1)).to_contain_text("Here now")
    expect(rooms.nth(0)).not_to_contain_text("Here now")
    assert session.listed == listed + 1


def test_a_room_is_forgotten_once_it_is_confirmed_and_focus_goes_on(page, session, rooms):
    forget = page.get_by_role("button", name="Forget Logitech BRIO, seen")
    forget.click()
    dialog = page.get_by_role("dialog", name="Forget this room?")
    expect(dialog).to_contain_text("when you come back it begins anew")
    expect(button(page, "Keep it")).to_be_focused()
    button(page, "Keep it").click()
    expect(dialog).to_be_hidden()
    assert session.told == []
    forget.click()
    button(dialog, "Forget").click()
    session.wait("forget room", "b" * 12)
    expect(rooms).to_have_count(2)
    expect(page.get_by_role("button", name="Forget /dev/video2")).to_be_focused()


def test_the_room_at_hand_is_forgotten_with_a_warning(page, session, rooms):
    page.get_by_role("button", name="Forget Camera 0").click()
    dialog = page.get_by_role("dialog", name="Forget this room?")
    expect(dialog).to_contain_text("You are in this room now")
    button(dialog, "Forget").click()
    session.wait("forget room", "a" * 12)


def test_all_rooms_are_forgotten_once_it_is_confirmed(page, session, rooms):
    page.get_by_role("button", name="Forget all rooms").click()
    dialog = page.get_by_role("dialog", name="Forget all 3 rooms?")
    button(dialog, "Forget").click()
    session.wait("forget room", None)
    expect(rooms).to_have_count(0)
    expect(page.locator("#rooms-words")).to_contain_text("So far nothing is")
    expect(page.get_by_role("button", name="Forget all rooms")).to_be_hidden()
    expect(page.get_by_role("heading", name="Rooms")).to_be_focused()


def test_a_refusal_is_said(page, session, rooms):
    page.get_by_role("button", name="Forget /dev/video2").click()
    session.remembered = session.remembered[:2]  # by another program
    button(page.get_by_role("dialog"), "Forget").click()
    expect(page.get_by_role("alert")).to_contain_text("no room cccccccccccc")
    expect(rooms).to_have_count(2)


@pytest.mark.parametrize(
    ("mode", "words"), [("on", "So far nothing is"), ("read", "this run adds none"), ("off", "remembers no rooms")]
)
def test_without_rooms_the_reason_is_said(page, session, mode, words):
    session.mode = mode
    session.says = status(pid=2)  # another engine
    expect(page.locator("#rooms-words")).to_contain_text(words)
    expect(page.get_by_role("button", name="Forget all rooms")).to_be_hidden()


def test_forgetting_what_was_learned_looks_at_the_rooms_again(page, session, rooms):
    session.says["learning"] = session.says["learning"] | {"room": "a" * 12}
    page.get_by_role("button", name="Forget what was learned").click()
    session.remembered = session.remembered[1:]
    button(page.get_by_role("dialog"), "Forget").click()
    session.wait("forget")
    expect(rooms).to_have_count(2)
