// What things are called on the page. State -> [word, sentence, icon, tone]; the order is the engine's.
export const STATES = {
  person: ["You are in the picture", "Everything but you is background.", "person", "good"],
  unsure: ["You are in the picture, carefully", "Some of it was doubtful, and is painted as background.", "unsure", "care"],
  nobody: ["Nobody is there", "Only the background is shown.", "nobody", "calm"],
  covered: ["Covered", "What the picture showed could not be trusted. Only the background is shown.", "covered", "care"],
  paused: ["Paused", "A card is shown instead of you, until you resume.", "paused", "calm"],
  lost: ["The camera is lost", "A card is shown. The camera is picked up as soon as it is back.", "lost", "bad"],
  asleep: ["Asleep", "Nobody watches, so the camera is off. It wakes as soon as somebody does.", "asleep", "calm"],
};
export const STARTING = ["Starting", "The first picture is on its way.", "nobody", "calm"];
export const ABSENT = ["No engine is running", "This page connects as soon as one is.", "lost", "calm"];

const WHO = {
  all: "everybody",
  largest: "the largest person",
  central: "whoever sits in the middle",
  same: "whoever was there before",
};
export const who = (name) => WHO[name] ?? name;

const COLOURS = { black: "#000000", white: "#ffffff", grey: "#808080", gray: "#808080", green: "#00b140", blue: "#0047bb" };

// A background as the engine names it: { kind: "blur" | "colour" | "none" | "file", value, words }
export function background(spec) {
  const [kind, strength] = spec.split(":");
  if (kind === "blur") {
    const value = Math.max(Number(strength || 0.6), 0.4); // below, the engine paints .4
    return { kind, value, words: `Blur, ${percent(value)}` };
  }
  if (spec === "none") return { kind: "none", value: spec, words: "Nothing" };
  if (spec in COLOURS || spec.startsWith("#")) {
    return { kind: "colour", value: (COLOURS[spec] ?? spec).toLowerCase(), words: `Colour ${COLOURS[spec] ? spec : spec.toLowerCase()}` };
  }
  return { kind: "file", value: spec, words: title(spec.split(/[/\\]/).pop()) };
}

// "blue_beach.jpg" -> "blue beach"
export const title = (name) => name.replace(/\.[^.]+$/, "").replace(/[_-]+/g, " ").trim() || name;

export const percent = (share) => `${Math.round(100 * share)} %`;
export const count = (number) => Math.round(number).toLocaleString("en").replaceAll(",", "\u202f");
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
export const capital = (text) => text[0].toUpperCase() + text.slice(1);

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Seconds of Unix time -> "today, 14:03"
export function when(seconds, now) {
  const at = new Date(1000 * seconds);
  const day = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86400e3;
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const ago = day(now) - day(at);
  if (ago === 0) return `today, ${time}`;
  if (ago === 1) return `yesterday, ${time}`;
  return at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

// -- rooms ---------------------------------------------------------------------------------------------------------

const REMEMBERED = "What it learned in a place is kept on this machine, and used the next time. No picture is kept.";
export const ROOMS = {
  on: { some: REMEMBERED, none: `${REMEMBERED} So far nothing is: a room is once the teacher has confirmed what was learned there.` },
  read: {
    some: "What was learned before is used. This run adds nothing (--rooms read).",
    none: "No room is remembered, and this run adds none (--rooms read).",
  },
  off: { none: "This run remembers no rooms: it was started with --rooms off, or its input is no camera." },
  forgetOne: "What it learned there is deleted, and when you come back it begins anew. This cannot be undone.",
  forgetHere: "You are in this room now: the picture goes back to the student as it was shipped, learning begins anew, and what is kept of the room is deleted. This cannot be undone.",
  forgetAll: "What it learned in every place is deleted. The picture goes back to the student as it was shipped, and learning begins anew. This cannot be undone.",
};
export const FORGET = {
  title: "Forget what was learned?",
  text: "The picture goes back to the student as it was shipped, learning begins anew, and what is kept of this room is deleted. This cannot be undone.",
};

// A camera as the user called it: "0" -> "Camera 0"
export function cameraName(name) {
  if (/^\d+$/.test(name)) return `Camera ${name}`;
  return name.replace(/^camera:/, "") || "Unnamed camera";
}

// -- corrections ---------------------------------------------------------------------------------------------------

const DRAWN = "Choose, then draw over it in your real room: a line across is enough, and a click where it has one colour.";
export const CANNOT_CORRECT = {
  "": DRAWN,
  hidden: "These hold in this room. To draw another, show the camera.",
  nobody: "What is drawn over is learned, and nobody teaches in this run. Start the engine with a teacher, as in jm-engine --teacher rvm.",
  died: "Learning has stopped, so nothing can be corrected. “Forget” starts it anew.",
  resting: "Learning rests, so nothing can be corrected. Switch “Learn my room” on first.",
};

export function correction({ keep, area, found }) {
  const what = keep ? "Keeping something" : "Removing something";
  if (!found) return `${what}: looking for it`;
  return `${what}, ${area < 0.005 ? "less than 1 %" : percent(area)} of the picture`;
}
