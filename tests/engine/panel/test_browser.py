"""The page in a real browser, with real clicks. Needs the extra `browser` and a Chromium of the system's."""

import functools
import http.server
import re
import threading
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from tests.engine.panel.conftest import Panel, ScriptedSession, button, remembered, start_session, status

sync_api = pytest.importorskip("playwright.sync_api", reason='no playwright; pip install "jit-masker[browser]"')
pytestmark = pytest.mark.filterwarnings("default")  # of the browser's driver
expect = sync_api.expect

STATES = {  # what the engine says -> a word on the page
    "person": ({"state": "person"}, "You are in the picture"),
    "unsure": ({"state": "unsure"}, "carefully"),
    "nobody": ({"state": "nobody"}, "Nobody is there"),
    "covered": ({"state": "covered"}, "Covered"),
    "paused": ({"state": "paused", "paused": True}, "Paused"),
    "lost": ({"state": "lost"}, "The camera is lost"),
    "asleep": ({"state": "asleep", "watched": False}, "Asleep"),
    "starting": ({"state": None, "size": None, "latency_ms": None, "paint_ms": None}, "Starting"),
}


# -- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_said_in_words(page, session, name):
    changed, words = STATES[name]
    session.says = status(**changed)
    expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()
    expect(page).to_have_title(re.compile(words))


def test_the_picture_as_it_is_sent_is_shown_and_goes_on(page, session):
    expect(page.locator("#sent-figure")).not_to_have_class(re.compile("waiting"))
    expect(page.locator("#sent")).to_have_js_property("naturalWidth", 128)
    session.sent = np.zeros((36, 64, 3), np.uint8)
    expect(page.locator("#sent")).to_have_js_property("naturalWidth", 64)


def test_the_room_is_fetched_only_while_it_is_asked_for_with_a_warning(page, session):
    expect(page.locator("#sent")).to_have_js_property("naturalWidth", 128)
    assert session.sources == 0
    button(page, "Show camera").click()
    expect(page.get_by_text("Your real room.")).to_be_visible()
    expect(page.locator("#room")).to_have_js_property("naturalWidth", 128)
    button(page, "Hide camera").click()
    expect(page.get_by_text("Your real room.")).to_be_hidden()
    assert page.evaluate("document.getElementById('room').hasAttribute('src')") is False


def test_no_picture_is_fetched_while_the_page_is_hidden(page, session):
    button(page, "Show camera").click()
    expect(page.locator("#room")).to_have_js_property("naturalWidth", 128)
    hide = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => %s });"
    page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    with page.expect_response("**/stats"):  # the title goes on
        pass
    assert set(asked) <= {"/stats", "/gallery"}
    page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    with page.expect_response("**/picture"):
        pass
    expect(page.get_by_text("Your real room.")).to_be_hidden()  # nobody comes back to an open room


def test_an_engine_that_sleeps_is_looked_at_only_when_it_is_to_wake(page, session):
    button(page, "Show camera").click()
    session.says = status(state="asleep", watched=False)
    expect(button(page, "Wake it and look")).to_be_visible()
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    for _ in range(2):
        with page.expect_response("**/stats"):
            pass
    assert not {"/picture", "/source"} & set(asked)
    with page.expect_response("**/picture"):
        button(page, "Wake it and look").click()
    session.says = status()
    expect(button(page, "Wake it and look")).to_be_hidden()
    expect(page.locator("#sent")).to_have_js_property("naturalWidth", 128)


def test_learning_is_shown_with_its_price_its_score_and_its_end(page, session):
    expect(page.get_by_text("Costs 7.4 % of a core; at most 12 %.")).to_be_visible()
    expect(page.locator("#score")).to_have_text("0.93")
    expect(page.get_by_role("img", name="Match with the teacher over time")).to_be_visible()
    expect(page.locator("#chart-summary")).to_contain_text("on average over the last 60 labels")
    page.locator("details", has_text="Teacher").locator("summary").click()
    expect(page.locator("#chart-table tr").first).to_have_text(re.compile(r"1\u202f770"))
    expect(page.locator("#refused")).to_have_text("2")
    session.learning(on=False, died="the teacher ran out of memory")
    expect(page.get_by_text("Learning has stopped:")).to_be_visible()
    expect(page.get_by_text("the teacher ran out of memory")).to_be_visible()
    expect(page.get_by_role("switch", name="Learn my room")).to_be_disabled()
    session.says["learning"] = None
    expect(page.get_by_text("Nobody teaches here")).to_be_visible()


def test_the_guard_and_the_camera_are_shown(page):
    expect(page.locator("#guard")).to_have_text("Held something back on 41 frames, 0.3 % of all.")
    expect(page.locator("#camera")).to_have_text("mjpeg 1280x720, 30 per second")
    expect(page.locator("#kept")).to_have_text("Keeps everybody.")


def test_an_engine_that_goes_is_missed_and_one_that_comes_is_found(context, panel, place, gallery):
    page = context.new_page()
    page.goto(panel.address)
    expect(page.get_by_text("No engine is running")).to_be_visible()
    expect(page.get_by_text("jm-engine -o camera", exact=True)).to_be_visible()
    for _ in range(2):
        server = start_session(ScriptedSession(), place)
        expect(page.locator("#controls")).to_be_visible()
        expect(page.get_by_role("button", name="forest")).to_be_visible()
        server.close()
        expect(page.get_by_text("No engine is running")).to_be_visible()
        expect(page.locator("#controls")).to_be_hidden()


# -- what is pressed ---------------------------------------------------------------------------------------------------


def test_pause_and_resume(page, session):
    button(page, "Pause").click()
    expect(page.get_by_role("status").filter(has_text="Paused")).to_be_visible()
    button(page, "Resume").click()
    expect(page.get_by_role("status").filter(has_text="You are in the picture")).to_be_visible()
    assert session.told == [("pause",), ("resume",)]


@pytest.mark.parametrize(
    ("name", "told"),
    [("Mirror me", ("mirror", True)), ("Follow me", ("frame", True)), ("Learn my room", ("learn", False))],
)
def test_switches_show_what_the_engine_says(page, session, name, told):
    switch = page.get_by_role("switch", name=name)
    switch.click()
    session.wait(*told)
    expect(switch).to_have_attribute("aria-checked", str(told[1]).lower())
    switch.click()
    session.wait(told[0], not told[1])


def test_backgrounds(page, session, gallery):
    button(page, "forest").click()
    session.wait("background", str(gallery / "forest.jpg"))
    expect(button(page, "forest")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#now")).to_have_text("forest")
    page.get_by_role("slider", name="Blur strength").fill("0.8")
    session.wait("background", "blur:0.8")
    expect(button(page, "Blur")).to_have_attribute("aria-pressed", "true")
    expect(button(page, "forest")).to_have_attribute("aria-pressed", "false")
    button(page, "Slate").click()
    session.wait("background", "#3c4753")
    expect(button(page, "Slate")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Another colour").fill("#102030")
    session.wait("background", "#102030")


def test_forgetting_asks_first(page, session):
    page.get_by_role("button", name="Forget what was learned").click()
    dialog = page.get_by_role("dialog", name="Forget what was learned?")
    expect(dialog).to_be_visible()
    expect(button(page, "Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert session.told == []
    page.get_by_role("button", name="Forget what was learned").click()
    button(dialog, "Forget").click()
    session.wait("forget")


def test_a_refusal_is_said_and_can_be_put_away(page, session, gallery):
    cv2.imwrite(str(gallery / "broken.png"), np.zeros((9, 9, 3), np.uint8))
    page.reload()
    button(page, "broken").click()
    expect(page.get_by_role("alert")).to_contain_text("no image that is known here")
    button(page, "Close").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_file_is_dropped_onto_the_page_and_one_that_is_none_is_refused(page, session, gallery):
    drop = """([name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name));
        for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
        }
    }"""
    png = cv2.imencode(".png", np.full((9, 16, 3), 200, np.uint8))[1].tobytes()
    page.evaluate(drop, ["my desk.png", list(png)])
    expect(button(page, "my desk")).to_be_visible()
    expect(page.locator("#notice")).to_have_text("my desk.png is in the gallery.")
    assert cv2.imread(str(gallery / "my desk.png")).shape == (9, 16, 3)
    page.evaluate(drop, ["letter.png", list(b"Dear you")])
    expect(page.get_by_role("alert")).to_contain_text("letter.png cannot be decoded")


def test_a_file_is_chosen(page, gallery):
    with page.expect_file_chooser() as chosen:
        button(page, "Add a picture or video").click()
    png = cv2.imencode(".png", np.full((9, 16, 3), 200, np.uint8))[1].tobytes()
    chosen.value.set_files([{"name": "chosen.png", "mimeType": "image/png", "buffer": png}])
    expect(button(page, "chosen")).to_be_visible()


# -- for everybody -----------------------------------------------------------------------------------------------------


def test_every_control_has_a_role_and_a_name(page):
    """In Chromium's accessibility tree, which is what a screen reader is given."""
    session = page.context.new_cdp_session(page)
    session.send("Accessibility.enable")
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
        and any(entry["name"] == "focusable" and entry["value"]["value"] for entry in node.get("properties", []))
        and node["role"]["value"] != "RootWebArea"
    ]
    assert {role for role, _ in named} == {"button", "switch", "slider", "ColorWell", "DisclosureTriangle"}
    assert [role for role, name in named if not name.strip()] == []
    assert len(named) >= 15
    headings = [node["name"]["value"] for node in nodes if node["role"]["value"] == "heading"]
    assert headings == ["JIT-Masker", "Background", "Learning", "Rooms", "Leak guard", "Camera and output"]
    images = [node.get("name", {}).get("value") for node in nodes if node["role"]["value"] == "image"]
    assert all(images)


def test_the_keyboard_reaches_everything_and_is_never_trapped(page, session):
    expect(button(page, "forest")).to_be_visible()
    reached = []
    while True:
        page.keyboard.press("Tab")
        what = page.evaluate("""() => {
            const at = document.activeElement;
            if (at === document.body) return null;
            const ring = getComputedStyle(at.type === "color" ? at.parentNode : at);
            const shown = ring.outlineStyle === "solid" && parseFloat(ring.outlineWidth) >= 3;
            return [at.id || at.dataset.name || at.getAttribute("aria-label") || at.textContent.trim(), shown];
        }""")
        if what is None or len(reached) > 60:
            break
        reached.append(what)
    assert [name for name, shown in reached if not shown] == [], "focus has to be seen"
    assert [name for name, _ in reached] == [
        "pause", "mirror", "frame", "show-room", "blur", "blue beach.png", "forest.jpg", "strength", "Slate", "Sand",
        "Sage", "Green screen", "colour", "add", "learn", "Numbers", "forget", "More",
    ]  # fmt: skip
    page.locator("#pause").focus()
    page.keyboard.press("Space")
    session.wait("pause")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    session.wait("mirror", True)
    page.locator("#strength").focus()
    page.keyboard.press("ArrowRight")
    session.wait("background", "blur:0.65")
    page.locator("#forget").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    session.wait("forget")
    expect(page.locator("#forget")).to_be_focused()  # where it was before


def test_focus_stays_where_it_is_when_the_gallery_changes(page, session, gallery):
    button(page, "forest").focus()
    png = cv2.imencode(".png", np.full((9, 16, 3), 200, np.uint8))[1].tobytes()
    page.locator("#file").set_input_files([{"name": "new.png", "mimeType": "image/png", "buffer": png}])
    expect(button(page, "new")).to_be_visible()
    expect(button(page, "forest")).to_be_focused()


CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = ([r, g, b]) => [r, g, b]
        .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    const poor = [];
    let looked = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
        const style = getComputedStyle(node);
        const ink = rgba(node.namespaceURI.endsWith("svg") ? style.fill : style.color);
        const [high, low] = [luminance(ink), luminance(ground(node))].sort((a, b) => b - a);
        const ratio = (high + 0.05) / (low + 0.05);
        looked++;
        if (ratio < 4.5) poor.push([walker.currentNode.textContent.trim(), ratio.toFixed(2)]);
    }
    return { poor, looked };
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_in_both_themes(page, session, theme):
    page.emulate_media(color_scheme=theme)
    grounds = set()
    for changed, words in STATES.values():
        session.says = status(**changed)
        expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = page.evaluate(CONTRAST)
        assert found["poor"] == []
        assert found["looked"] > 60
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == {{"light": "rgb(244, 243, 239)", "dark": "rgb(19, 21, 23)"}[theme]}
    correction = {"keep": True, "area": 0.083, "found": True}
    session.remembered = [remembered("a" * 12, "0"), remembered("b" * 12, "1", believed=False)]
    session.learning(room="a" * 12, corrections=[correction, correction | {"keep": False}])
    button(page, "Show camera").click()
    button(page, "Remove this").click()
    expect(page.get_by_text("Here now")).to_be_visible()
    assert page.evaluate(CONTRAST)["poor"] == []
    session.learning(on=False, died="the teacher ran out of memory")
    expect(page.get_by_text("Learning has stopped:")).to_be_visible()
    page.get_by_role("button", name="Forget what was learned").click()
    assert page.evaluate(CONTRAST)["poor"] == []


def test_a_phone_needs_no_scrolling_sideways(page, session):
    page.set_viewport_size({"width": 360, "height": 740})
    for summary in page.locator("summary").all():
        summary.click()
    session.says = status(source="rtsp://camera.local/" + "a" * 200, background="/home/me/" + "b" * 200 + ".png")
    expect(page.locator("#source")).to_contain_text("aaa")
    session.remembered = [remembered("a" * 12, "/dev/v4l/by-id/" + "c" * 200)]
    session.learning(room="a" * 12, corrections=[{"keep": True, "area": 0.083, "found": True}])
    button(page, "Show camera").click()
    expect(page.get_by_text("Here now")).to_be_visible()
    expect(button(page, "Undo the last one")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.evaluate("""[...document.querySelectorAll("main button")]
        .filter((b) => b.checkVisibility() && Math.min(b.offsetWidth, b.offsetHeight) < 44).map((b) => b.id)""")
    assert small == [], "a finger needs 44 px"


# -- for nobody else ---------------------------------------------------------------------------------------------------


def test_nothing_is_fetched_from_elsewhere(context, panel, session):
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(panel.address)
    button(page, "forest").click()
    button(page, "Show camera").click()
    expect(page.locator("#room")).to_have_js_property("naturalWidth", 128)
    assert len(asked) > 10
    assert {url for url in asked if not url.startswith(("blob:", panel.origin + "/"))} == set()
    assert page.url == panel.origin + "/"  # the token is gone from the address
    assert page.evaluate("document.cookie") == ""


STRANGER = """async (origin) => {
    const got = [];
    const image = (path) => new Promise((done) => {
        const img = new Image();
        img.onload = () => done(`image of ${path}: ${img.naturalWidth}`);
        img.onerror = () => done(null);
        img.src = origin + path;
    });
    const read = (path, options) => fetch(origin + path, options)
        .then(async (answer) => answer.type === "opaque" ? null : `read ${path}: ${await answer.text()}`, () => null);
    const script = () => new Promise((done) => {
        const tag = document.createElement("script");
        tag.onload = () => done("script");
        tag.onerror = () => done(null);
        tag.src = origin + "/words.js";
        document.head.append(tag);
    });
    const websocket = () => new Promise((done) => {
        const socket = new WebSocket(origin.replace("http", "ws") + "/picture");
        socket.onopen = () => done("websocket");
        socket.onerror = () => done(null);
    });
    const command = JSON.stringify({ command: "mirror", arguments: ["on"] });
    for (const attempt of [
        image("/picture"), image("/source"), image("/thumbnail?name=forest.jpg"), image("/icon.svg"), script(),
        websocket(), read("/stats"), read("/stats", { credentials: "include" }),
        read("/picture", { mode: "no-cors", credentials: "include" }),
        read("/command", { method: "POST", body: command, credentials: "include" }),
        read("/command", { method: "POST", body: command, mode: "no-cors", credentials: "include" }),
        read("/gallery?name=a.png", { method: "POST", body: "x", mode: "no-cors", credentials: "include" }),
    ]) got.push(await attempt);
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: origin + "/command", target: "into", enctype: "text/plain" });
    const field = document.createElement("input");
    Object.assign(field, { name: '{"command": "mirror", "arguments": ["on"], "x": "', value: '"}' });
    const frame = document.createElement("iframe");
    frame.name = "into";
    form.append(field);
    document.body.append(frame, form);
    await new Promise((done) => { frame.onload = done; form.submit(); });
    await new Promise((done) => { frame.onload = done; frame.src = origin + "/"; });
    let inside = null;
    try { inside = frame.contentDocument?.body?.textContent; } catch { inside = null; }
    got.push(inside || null);
    return got.filter((one) => one !== null);
}"""


@pytest.fixture
def stranger(tmp_path):
    """A page of somebody else's, on another port of this machine: to a cookie it is the same site."""
    (tmp_path / "index.html").write_text("<!doctype html><title>stranger</title><body>", encoding="utf-8")
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_strangers_page_gets_nothing(page, panel, session, stranger, host):
    """With the user's cookie in the same browser."""
    button(page, "Pause").click()
    session.wait("pause")
    other = page.context.new_page()
    answers = []
    other.on("response", lambda answer: answers.append((answer.status, urlsplit(answer.url).port)))
    other.goto(f"http://{host}:{stranger}/index.html")
    assert other.evaluate(STRANGER, panel.origin) == []
    assert {code for code, port in answers if port == panel.port} == {403}
    assert session.told == [("pause",)]
    assert session.sources == 0


def test_a_link_of_a_strangers_does_not_open_the_panel(page, panel, stranger):
    other = page.context.new_page()
    other.goto(f"http://localhost:{stranger}/index.html")
    with other.expect_response(panel.origin + "/") as answered:
        other.evaluate("(to) => { location.href = to; }", panel.origin + "/")
    assert answered.value.status == 403


def test_a_panel_that_was_started_anew_says_where_to_look(page, panel, place):
    panel.close()
    expect(page.get_by_text("The panel has ended.")).to_be_visible()
    again = Panel(place, "--port", str(panel.port))
    try:
        expect(page.get_by_text("The panel was started anew.")).to_be_visible()
    finally:
        again.close()
