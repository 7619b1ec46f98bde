// What the user draws over in the camera's picture is kept or removed; what of that holds; the last one taken back.
import { Pad } from "./pad.js";
import { CANNOT_CORRECT, correction } from "./words.js";

const $ = (id) => document.getElementById(id);
const BUTTONS = { keep: "keep-this", drop: "drop-this" };

export class Corrections {
  // command(name, ...arguments) -> whether it was done; tell(text)
  constructor({ command, tell }) {
    Object.assign(this, { command, tell, kind: null, reason: null, told: "[]" });
    this.pad = new Pad({
      svg: $("pad"),
      img: $("room"),
      onStroke: (points) => this.#send(points),
      onLeave: () => this.#leave(),
      say: (text) => ($("cross").textContent = text),
    });
    for (const [kind, id] of Object.entries(BUTTONS)) {
      $(id).addEventListener("click", (event) => {
        this.#choose(this.kind === kind ? null : kind);
        if (this.kind && event.detail === 0) this.pad.focus(); // pressed by a key: what follows is drawn by keys
      });
    }
    $("undo").addEventListener("click", () => this.#undo());
  }

  // After each look at the engine, and where the camera's picture comes or goes.
  show(learning, camera) {
    this.reason = !learning ? "nobody" : learning.died ? "died" : learning.on ? null : "resting";
    const held = learning?.corrections ?? [];
    $("correcting").hidden = !camera && !held.length;
    $("draw").hidden = !camera;
    for (const id of Object.values(BUTTONS)) $(id).disabled = this.reason !== null;
    if (this.kind && (this.reason || !camera)) this.#choose(null);
    this.#hint(camera);
    this.#list(held);
  }

  #hint(camera) {
    const text = CANNOT_CORRECT[this.reason] ?? CANNOT_CORRECT[camera ? "" : "hidden"];
    if ($("correct-hint").textContent !== text) $("correct-hint").textContent = text;
  }

  #list(held) {
    const told = JSON.stringify(held);
    $("undo").disabled = this.reason === "died";
    if (told === this.told) return;
    this.told = told;
    $("corrections").replaceChildren(
      ...held.map((one) => {
        const item = document.createElement("li");
        item.textContent = correction(one);
        item.dataset.kind = one.keep ? "keep" : "drop";
        return item;
      }),
    );
    const focused = document.activeElement === $("undo");
    $("undo").hidden = $("corrections").hidden = !held.length;
    if (focused && !held.length) $($("keep-this").checkVisibility() ? "keep-this" : "show-room").focus();
  }

  #choose(kind) {
    this.kind = this.pad.kind = kind;
    for (const [name, id] of Object.entries(BUTTONS)) $(id).setAttribute("aria-pressed", String(name === kind));
  }

  #leave() {
    const id = BUTTONS[this.kind];
    this.#choose(null);
    $(id)?.focus();
  }

  async #send(points) {
    const { kind } = this;
    const words = points.map((point) => point.map((share) => share.toFixed(4)).join(","));
    if (!(await this.command("correct", ...words, kind))) return;
    this.tell(kind === "keep" ? "It will be kept. Learning that takes a moment." : "It will be removed. Learning that takes a moment.");
  }

  async #undo() {
    if (await this.command("undo")) this.tell("The last correction is taken back.");
  }
}
