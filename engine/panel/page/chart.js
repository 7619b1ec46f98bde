// Match with the teacher over time: a line for the eye, a sentence and a table for everybody.
import { count } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320, HEIGHT = 96, LEFT = 26, TOP = 6, BOTTOM = 8;
const SHOWN = 120; // labels, the newest
const ROWS = 12; // of the table

// curve: [[frame, score in 0..1], ...]
export function draw(svg, summary, table, curve) {
  const points = curve.slice(-SHOWN);
  const scores = points.map(([, score]) => score);
  summary.textContent = describe(scores);
  svg.replaceChildren(...(points.length > 1 ? parts(points, scores) : []));
  svg.toggleAttribute("hidden", points.length < 2);
  table.replaceChildren(...points.slice(-ROWS).reverse().map(([frame, score]) => row(count(frame), score.toFixed(2))));
}

function describe(scores) {
  if (!scores.length) return "No label has come yet.";
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const lowest = Math.min(...scores);
  const over = scores.length === 1 ? "the only label" : `the last ${scores.length} labels`;
  return `${mean.toFixed(2)} on average over ${over}, ${lowest.toFixed(2)} at the lowest. 1 would be the teacher's own mask.`;
}

function parts(points, scores) {
  const floor = Math.min(0.8, Math.floor(10 * Math.min(...scores)) / 10);
  const x = (i) => LEFT + (i / (points.length - 1)) * (WIDTH - LEFT - 6);
  const y = (score) => TOP + ((1 - score) / (1 - floor)) * (HEIGHT - TOP - BOTTOM);
  const line = scores.map((score, i) => `${x(i).toFixed(1)},${y(score).toFixed(1)}`);
  const rules = [1, (1 + floor) / 2, floor].flatMap((score) => [
    element("line", { class: "rule", x1: LEFT, x2: WIDTH, y1: y(score), y2: y(score) }),
    element("text", { x: 0, y: y(score) + 3.5 }, score.toFixed(score * 10 % 1 ? 2 : 1)),
  ]);
  const base = HEIGHT - BOTTOM;
  return [
    ...rules,
    element("polygon", { class: "area", points: `${LEFT},${base} ${line.join(" ")} ${x(points.length - 1)},${base}` }),
    element("polyline", { class: "curve", points: line.join(" ") }),
    element("circle", { class: "newest", cx: x(points.length - 1), cy: y(scores.at(-1)), r: 3 }),
  ];
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  for (const text of cells) made.insertCell().textContent = text;
  return made;
}
