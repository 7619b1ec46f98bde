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

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
