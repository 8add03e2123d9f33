"use strict";
// Keeps <main> up to date. The elements that stay the same are kept, so that focus, selection and what was opened are.
const main = document.querySelector("main"), follow = document.getElementById("follow");
const link = document.getElementById("link"), said = document.getElementById("said");
let source;

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

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

function morphChildren(from, to) {
  let old = from.firstChild;
  for (const next of [...to.childNodes]) {
    let match = old;
    while (match && !same(match, next)) match = next.id ? match.nextSibling : null;
    if (match) {
      while (old !== match) { const gone = old; old = old.nextSibling; gone.remove(); }
      morph(old, next);
      old = old.nextSibling;
    } else {
      from.insertBefore(next, old);
      if (old && !next.id && !old.id) { const gone = old; old = old.nextSibling; gone.remove(); }
    }
  }
  while (old) { const gone = old; old = old.nextSibling; gone.remove(); }
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
