// A stroke over a picture, by mouse, finger, pen or keys, in shares of the picture's width and height. Knows no engine.
const SVG = "http://www.w3.org/2000/svg";
const MAX_POINTS = 64;
const NEAR = 0.003; // shares; a point so close to the one before says nothing new
const STEP = 0.02; // shares, for an arrow key
const LEAP = 0.1; // with Shift
const KEPT_MS = 1500; // what was drawn stays to be seen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  // svg: lies over img, which may show another picture at any time; onStroke([[x, y], ...]), onLeave(), say(text)
  constructor({ svg, img, onStroke, onLeave, say }) {
    Object.assign(this, { svg, img, onStroke, onLeave, say, points: null, pointer: null, timer: null });
    this.cross = [0.5, 0.5];
    this.hairs = [this.#part("path", "hair halo"), this.#part("path", "hair")];
    this.lines = [this.#part("polyline", "halo"), this.#part("polyline", "line")];
    img.addEventListener("load", () => this.#fit());
    svg.addEventListener("pointerdown", (event) => this.#begin(event));
    svg.addEventListener("pointermove", (event) => this.#go(event));
    svg.addEventListener("pointerup", (event) => this.#end(event));
    svg.addEventListener("pointercancel", () => this.#drop());
    svg.addEventListener("lostpointercapture", () => this.#drop());
    svg.addEventListener("keydown", (event) => this.#press(event));
    svg.addEventListener("blur", () => this.#showCross(false));
  }

  // kind: "keep", "drop", or null: nothing can be drawn
  set kind(kind) {
    if (kind) this.svg.dataset.kind = kind;
    this.svg.toggleAttribute("hidden", !kind);
    this.#drop();
    this.#draw([]);
    this.#fit();
  }

  focus() {
    this.svg.focus({ preventScroll: true });
    this.#showCross(true);
  }

  // -- the pointer ---------------------------------------------------------------------------------------------------

  #begin(event) {
    if (!event.isPrimary || event.button !== 0 || !this.width) return;
    const at = this.#at(event);
    if (at.some((share) => share < 0 || share > 1)) return; // beside the picture
    event.preventDefault(); // no text is selected
    this.svg.focus({ preventScroll: true }); // so that Escape is heard
    this.#showCross(false);
    this.svg.setPointerCapture(event.pointerId);
    Object.assign(this, { pointer: event.pointerId, points: [at] });
    this.#draw(this.points);
  }

  #go(event) {
    if (event.pointerId !== this.pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) this.#add(this.#at(one));
    this.#draw(this.points);
  }

  #add(at) {
    const point = at.map(clamp);
    if (distance(point, this.points.at(-1)) >= NEAR) this.points.push(point);
  }

  #end(event) {
    if (event.pointerId !== this.pointer) return;
    const points = thin(this.points, MAX_POINTS);
    Object.assign(this, { pointer: null, points: null });
    this.#finish(points);
  }

  #drop() {
    if (this.pointer === null) return;
    Object.assign(this, { pointer: null, points: null });
    this.#draw([]);
  }

  // Where an event is, in shares; outside 0..1 beside the picture.
  #at(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [at.x / this.width, at.y / this.height];
  }

  // -- keys ----------------------------------------------------------------------------------------------------------

  #press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in ARROWS) {
      const step = event.shiftKey ? LEAP : STEP;
      this.cross = this.cross.map((share, axis) => clamp(share + step * ARROWS[event.key][axis]));
      this.#showCross(true);
      this.say(`${Math.round(100 * this.cross[0])} % across, ${Math.round(100 * this.cross[1])} % down`);
    } else if ((event.key === "Enter" || event.key === " ") && this.width) {
      if (!event.repeat) this.#finish([this.cross]);
    } else if (event.key === "Escape") {
      if (this.pointer !== null) this.#drop();
      else this.onLeave();
    } else return;
    event.preventDefault();
  }

  #showCross(on) {
    this.svg.classList.toggle("aiming", on);
    if (!on || !this.width) return;
    const [x, y] = [this.cross[0] * this.width, this.cross[1] * this.height];
    for (const hair of this.hairs) hair.setAttribute("d", `M0 ${y}H${this.width}M${x} 0V${this.height}`);
  }

  // -- what is seen --------------------------------------------------------------------------------------------------

  #finish(points) {
    this.#draw(points);
    this.timer = setTimeout(() => this.#draw([]), KEPT_MS);
    this.onStroke(points);
  }

  #draw(points) {
    clearTimeout(this.timer);
    const dots = points.length === 1 ? [points[0], points[0]] : points; // a line of no length is a dot
    const path = dots.map(([x, y]) => `${(x * this.width).toFixed(1)},${(y * this.height).toFixed(1)}`).join(" ");
    for (const line of this.lines) line.setAttribute("points", path);
    this.svg.classList.toggle("dot", points.length === 1);
  }

  // The overlay is laid out as the picture is: object-fit: contain.
  #fit() {
    const { naturalWidth: width, naturalHeight: height } = this.img;
    if (!width || (width === this.width && height === this.height)) return;
    Object.assign(this, { width, height });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (this.svg.classList.contains("aiming")) this.#showCross(true);
  }

  #part(kind, name) {
    const part = document.createElementNS(SVG, kind);
    part.setAttribute("class", name);
    this.svg.append(part);
    return part;
  }
}

const clamp = (share) => Math.min(1, Math.max(0, share));
const distance = ([x, y], [u, v]) => Math.hypot(x - u, y - v);

// At most `most` of the points, evenly along the way, the first and the last among them.
export function thin(points, most) {
  if (points.length <= most) return points;
  const along = [0];
  for (let i = 1; i < points.length; i++) along.push(along[i - 1] + distance(points[i - 1], points[i]));
  const kept = [];
  for (let i = 0, n = 0; n < most - 1; n++) {
    while (along[i] < (along.at(-1) * n) / (most - 1)) i++;
    if (kept.at(-1) !== points[i]) kept.push(points[i]);
  }
  return [...kept, points.at(-1)];
}
