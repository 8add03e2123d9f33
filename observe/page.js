"use strict";
// Keeps <main> up to date. The elements that stay the same are kept, so that focus, selection and what was opened are.
const main = document.querySelector("main"), follow = document.getElementById("follow");
const link = document.getElementById("link"), said = document.getElementById("said");
let source;

// A form's property id is its input of that name, hence the attribute.
function same(a, b) {
  return a.nodeName === b.nodeName && a.getAttribute?.("id") === b.getAttribute?.("id");
}

// Only what can be seen counts: the spaces between elements differ without a difference.
function visible(parent) {
  for (const node of [...parent.childNodes])
    if (node.nodeType === Node.TEXT_NODE && !node.data.trim()) node.remove();
  return [...parent.childNodes];
}

// morph makes one element like another of the same name.
function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
  for (const { name, value } of to.attributes)
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  morphChildren(from, to);
}

// morphChildren walks along both lists: what is not found further on is new, and what was passed over is gone.
function morphChildren(from, to) {
  const old = visible(from);
  let at = 0;
  for (const next of visible(to)) {
    const found = old.findIndex((node, i) => i >= at && same(node, next));
    if (found < 0) {
      from.insertBefore(next, old[at] ?? null);
      continue;
    }
    while (at < found) old[at++].remove();
    morph(old[at++], next);
  }
  while (at < old.length) old[at++].remove();
}

function connect() {
  source = new EventSource(location.pathname);
  link.textContent = "connecting";
  source.onmessage = (event) => {
    if (link.textContent) link.textContent = "";
    const fresh = document.createElement("main");
    fresh.innerHTML = event.data;
    morphChildren(main, fresh);
  };
  source.onerror = () => {
    link.textContent = "not connected";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (follow.checked) connect(); }, 3000);
  };
}

follow.disabled = false;
follow.addEventListener("change", () => {
  if (follow.checked) return connect();
  source.close();
  link.textContent = "paused";
});

// A group is canceled without leaving the page. The button goes away when the group is seen to be canceled.
main.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  event.submitter.disabled = true;
  try {
    const answer = await fetch(location.pathname, { method: "POST", body, headers: { Accept: "text/plain" } });
    said.textContent = answer.ok ? "" : await answer.text();
  } catch (error) {
    said.textContent = String(error);
  }
});

connect();
