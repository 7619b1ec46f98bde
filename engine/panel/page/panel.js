// The page: looks at the engine once a second, and does what its buttons say. Everything stays on this machine.
import { Corrections } from "./corrections.js";
import { Gallery } from "./gallery.js";
import { LivePicture } from "./live.js";
import { Rooms } from "./rooms.js";
import { show, showAbsence } from "./view.js";
import { FORGET } from "./words.js";

const POLL_MS = 1000;
const HIDDEN_POLL_MS = 5000; // the title still tells the state
const NOTICE_MS = 6000;

const $ = (id) => document.getElementById(id);
let stats = null; // null: no engine
let timer = null;
let noticeTimer = null;
let waking = false;
let confirmed = null; // what the open dialog asks about

history.replaceState(null, "", "/"); // the token is a cookie by now

// -- talking to the panel ----------------------------------------------------------------------------------------

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The panel has ended. Start it again with jm-engine panel.");
  }
  if (answer.status === 403) throw new Error("The panel was started anew. Open the address that it printed.");
  const read = await answer.json().catch(() => ({ error: `The panel failed (${answer.status}). Reload the page.` }));
  if (!answer.ok) throw Object.assign(new Error(read.error), { status: answer.status });
  return read;
}

// Whether it was done.
async function command(name, ...words) {
  const body = JSON.stringify({ command: name, arguments: words });
  let done = true;
  try {
    await ask("/command", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    complain("");
  } catch (error) {
    complain(error.message);
    done = false;
  }
  await look();
  return done;
}

function tell(text) {
  clearTimeout(noticeTimer);
  $("notice").textContent = text;
  noticeTimer = setTimeout(() => ($("notice").textContent = ""), NOTICE_MS);
}

function complain(text) {
  $("problem-text").textContent = text;
  $("problem").hidden = !text;
  if (text) $("notice").textContent = "";
}

// Ask first; what is asked about is done where the user says so.
function confirm(title, text, action) {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  confirmed = action;
  $("ask").showModal();
}

// -- looking -----------------------------------------------------------------------------------------------------

const sent = new LivePicture($("sent"), "/picture", (shown) => $("sent-figure").classList.toggle("waiting", !shown));
const room = new LivePicture($("room"), "/source", (shown) => $("room-figure").classList.toggle("waiting", !shown));
const gallery = new Gallery({ ask, command, tell, complain });
const rooms = new Rooms({ ask, command, confirm });
const corrections = new Corrections({ command, tell });

async function look() {
  clearTimeout(timer);
  try {
    stats = await ask("/stats");
    show(stats);
    showPicture(stats.state === "asleep");
    await gallery.show(stats.background);
    await rooms.show(stats);
  } catch (error) {
    if (stats) gallery.forget();
    rooms.forget();
    stats = null;
    sent.on = false;
    showRoom(false);
    showAbsence(error);
  }
  clearTimeout(timer);
  timer = setTimeout(look, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
}

// To look is to watch: it wakes the engine and its camera, so a sleeping one is looked at only when asked to.
function showPicture(asleep) {
  waking &&= asleep;
  sent.on = !asleep || waking;
  $("wake").hidden = !asleep || waking;
  $("show-room").disabled = asleep;
  if (asleep) showRoom(false);
  corrections.show(stats.learning, room.wanted);
}

function showRoom(on) {
  room.on = on;
  $("room-figure").hidden = !on;
  $("show-room").setAttribute("aria-pressed", String(on));
  $("show-room-word").textContent = on ? "Hide camera" : "Show camera";
  corrections.show(stats?.learning ?? null, on);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) showRoom(false); // nobody finds the room open on a tab they come back to
  else {
    rooms.forget(); // others may have changed them
    look();
  }
});

// -- buttons -----------------------------------------------------------------------------------------------------

const isOn = (id) => $(id).getAttribute("aria-checked") === "true";
$("pause").addEventListener("click", () => command(stats?.paused ? "resume" : "pause"));
$("mirror").addEventListener("click", () => command("mirror", isOn("mirror") ? "off" : "on"));
$("frame").addEventListener("click", () => command("frame", isOn("frame") ? "off" : "auto"));
$("learn").addEventListener("click", () => command("learn", isOn("learn") ? "off" : "on"));
$("show-room").addEventListener("click", () => showRoom($("room-figure").hidden));
$("wake").addEventListener("click", () => {
  waking = true;
  showPicture(true);
});
$("close-problem").addEventListener("click", () => complain(""));
$("forget").addEventListener("click", () => confirm(FORGET.title, FORGET.text, forget));
$("keep").addEventListener("click", () => $("ask").close());
$("really").addEventListener("click", () => {
  $("ask").close();
  confirmed();
});

async function forget() {
  await command("forget");
  await rooms.refresh();
}

look();
