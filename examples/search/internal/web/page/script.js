// Searches as one types. A new letter aborts the request of the one before it, and the server then stops working on it.

const input = document.querySelector("#q");
const status = document.querySelector("#status");
const list = document.querySelector("#results");

const pause = 60; // milliseconds without a key before the server is asked
const limit = 50;
let timer;
let request = new AbortController();

async function search() {
  clearTimeout(timer);
  request.abort();
  request = new AbortController();
  const { signal } = request;
  const q = input.value.trim();
  history.replaceState(null, "", q ? `?q=${encodeURIComponent(q)}` : location.pathname);
  if (!q) {
    show([]);
    status.textContent = "";
    return;
  }
  try {
    const response = await fetch(`search?q=${encodeURIComponent(q)}&limit=${limit}`, { signal });
    const json = response.headers.get("Content-Type").includes("json");
    const answer = await (json ? response.json() : response.text());
    if (signal.aborted) return;
    if (!response.ok) {
      show([]);
      status.textContent = json ? complaint(answer) : answer; // text is from a server too late to look at the request
      return;
    }
    show(answer.results);
    status.textContent = summary(answer.results.length, response.headers.get("Server-Timing"));
  } catch (error) {
    if (signal.aborted) return;
    show([]);
    status.textContent = "The server does not answer.";
  }
}

function complaint({ detail, allowed }) {
  return allowed ? `${detail} Allowed is ${allowed}.` : detail;
}

// summary tells how many characters there are, where they came from, and how long that took.
function summary(count, timing) {
  const steps = (timing ?? "").split(", ").map((step) => step.split(";"));
  const total = steps.reduce((sum, [, , dur]) => sum + Number(dur?.split("=")[1] ?? 0), 0);
  const found = count === 0 ? "No character" : count === 1 ? "1 character" :
    count < limit ? `${count} characters` : `The first ${count} characters`;
  const places = { l1: "the cache of the process", l2: "the shared cache", db: "the database" };
  return `${found} from ${places[steps.at(-1)[0]]} in ${total.toFixed(2)} ms`;
}

function show(results) {
  list.replaceChildren(...results.map(row));
}

function row(c) {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  button.append(
    element("bdi", "char", visible(c)),
    element("span", "name", c.name),
    facts(c.code, c.utf8, c.html, c.category),
  );
  button.firstChild.setAttribute("aria-hidden", "true"); // its name is read out instead
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(c.char);
      status.textContent = `Copied ${c.name}`;
    } catch {
      status.textContent = `This browser does not let the page copy ${c.name}`;
    }
  });
  return item;
}

function facts(code, utf8, html, category) {
  const line = element("span", "facts", "");
  for (const fact of [code, utf8, html]) line.append(element("code", "", fact));
  line.append(category);
  return line;
}

function element(tag, name, text) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  e.textContent = text;
  return e;
}

// visible gives marks something to stand on, and shows nothing for what has no shape.
function visible(c) {
  if (c.category.endsWith("Mark")) return "\u25CC" + c.char;
  if (c.category === "Format" || c.category.endsWith("Separator")) return "";
  return c.char;
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, pause);
});

input.form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const buttons = [...list.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement); // -1 in the input, which lies above the first
  if (event.key === "ArrowDown" && buttons.length > 0) {
    buttons[Math.min(at + 1, buttons.length - 1)].focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    (buttons[at - 1] ?? input).focus();
  } else if ((event.key === "/" || event.key === "Escape") && document.activeElement !== input) {
    input.focus();
    input.select();
  } else {
    if (event.key.length === 1 && event.key !== " ") input.focus(); // a letter goes on with the search
    return;
  }
  event.preventDefault();
});

// watch shows what the pool in front of SQLite does, while somebody looks. Nothing is shown of Postgres.
async function watch() {
  if (document.visibilityState === "visible") {
    try {
      const response = await fetch("pool");
      if (response.status === 404) return;
      const p = await response.json();
      document.querySelector("#pool").textContent = `The database is busy with ${p.running} of at most ${p.workers} look-ups, ` +
        `of which ${p.abandoned} for nobody any more; ${p.queued} of at most ${p.queue} wait, for up to ${p.oldestMs} ms. ` +
        `${p.refused} were refused.`;
    } catch {
      // A search will tell that the server does not answer.
    }
  }
  setTimeout(watch, 2000);
}

watch();

input.value = new URLSearchParams(location.search).get("q") ?? "";
if (input.value) search();
