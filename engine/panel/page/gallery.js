// Backgrounds: what is in the gallery, colours, blur; and files that are dropped onto the page.
import { background, percent, plural, title } from "./words.js";

const COLOURS = [["#3c4753", "Slate"], ["#d8cdbf", "Sand"], ["#93a596", "Sage"], ["#00b140", "Green screen"]];
const REFRESH_MS = 10000;
const MAX_BYTES = 200e6;

const $ = (id) => document.getElementById(id);

export class Gallery {
  // ask(path, options) -> JSON; command(name, ...arguments); tell(text), complain(text)
  constructor({ ask, command, tell, complain }) {
    Object.assign(this, { ask, command, tell, complain, names: null, folder: "", asked: -Infinity, adding: false });
    $("blur").addEventListener("click", () => command("blur", $("strength").value));
    $("strength").addEventListener("input", () => this.#nameStrength());
    $("strength").addEventListener("change", () => command("blur", $("strength").value));
    $("colour").addEventListener("change", () => command("background", $("colour").value));
    for (const [value, name] of COLOURS) $("colours").insertBefore(this.#swatch(value, name), $("colour").parentNode);
    $("add").addEventListener("click", () => $("file").click());
    $("file").addEventListener("change", () => this.#add([...$("file").files]));
    this.#takeDrops();
  }

  // After each look at the engine: what is shown now, and from time to time what there is.
  async show(spec) {
    this.spec = spec;
    this.#mark();
    if (performance.now() - this.asked > REFRESH_MS) await this.refresh();
  }

  async refresh() {
    this.asked = performance.now();
    const { folder, names } = await this.ask("/gallery");
    const same = folder === this.folder && JSON.stringify(names) === JSON.stringify(this.names);
    if (same) return;
    Object.assign(this, { folder, names });
    const focused = document.activeElement?.dataset?.name;
    for (const old of document.querySelectorAll("#backgrounds .tile[data-name]")) old.parentNode.remove();
    const tiles = names.map((name) => this.#tile(name));
    $("backgrounds").append(...tiles);
    tiles.find((item) => item.firstChild.dataset.name === focused)?.firstChild.focus();
    $("folder").textContent = folder;
    $("empty").hidden = names.length > 0;
    this.#mark();
  }

  forget() {
    this.asked = -Infinity;
  }

  #mark() {
    const { kind, value, words } = background(this.spec);
    $("now").textContent = words;
    const press = (button, on) => button.setAttribute("aria-pressed", String(on));
    press($("blur"), kind === "blur");
    if (kind === "blur" && document.activeElement !== $("strength")) {
      $("strength").value = value;
      this.#nameStrength();
    }
    for (const swatch of document.querySelectorAll(".swatch[data-colour]")) {
      press(swatch, kind === "colour" && swatch.dataset.colour === value);
    }
    for (const tile of document.querySelectorAll("#backgrounds .tile[data-name]")) {
      press(tile, kind === "file" && [`${this.folder}/`, `${this.folder}\\`].some((at) => value === at + tile.dataset.name));
    }
  }

  #nameStrength() {
    $("strength").setAttribute("aria-valuetext", percent($("strength").value));
    $("strength-value").textContent = percent($("strength").value);
  }

  #tile(name) {
    const button = document.createElement("button");
    button.className = "tile";
    button.type = "button";
    button.dataset.name = name;
    const image = document.createElement("img");
    image.alt = "";
    image.loading = "lazy";
    image.src = `/thumbnail?name=${encodeURIComponent(name)}`;
    image.addEventListener("error", () => image.remove());
    const caption = document.createElement("span");
    caption.textContent = title(name);
    button.title = name;
    button.append(image, caption);
    button.addEventListener("click", () => this.command("background", name));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  #swatch(value, name) {
    const button = document.createElement("button");
    button.className = "swatch";
    button.type = "button";
    button.dataset.colour = value;
    button.title = name;
    button.setAttribute("aria-label", name);
    button.style.setProperty("--colour", value);
    button.addEventListener("click", () => this.command("background", value));
    return button;
  }

  // -- files -------------------------------------------------------------------------------------------------------

  #takeDrops() {
    let depth = 0; // dragenter and dragleave come for every element that is passed
    const over = (change) => {
      depth = Math.max(0, depth + change);
      document.body.classList.toggle("dropping", depth > 0);
    };
    const carries = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => carries(event) && over(1));
    addEventListener("dragleave", (event) => carries(event) && over(-1));
    addEventListener("dragover", (event) => carries(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault(); // else the browser leaves the page for the file
      over(-Infinity);
      this.#add([...event.dataTransfer.files]);
    });
  }

  async #add(files) {
    if (!files.length || this.adding) return;
    this.adding = true;
    const added = [];
    try {
      for (const file of files) {
        if (file.size > MAX_BYTES) throw new Error(`${file.name} has more than ${MAX_BYTES / 1e6} MB; make it smaller, or copy it by hand`);
        this.tell(`Adding ${file.name} …`);
        const options = { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } };
        added.push((await this.ask(`/gallery?name=${encodeURIComponent(file.name)}`, options)).name);
      }
      this.tell(added.length === 1 ? `${added[0]} is in the gallery.` : `${plural(added.length, "file is", "files are")} in the gallery.`);
    } catch (error) {
      this.complain(error.message);
    }
    this.adding = false;
    $("file").value = "";
    await this.refresh().catch(() => {});
  }
}
