// What the console adds to plain pages: keys, kept notes, quiet polling, diagrams of files not yet stored.
// Every action also works without it.

const quietly = (act) => { try { return act(); } catch { return null; } };
const typing = (target) => target.closest("input, textarea, select, [contenteditable], dialog");

// Rows -------------------------------------------------------------------------------------------------------------
const rows = () => [...document.querySelectorAll("tr.link")];
let chosen = "";

function choose(row) {
  rows().forEach((other) => other.removeAttribute("aria-selected"));
  if (!row) return;
  row.setAttribute("aria-selected", "true");
  chosen = row.id;
  row.querySelector("a").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = rows();
  const at = all.findIndex((row) => row.id === chosen);
  if (all.length) choose(all[Math.min(Math.max(at + by, 0), all.length - 1)]);
}

document.addEventListener("click", (event) => {
  const row = event.target.closest("tr.link");
  if (row && !event.target.closest("a, button, summary, input, form") && !String(getSelection())) row.querySelector("a").click();
  for (const open of document.querySelectorAll("details.menu[open], details.act[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

// Keys: each presses or focuses what carries it in data-key; a decision is only focused, never taken ---------------
const press = (element) => (element.dataset.keyDoes === "focus" ? element.focus() : element.click());
const keysOff = () => document.documentElement.dataset.keys === "off";

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const open of document.querySelectorAll("details.menu[open], details.act[open]")) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  }
  if (event.ctrlKey || event.metaKey || event.altKey || keysOff() || typing(event.target)) return;
  if (event.key === "j") return step(1);
  if (event.key === "k") return step(-1);
  const bound = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not(:disabled)`);
  const inRow = rows().find((row) => row.id === chosen)?.querySelector(`[data-row-key="${CSS.escape(event.key)}"]`);
  const target = inRow ?? bound;
  if (!target) return;
  event.preventDefault();
  press(target);
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
});

// Notes survive a reload, and a sending that did not arrive: a note is forgotten on the next page without its field -----
const SENT = "sluice:sent";
const drafts = [...document.querySelectorAll("textarea[data-draft]")];
const keyOf = (note) => `sluice:${note.dataset.draft}`;

const sent = quietly(() => sessionStorage.getItem(SENT));
if (sent && !drafts.some((note) => keyOf(note) === sent)) quietly(() => localStorage.removeItem(sent));
quietly(() => sessionStorage.removeItem(SENT));

for (const note of drafts) {
  if (!note.value) note.value = quietly(() => localStorage.getItem(keyOf(note))) ?? "";
  note.addEventListener("input", () => quietly(() => localStorage.setItem(keyOf(note), note.value)));
  note.form.addEventListener("submit", () => quietly(() => sessionStorage.setItem(SENT, keyOf(note))));
}

// Diagrams that were uploaded and refused are on the page as text; the viewer, which runs after this, wants an address
for (const host of document.querySelectorAll("[data-diagram-from]")) {
  const text = document.getElementById(host.dataset.diagramFrom).value;
  host.dataset.diagramUrl = URL.createObjectURL(new Blob([text], { type: "application/xml" }));
}

// A decision that demands a reason or a note says so before it is sent ---------------------------------------------
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=decision]");
  if (!button) return;
  const form = button.form;
  const needs = (button.dataset.needs ?? "").split(" ");
  for (const name of ["reason", "note"]) {
    const field = form.elements[name];
    if (field) field.required = needs.includes(name);
  }
});

// A form is sent once ----------------------------------------------------------------------------------------------
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  else event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Polling: `poll` reaches every live part while the page is seen; an unchanged part answers 304 and stays -----------
let pause = 5000;
function poll() {
  if (document.visibilityState === "visible" && !document.querySelector("details.act[open], dialog[open]")) {
    document.querySelectorAll("[data-live]").forEach((part) => window.htmx?.trigger(part, "poll"));
  }
  setTimeout(poll, pause * (0.9 + Math.random() * 0.2));
}
setTimeout(poll, pause);
document.addEventListener("htmx:configRequest", (event) => {
  const tag = event.detail.elt.dataset.etag;
  if (tag) event.detail.headers["If-None-Match"] = tag;
});
document.addEventListener("htmx:afterRequest", (event) => {
  pause = event.detail.successful || event.detail.xhr?.status === 304 ? 5000 : Math.min(pause * 2, 60000);
  document.documentElement.toggleAttribute("data-offline", event.detail.failed && !event.detail.xhr?.status);
  const tag = event.detail.xhr?.getResponseHeader("ETag");
  if (tag) event.detail.elt.dataset.etag = tag;
});
document.addEventListener("htmx:afterSwap", () => {
  const row = chosen && document.getElementById(chosen);
  if (row) row.setAttribute("aria-selected", "true");
});
