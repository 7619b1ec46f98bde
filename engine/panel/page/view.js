// What the engine says of itself, put into the page. Asks nothing and commands nothing.
import { draw } from "./chart.js";
import { ABSENT, STARTING, STATES, count, duration, plural, who } from "./words.js";

const $ = (id) => document.getElementById(id);

// Only what changed is written: a screen reader says again what is written again.
function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function set(id, name, value) {
  if ($(id).getAttribute(name) !== String(value)) $(id).setAttribute(name, value);
}

export function showState([word, sentence, icon, tone]) {
  document.body.dataset.tone = tone;
  set("state-icon", "href", `#i-${icon}`);
  say("state-word", word);
  say("state-sentence", sentence);
  if (!document.title.startsWith(`${word} ·`)) document.title = `${word} · JIT-Masker`;
}

// error: why the engine cannot be asked; a status of 503 says that none runs.
export function showAbsence(error) {
  $("controls").hidden = $("side").hidden = true;
  $("absent").hidden = error.status !== 503;
  showState(error.status === 503 ? ABSENT : ["No connection", error.message, "lost", "bad"]);
}

export function show(stats) {
  $("absent").hidden = true;
  $("controls").hidden = $("side").hidden = false;
  showState(STATES[stats.state] ?? STARTING);
  say("pause-word", stats.paused ? "Resume" : "Pause");
  set("pause-icon", "href", stats.paused ? "#i-resume" : "#i-paused");
  set("mirror", "aria-checked", stats.mirrored);
  set("frame", "aria-checked", stats.framing);
  showLearning(stats);
  showGuard(stats);
  showCamera(stats);
}

function showLearning({ learning, teacher, who: kept, swaps, rejected, rollbacks, version }) {
  set("learn", "aria-checked", learning?.on ?? false);
  $("learn").disabled = learning === null || learning.died !== null;
  $("learned").hidden = learning === null;
  $("died").hidden = !learning?.died;
  say("kept", `Keeps ${who(kept)}.`);
  if (learning === null) {
    say("price", "Nobody teaches here: the engine paints as it was shipped. Start it with a teacher to learn your room.");
    return;
  }
  say("died-reason", learning.died ?? "");
  say("price", price(learning));
  say("score", learning.score === null ? "–" : learning.score.toFixed(2));
  draw($("chart"), $("chart-summary"), $("chart-table"), learning.curve);
  say("teacher", teacher ?? "none");
  say("labels", count(learning.calls));
  say("refused", count(learning.refused));
  say("steps", count(learning.steps));
  say("swaps", count(swaps));
  say("rejected", count(rejected));
  say("rollbacks", count(rollbacks));
  say("version", version ? `number ${count(version)}` : "as shipped");
}

function price({ on, died, cpu_percent: percent, budget_percent: budget }) {
  if (died) return "It costs nothing any more; the picture goes on with what was learned.";
  const most = budget === null ? "no limit" : `at most ${budget} %`;
  if (!on) return `Resting. It keeps what was learned, and would cost ${most} of a core.`;
  return `Costs ${percent.toFixed(1)} % of a core; ${most}.`;
}

function showGuard({ frames, unsure, doubts, faults, dropped }) {
  const held = Math.max(unsure, doubts) + faults;
  const share = frames ? (100 * held) / frames : 0;
  const words = share < 0.1 ? "less than 0.1 %" : `${share.toFixed(1)} %`;
  say("guard", held ? `Held something back on ${plural(held, "frame", "frames")}, ${words} of all.` : "Nothing had to be held back so far.");
  say("unsure", count(unsure));
  say("doubts", count(doubts));
  say("faults", count(faults));
  say("dropped", count(dropped));
}

function showCamera(stats) {
  const watched = { true: "yes", false: "nobody watches" };
  say("source", stats.source);
  say("camera", stats.camera || "not said");
  say("output", stats.output);
  say("watched", watched[stats.watched] ?? "cannot be told");
  say("size", stats.size ? stats.size.join(" × ") : "–");
  say("fps", `${stats.fps.toFixed(0)} per second`);
  say("latency", stats.latency_ms === null ? "–" : `${stats.latency_ms.toFixed(0)} ms`);
  say("paint", stats.paint_ms === null ? "–" : `${stats.paint_ms.toFixed(1)} ms`);
  say("cpu", `${stats.cpu_percent.toFixed(0)} % of a core`);
  say("reopened", plural(stats.reopened, "time", "times"));
  say("frames", count(stats.frames));
  say("uptime", duration(stats.uptime_s));
}
