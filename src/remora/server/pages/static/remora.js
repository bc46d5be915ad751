// What the pages do beyond links and forms: records that arrive by themselves, times
// that grow older, and a word when the server does not answer. Every page can be read,
// and every form sent, without it. All HTML comes from the server, which has escaped
// what apps wrote; here nothing is made of data but text.
"use strict";

const ROWS_KEPT = 500; // a list a browser scrolls without effort
const TIMES_EVERY_MS = 1000;

function spanInWords(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const size = Math.abs(seconds);
  const unit = units.find(([length]) => size >= length);
  if (!unit) return "now";
  const number = Math.floor(size / unit[0]);
  return seconds > 0 ? `${number} ${unit[1]} ago` : `in ${number} ${unit[1]}`;
}

function renewTimes() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[datetime]")) {
    const words = spanInWords((Date.now() - Date.parse(element.dateTime)) / 1000);
    if (element.textContent !== words) element.textContent = words;
  }
}

// A list of records that goes on by itself.
class LiveRecords {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("[data-live-list]");
    this.state = root.querySelector("[data-live-state]");
    this.button = root.querySelector("[data-live-pause]");
    this.after = root.dataset.after;
    this.paused = false;
    this.source = null;
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.pause(!this.paused));
    // A hidden tab would hold one of the few connections that a browser has to us.
    document.addEventListener("visibilitychange", () => this.follow());
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", () => this.follow());
    this.follow();
  }

  pause(paused) {
    this.paused = paused;
    this.button.setAttribute("aria-pressed", String(paused));
    this.button.textContent = paused ? "Go on" : "Pause";
    this.follow();
  }

  follow() {
    const wanted = !this.paused && !document.hidden;
    if (wanted && !this.source) this.open();
    if (!wanted) {
      this.close();
      this.state.textContent = "Paused. New records wait at the server.";
    }
  }

  open() {
    const address = new URL(this.root.dataset.stream, location.href);
    address.searchParams.set("after", this.after);
    this.source = new EventSource(address);
    this.source.addEventListener("open", () => this.say("Live"));
    this.source.addEventListener("records", (event) => this.take(event));
    this.source.addEventListener("skipped", () => {
      this.say("Live; more arrives than can be shown: reload for the rest");
    });
    this.source.addEventListener("error", () => {
      const ended = this.source && this.source.readyState === EventSource.CLOSED;
      this.say(ended ? "Not live: load the page again" : "The server does not answer; trying again");
    });
  }

  close() {
    if (this.source) this.source.close();
    this.source = null;
  }

  say(words) {
    if (this.state.textContent !== words) this.state.textContent = words;
  }

  take(event) {
    this.after = event.lastEventId;
    const empty = this.root.querySelector("[data-live-empty]");
    if (empty) empty.remove();
    // Scripts in a document parsed like this never run.
    const parsed = new DOMParser().parseFromString(`<ol>${event.data}</ol>`, "text/html");
    const rows = Array.from(parsed.body.querySelectorAll(":scope > ol > li"));
    const top = this.list.getBoundingClientRect().top;
    const height = this.list.offsetHeight;
    this.list.prepend(...rows);
    while (this.list.children.length > ROWS_KEPT) this.list.lastElementChild.remove();
    // Who has scrolled down to read a record keeps it before their eyes.
    if (top < 0) window.scrollBy(0, this.list.offsetHeight - height);
    rows.forEach((row) => row.classList.add("new"));
  }
}

function warnWhenStale() {
  const note = document.getElementById("stale");
  const isGood = (response) => response && response.status < 400;
  document.addEventListener("htmx:before:request", (event) => {
    const repeated = event.detail.ctx.request.method === "GET";
    if (document.hidden && repeated) event.preventDefault();
  });
  document.addEventListener("htmx:before:swap", (event) => {
    // An error is no new content of the page.
    if (!isGood(event.detail.ctx.response)) event.preventDefault();
  });
  document.addEventListener("htmx:after:request", (event) => {
    note.hidden = Boolean(isGood(event.detail.ctx.response));
  });
  document.addEventListener("htmx:error", () => {
    note.hidden = false;
  });
}

document.querySelectorAll("[data-stream]").forEach((root) => new LiveRecords(root));
const previewButton = document.getElementById("preview-button");
if (previewButton) previewButton.hidden = true; // the preview follows by itself
warnWhenStale();
setInterval(renewTimes, TIMES_EVERY_MS);
