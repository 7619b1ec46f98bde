// Pictures, a few a second, only while the page is visible and somebody wants them.
const PERIOD_MS = 200; // five a second at 640x480 cost the panel 1 % of a core, the engine too little to measure
const RETRY_MS = 1000;

export class LivePicture {
  // img: where it is shown; path: where it comes from; onState(shown): whether there is a picture now
  constructor(img, path, onState = () => {}) {
    Object.assign(this, { img, path, onState, wanted: false, timer: null, request: null, url: null });
    document.addEventListener("visibilitychange", () => this.#update());
  }

  set on(on) {
    if (this.wanted === on) return;
    this.wanted = on;
    this.#update();
  }

  #update() {
    const running = this.wanted && !document.hidden;
    if (running && !this.request && !this.timer) this.#next(0);
    if (running) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.request?.abort();
    if (!this.wanted) this.#show(null);
  }

  #next(delay) {
    this.timer = setTimeout(() => this.#fetch(), delay);
  }

  async #fetch() {
    const began = performance.now();
    const request = (this.request = new AbortController());
    this.timer = null;
    let delay = RETRY_MS;
    try {
      const answer = await fetch(this.path, { signal: request.signal });
      if (!answer.ok) throw new Error(answer.status);
      const url = URL.createObjectURL(await answer.blob());
      if (request.signal.aborted) URL.revokeObjectURL(url);
      else this.#show(url);
      await this.img.decode().catch(() => {});
      delay = Math.max(0, PERIOD_MS - (performance.now() - began));
    } catch {
      if (!request.signal.aborted) this.onState(false);
    }
    this.request = null;
    if (this.wanted && !document.hidden) this.#next(delay);
  }

  #show(url) {
    const before = this.url;
    this.url = url;
    if (url) this.img.src = url;
    else this.img.removeAttribute("src");
    if (before) URL.revokeObjectURL(before);
    this.onState(url !== null);
  }
}
