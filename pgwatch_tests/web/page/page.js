// The connection of textual-serve's terminal (textual.js), which opens one and never another: here it is one that
// comes back. textual.js gets LastingSocket for its WebSocket, and knows nothing of what happens below it.
"use strict";

(() => {
  const Wire = window.WebSocket;
  const FIRST_RETRY_MS = 500;
  const LAST_RETRY_MS = 5000;
  const PING_EVERY_MS = 10000;
  const ANSWERED_WITHIN_MS = 8000;
  const LEFT = 1000; // close codes
  const AWAY = 1001;
  const LOST = 4000;
  const FORBIDDEN = 403; // a status
  const RESET = new Uint8Array([0x1b, 0x63]); // RIS
  const COLUMNS = 80;
  const LARGEST_FONT = 16;
  const SMALLEST_FONT = 8;
  const CELL = 0.6; // of Roboto Mono: its width, by its size

  const notice = document.getElementById("notice");
  const [words, again] = notice.children;

  function say(text, offersAgain = false) {
    words.textContent = text;
    again.hidden = !offersAgain;
    notice.hidden = false;
    document.body.classList.add("waiting");
    if (offersAgain) again.focus();
  }

  function hush() {
    if (notice.hidden) return;
    notice.hidden = true;
    document.body.classList.remove("waiting");
    focusTerminal();
  }

  function focusTerminal() {
    document.querySelector(".xterm-helper-textarea")?.focus();
  }

  class LastingSocket extends EventTarget {
    constructor(url) {
      super();
      const asked = new URL(url, document.baseURI);
      this.address = new URL(asked.pathname, asked);
      this.address.protocol = this.address.protocol === "https:" ? "wss:" : "ws:";
      this.size = Object.fromEntries(asked.searchParams);
      this.session = null;
      this.retryMs = FIRST_RETRY_MS;
      this.unanswered = false;
      this.opened = false;
      again.addEventListener("click", () => this.connect());
      window.addEventListener("online", () => this.retryNow());
      document.addEventListener("visibilitychange", () => {
        if (!document.hidden) this.retryNow();
      });
      // A page that is only put away may come back as it was; its dashboard doesn't wait for that.
      window.addEventListener("pagehide", () => {
        this.over = true;
        this.wire?.close(LEFT);
      });
      window.addEventListener("pageshow", (event) => {
        if (event.persisted) location.reload();
      });
      setInterval(() => this.ping(), PING_EVERY_MS);
      this.connect();
    }

    send(text) {
      const [kind, value] = JSON.parse(text);
      if (kind === "resize") this.size = value;
      // What is typed while nobody sees its effect has none.
      if (kind !== "ping" && this.wire?.readyState === Wire.OPEN && notice.hidden) this.wire.send(text);
    }

    connect() {
      clearTimeout(this.retry);
      this.retry = undefined;
      this.over = false;
      const address = new URL(this.address);
      address.search = new URLSearchParams({ ...this.size, ...(this.session && { session: this.session }) });
      const wire = new Wire(address);
      wire.binaryType = "arraybuffer";
      wire.addEventListener("message", (event) => {
        if (wire === this.wire) this.take(event.data);
      });
      wire.addEventListener("close", (event) => {
        if (wire === this.wire) this.lose(event.code);
      });
      this.wire = wire;
      this.unanswered = false;
      clearTimeout(this.patience);
      this.patience = setTimeout(() => this.giveUp(wire), ANSWERED_WITHIN_MS);
    }

    giveUp(wire) {
      if (wire !== this.wire) return;
      this.lose(LOST); // its own close may wait for an answer as well
      wire.close(LOST);
    }

    take(data) {
      this.unanswered = false;
      if (typeof data !== "string") {
        this.dispatchEvent(new MessageEvent("message", { data }));
        return;
      }
      clearTimeout(this.patience);
      const [kind, value] = JSON.parse(data);
      if (kind === "session") this.begin(value);
      if (kind === "ended") this.end(value);
      if (kind === "full") {
        this.full = true;
        const open = value === 1 ? "1 dashboard is" : `${value} dashboards are`;
        say(`${open} open here, the most that there may be. Close one, and this one opens.`);
      }
      if (kind === "download") download(value);
    }

    begin({ id, resumed }) {
      this.session = id;
      this.retryMs = FIRST_RETRY_MS;
      hush();
      if (!resumed && this.opened) this.dispatchEvent(new MessageEvent("message", { data: RESET.buffer }));
      if (!this.opened) {
        this.opened = true;
        this.dispatchEvent(new Event("open"));
        focusTerminal();
      } else if (!resumed) {
        // It may have another size since the address was made.
        this.send(JSON.stringify(["resize", this.size]));
      }
    }

    end({ code, error }) {
      this.over = true;
      this.session = null;
      say(code ? `The dashboard ended with exit code ${code}. ${error}` : "The dashboard was left.", true);
    }

    lose(code) {
      this.wire = undefined;
      if (this.over) return;
      if (!this.full) {
        say(code === AWAY ? "The server has ended. Waiting for it …" : "The connection is lost. Trying again …");
      }
      this.full = false;
      this.retryLater();
    }

    retryLater() {
      this.retry = setTimeout(() => this.tryAgain(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 1.5, LAST_RETRY_MS);
    }

    async tryAgain() {
      this.retry = undefined;
      // A websocket doesn't tell why it is refused.
      let answer;
      try {
        answer = await fetch("alive", { cache: "no-store", signal: AbortSignal.timeout(ANSWERED_WITHIN_MS) });
      } catch {
        this.retryLater();
        return;
      }
      if (answer.ok) {
        this.connect();
      } else if (answer.status !== FORBIDDEN) {
        this.retryLater(); // the server is ending
      } else {
        this.over = true;
        say("This link is no longer valid: the server was started again. Open the link that it printed.", true);
      }
    }

    retryNow() {
      if (this.retry !== undefined) {
        clearTimeout(this.retry);
        this.tryAgain();
      } else {
        this.ping();
      }
    }

    ping() {
      if (this.wire?.readyState !== Wire.OPEN) return;
      if (!this.unanswered) {
        this.unanswered = true;
        this.askedAt = Date.now();
        this.wire.send('["ping"]');
      } else if (Date.now() - this.askedAt >= ANSWERED_WITHIN_MS) {
        this.giveUp(this.wire);
      }
    }
  }

  function download({ key, file_name: fileName }) {
    const link = document.createElement("a");
    link.href = `download/${encodeURIComponent(key)}`;
    link.download = fileName;
    link.click();
  }

  function fontSize() {
    const asked = Number(new URLSearchParams(location.search).get("fontsize"));
    if (asked) return Math.min(Math.max(asked, 6), 64);
    const fitting = Math.floor(innerWidth / COLUMNS / CELL);
    return Math.min(Math.max(fitting, SMALLEST_FONT), LARGEST_FONT);
  }

  function orientation() {
    return screen.orientation?.type.split("-")[0];
  }

  async function start() {
    const size = fontSize();
    const held = orientation();
    // textual.js takes a size once. A phone that is turned has room for others.
    window.addEventListener("resize", () => {
      if (orientation() !== held && fontSize() !== size) location.reload();
    });
    window.WebSocket = LastingSocket;
    document.getElementById("terminal").dataset.fontSize = size;
    // The terminal measures and keeps the letters of the font that is there when it opens.
    await Promise.allSettled(
      ["", "bold ", "italic "].map((style) => document.fonts.load(`${style}16px "Roboto Mono"`)),
    );
    const script = document.createElement("script");
    script.src = "textual.js";
    script.addEventListener("load", () => window.onload(new Event("load")));
    document.body.append(script);
  }

  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
})();
