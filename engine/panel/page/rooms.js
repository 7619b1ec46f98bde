// The places whose student is remembered. The engine reads them from disk, so it is asked only where they may have changed.
import { ROOMS, cameraName, capital, plural, when } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Rooms {
  // ask(path) -> JSON; command(name, ...arguments) -> whether it was done; confirm(title, text, action)
  constructor({ ask, command, confirm }) {
    Object.assign(this, { ask, command, confirm, known: null, rooms: [], here: null });
    $("forget-rooms").addEventListener("click", () => this.#forgetAll());
  }

  // After each look at the engine: they may have changed where it is another one, or is in another room.
  async show({ pid, learning }) {
    this.here = learning?.room ?? null;
    const known = `${pid} ${this.here}`;
    if (known === this.known) return;
    this.known = known;
    await this.refresh();
  }

  async refresh() {
    let answer;
    try {
      answer = await this.ask("/rooms");
    } catch (error) {
      $("rooms-words").textContent = error.message;
      return;
    }
    this.rooms = answer.rooms;
    $("rooms-words").textContent = ROOMS[answer.mode][this.rooms.length ? "some" : "none"];
    const items = [...$("rooms").children];
    const focused = items.findIndex((item) => item.contains(document.activeElement));
    $("rooms").replaceChildren(...this.rooms.map((room) => this.#item(room)));
    $("rooms").hidden = $("forget-rooms").hidden = !this.rooms.length;
    if (focused >= 0) this.#focus(focused);
  }

  forget() {
    this.known = null;
  }

  #focus(index) {
    const item = $("rooms").children[Math.min(index, this.rooms.length - 1)];
    if (item) item.querySelector("button").focus();
    else this.#focusTitle();
  }

  #item(room) {
    const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
    const item = document.createElement("li");
    const words = document.createElement("p");
    const seen = when(room.seen, new Date());
    words.append(make("strong", "path", cameraName(room.camera)));
    if (room.here) words.append(" ", make("span", "here", "Here now"));
    const parts = [capital(seen), plural(room.visits, "visit", "visits"), `match\u00a0${room.score.toFixed(2)}`];
    if (!room.believed) parts.push("did not fit, so it is not used");
    words.append(document.createElement("br"), make("span", "quiet", parts.join(" · ")));
    const button = make("button", "small", "Forget");
    button.type = "button";
    button.setAttribute("aria-label", `Forget ${cameraName(room.camera)}, seen ${seen}`);
    button.addEventListener("click", () => this.#forgetOne(room));
    item.title = `Room ${room.id}`;
    item.append(words, button);
    return item;
  }

  #forgetOne(room) {
    const text = room.here ? ROOMS.forgetHere : ROOMS.forgetOne;
    this.confirm("Forget this room?", text, () => this.#forget(room.id));
  }

  #forgetAll() {
    const title = this.rooms.length === 1 ? "Forget the one room?" : `Forget all ${this.rooms.length} rooms?`;
    this.confirm(title, ROOMS.forgetAll, () => this.#forget("all"));
  }

  async #forget(which) {
    await this.command("rooms", "forget", which);
    await this.refresh();
    if (which === "all") this.#focusTitle();
  }

  #focusTitle() {
    $("rooms-title").tabIndex = -1; // by the page alone
    $("rooms-title").focus();
  }
}
