// Comfort for pages that work without it: "/" goes to the search, shift-click chooses
// several layers, and parts that show live numbers renew themselves.
"use strict";

document.documentElement.classList.add("js");

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.getElementById("q");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-layer]");
  if (!link || !event.shiftKey) return;
  event.preventDefault();
  const url = new URL(location.href);
  const chosen = new Set((url.searchParams.get("layer") || "").split(",").filter(Boolean));
  const layer = link.dataset.layer;
  if (!chosen.delete(layer)) chosen.add(layer);
  const list = [...chosen].map(Number).sort((a, b) => a - b).join(",");
  if (list) url.searchParams.set("layer", list); else url.searchParams.delete("layer");
  url.searchParams.delete("page");
  url.searchParams.delete("ppage");
  location.assign(url);
});

// Only one menu is open at a time, and Escape or a click elsewhere closes it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// renew fetches this page again and puts its live parts in place of the old ones. A part
// that somebody works in stays as it is.
async function renew() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const parts = document.querySelectorAll("[data-part]");
  for (const old of parts) {
    const now = page.getElementById(old.id);
    if (!now) { location.reload(); return; }
    if (old.innerHTML === now.innerHTML || old.matches(":focus-within")) continue;
    const open = new Set([...old.querySelectorAll("details")].map((d, i) => (d.open ? i : -1)));
    [...now.querySelectorAll("details")].forEach((d, i) => { if (open.has(i)) d.open = true; });
    old.replaceWith(document.adoptNode(now));
  }
}

const live = document.body.dataset.live;
if (live && window.EventSource && document.querySelector("main [data-part]")) {
  let pending = false;
  const soon = () => {
    if (document.hidden) { pending = true; return; }
    pending = false;
    renew().catch(() => { pending = true; });
  };
  document.addEventListener("visibilitychange", () => { if (pending) soon(); });
  const stream = new EventSource(live + "?mark=" + encodeURIComponent(document.body.dataset.mark || ""));
  stream.addEventListener("change", soon);
  addEventListener("pagehide", () => stream.close());
}

// A discovery that runs tells how far it is; when it reaches another phase the page is
// another one.
const progress = document.querySelector("[data-progress]");
if (progress && window.EventSource && ["list", "read"].includes(progress.dataset.phase)) {
  const stream = new EventSource(progress.dataset.progress);
  stream.addEventListener("progress", (event) => {
    const now = JSON.parse(event.data);
    if (now.phase !== progress.dataset.phase) {
      stream.close();
      location.replace(location.pathname);
      return;
    }
    for (const place of progress.querySelectorAll("[data-of]")) {
      const value = now[place.dataset.of];
      if (place.tagName === "PROGRESS") { place.max = now.max; place.value = value; }
      else if (place.textContent !== value) place.textContent = value;
    }
  });
  addEventListener("pagehide", () => stream.close());
}

// Two tags are compared: a third one takes the place of the one that was ticked first.
const ticked = [];
document.addEventListener("change", (event) => {
  const box = event.target.closest("form[data-two] input[type=checkbox]");
  if (!box) return;
  const at = ticked.indexOf(box);
  if (at >= 0) ticked.splice(at, 1);
  if (box.checked) ticked.push(box);
  while (ticked.length > 2) ticked.shift().checked = false;
});
