// The pages' one script: live updates, charts, the dialogs of the controls, the theme. Pages can be read without it.

const page = document.documentElement;
const token = (name) => getComputedStyle(page).getPropertyValue(name).trim();
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Colours written as light-dark(a, b) are computed by painting them once.
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => place.classList.remove("shown"), 4000);
}

// --- the service -----------------------------------------------------------------------------------------------------

async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let said = {};
  try {
    said = text ? JSON.parse(text) : {};
  } catch {
    said = { detail: text };
  }
  if (!answer.ok) throw new Error(said.detail || said.title || `The service answered ${answer.status}.`);
  return said;
}

// --- live: fetch the page again and change only what differs, so that scroll, focus and open details stay ----------------

function same(old, now) {
  return old.nodeType === now.nodeType && old.nodeName === now.nodeName && (old.id || "") === (now.id || "");
}

function morph(old, now) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    return;
  }
  if (old.hasAttribute("data-keep")) return;
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const known = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  let at = old.firstChild;
  for (const next of [...now.childNodes]) {
    const moved = next.id && known.get(next.id);
    if (moved && moved !== at) old.insertBefore(moved, at);
    if (moved) at = moved;
    if (at && same(at, next)) {
      morph(at, next);
      at = at.nextSibling;
    } else {
      old.insertBefore(document.importNode(next, true), at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

let busy = false; // while a refresh is under way, and for a while after it: the slower it was, the longer
let wanted = false;

async function refresh() {
  if (busy || document.hidden) {
    wanted = true;
    return;
  }
  busy = true;
  wanted = false;
  const began = performance.now();
  const [answer, text] = await read(location.href);
  setTimeout(() => {
    busy = false;
    if (wanted) refresh();
  }, Math.max(200, 5 * (performance.now() - began)));
  if (answer) take(answer, text);
}

async function read(address) {
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    return [answer, await answer.text()];
  } catch {
    return []; // the service is away, and the stream tells that
  }
}

function take(answer, text) {
  const door = new URL(answer.url).pathname === "/login";
  if (door && document.querySelector("dialog[open]")) return; // a key that is shown once stays until it was read
  if (door) return location.assign(answer.url);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(text, "text/html");
  morph(document.getElementById("main"), fresh.getElementById("main"));
  for (const each of all("dialog:not([open]) [data-live]")) morph(each, fresh.getElementById(each.id) ?? each);
  draw();
}

document.addEventListener("visibilitychange", () => wanted && refresh());

function say(state, text) {
  const place = document.getElementById("live");
  if (!place || place.dataset.state === state) return;
  place.dataset.state = state;
  place.lastElementChild.textContent = text;
}

function listen() {
  if (!document.getElementById("live")) return;
  const mine = document.querySelector("[data-agent]")?.dataset.agent;
  const stream = new EventSource("/v1/events");
  stream.onopen = () => {
    refresh(); // what changed before the stream was there, it does not tell
    say("live", "live");
  };
  stream.onerror = () => {
    say("lost", "not live, retrying");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
  stream.addEventListener("change", (event) => {
    if (!mine || JSON.parse(event.data).agents.includes(mine)) refresh();
  });
  addEventListener("pagehide", () => stream.close(), { once: true });
}

setInterval(refresh, 60_000); // "3 min ago" moves on as well
setInterval(() => document.querySelector("[data-wait]") && refresh(), 1000);
setInterval(() => document.querySelector("[data-going]") && refresh(), 5000); // training, of which no event tells

// --- charts: each reads the table below it -------------------------------------------------------------------------------

const charts = new Map();

const RANK = { x: 0, low: 1, high: 2, other: 3, line: 4 };

function columns(figure) {
  const heads = all(".data thead th", figure);
  const rows = all(".data tbody tr", figure).map((row) => [...row.cells]);
  const found = { labels: [], roles: [], data: [] };
  heads.forEach((head, place) => {
    if (!head.dataset.series) return;
    found.roles.push(head.dataset.series);
    found.labels.push(head.textContent);
    found.data.push(
      rows.map((cells) => {
        const said = cells[place].dataset.v;
        return said === "" || said === "None" ? null : Number(said);
      }),
    );
  });
  // bands first, so that lines lie above them
  const order = found.roles.map((_, place) => place).sort((a, b) => RANK[found.roles[a]] - RANK[found.roles[b]]);
  return Object.fromEntries(Object.entries(found).map(([name, values]) => [name, order.map((place) => values[place])]));
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
}

// Ticks are told as exactly as they lie apart: steps are 1, 2, 2.5 or 5 times a power of ten.
function ticks(plot, values, axis, space, step) {
  const digits = Math.min(Math.max(0, Math.ceil(-Math.log10(step)) + 1), 12);
  return values.map((value) => value?.toLocaleString("en", { maximumFractionDigits: digits }).replace("-", "−"));
}

// The longest tick has room beside the axis.
function room(plot, values) {
  return Math.max(52, 16 + 6.6 * Math.max(0, ...(values ?? []).map((value) => value?.length ?? 0)));
}

// Midnights are told as days, and hours in between as hours, in the reader's own time.
function day(at) {
  const date = new Date(at * 1000);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0;
  return midnight ? date.toLocaleDateString("en", { month: "short", day: "numeric" }) : date.toTimeString().slice(0, 5);
}

const STEPS = [...Array(10).keys()].flatMap((power) => [1, 2, 5].map((each) => each * 10 ** power));

// Where nothing is pointed at, the legend tells the last values instead of none.
function rest(plot) {
  const last = plot.data[0].length - 1;
  if (plot.cursor.idx == null && last >= 0 && plot.legend.idx !== last) plot.setLegend({ idx: last }, false);
}

function chart(figure, table) {
  const place = figure.querySelector(".plot");
  const accent = colour("--accent");
  const muted = colour("--muted");
  const line = colour("--line");
  const styles = {
    line: { stroke: accent, width: 2 },
    other: { stroke: colour("--rule"), width: 1.5, dash: [5, 4] },
    low: { stroke: "transparent", width: 0 },
    high: { stroke: "transparent", width: 0 },
  };
  const time = figure.dataset.x === "time";
  const few = table.data[0].length < 40;
  const series = table.roles.map((role, index) =>
    role === "x"
      ? { label: table.labels[index], value: time ? "{YYYY}-{MM}-{DD} {HH}:{mm}" : (u, v) => shown(v) }
      : { label: table.labels[index], spanGaps: true, points: { show: few && role === "line", size: 5 }, value: (u, v) => shown(v), ...styles[role] },
  );
  const low = table.roles.indexOf("low");
  const font = "11.5px " + getComputedStyle(document.body).fontFamily;
  const axis = { stroke: muted, font, labelFont: font, labelSize: 18, ticks: { show: false }, grid: { show: false } };
  const across = time ? {} : { label: figure.dataset.across ?? table.labels[table.roles.indexOf("x")] };
  const up = { label: figure.dataset.up ?? table.labels[table.roles.indexOf("line")] };
  const options = {
    width: place.clientWidth,
    height: Math.max(parseInt(getComputedStyle(place).minHeight) - 28, 140),
    scales: { x: { time } },
    legend: { live: true },
    hooks: { ready: [rest], setCursor: [rest], setData: [rest] },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    padding: [10, 30, 0, 0],
    series,
    bands: low < 0 ? [] : [{ series: [table.roles.indexOf("high"), low], fill: colour("--tint") }],
    axes: [
      { ...axis, ...across, size: 28, space: 70, ...(time ? { values: (u, values) => values.map(day) } : { incrs: STEPS, values: (u, values) => values.map(shown) }) },
      { ...axis, ...up, size: room, space: 34, grid: { show: true, stroke: line, width: 1 }, values: ticks },
    ],
  };
  place.replaceChildren();
  return new window.uPlot(options, table.data, place);
}

function draw(anew = false) {
  for (const figure of all("figure[data-chart]")) {
    const table = columns(figure);
    const key = JSON.stringify(table.data);
    const known = charts.get(figure);
    if (known && !anew && known.key === key) continue;
    if (known && !anew) known.plot.setData(table.data);
    else known?.plot.destroy();
    charts.set(figure, { key, plot: known && !anew ? known.plot : chart(figure, table) });
  }
  for (const figure of charts.keys()) if (!figure.isConnected) charts.delete(figure);
}

function fit() {
  for (const [figure, { plot }] of charts) {
    const width = figure.querySelector(".plot").clientWidth;
    if (width && width !== plot.width) plot.setSize({ width, height: plot.height });
  }
}

// --- dialogs -------------------------------------------------------------------------------------------------------------

function fail(form, error) {
  const place = form.querySelector(".error");
  place.textContent = error.message;
  place.hidden = false;
}

function open(id) {
  const dialog = document.getElementById(id);
  all(".error", dialog).forEach((each) => (each.hidden = true));
  dialog.showModal();
  return dialog;
}

async function send(form, work) {
  const button = form.querySelector("[type=submit]");
  const title = button.textContent;
  button.disabled = true;
  if (form.dataset.busy) button.textContent = form.dataset.busy;
  try {
    await work();
    form.reset();
    form.closest("dialog").close();
    refresh();
  } catch (error) {
    fail(form, error);
  } finally {
    button.disabled = false;
    button.textContent = title;
  }
}

// A form that posts its fields as they are named; what is left empty is left out.
function post(form) {
  const body = {};
  for (const each of form.elements) {
    if (each.name && each.value !== "") body[each.name] = each.dataset.number === undefined ? each.value : Number(each.value);
  }
  return send(form, async () => {
    const said = await ask("POST", form.dataset.post, body);
    toast(form.dataset.done || said.sentence || `${said.verdict[0].toUpperCase()}${said.verdict.slice(1)}: ${said.reason}`);
  });
}

// What a button says of the thing that its dialog is about.
function about(dialog, { to, name, fill }) {
  if (to) dialog.querySelector("form").dataset.post = to;
  if (fill) dialog.querySelector("[name=version]").value = fill;
  if (name) for (const each of all("[data-name]", dialog)) each.textContent = name;
}

const DONE = { kill: "Stopped. The safe action is served from now on.", pause: "Exploration is paused.", pin: "Pinned.", mode: "The mode is set." };

function control(form) {
  const kind = form.dataset.control;
  const said = new FormData(form);
  const body = { kind, active: true, scope: said.get("scope"), reason: said.get("reason") };
  if (said.get("expires_in_s")) body.expires_in_s = Number(said.get("expires_in_s"));
  if (kind === "pin") {
    body.choices = {};
    for (const each of all("[data-dimension]", form)) if (each.value) body.choices[each.dataset.dimension] = JSON.parse(each.value);
    if (!Object.keys(body.choices).length) return fail(form, new Error("Choose at least one action to hold."));
  }
  if (kind === "mode") body.choices = { mode: said.get("mode") };
  return send(form, async () => {
    await ask("POST", "/v1/controls", body);
    toast(DONE[kind]);
  });
}

async function release(button) {
  button.disabled = true;
  try {
    const { release: kind, scope } = button.dataset;
    await ask("POST", "/v1/controls", { kind, scope, active: false, reason: "released on the dashboard" });
    toast("Released.");
    refresh();
    document.getElementById("main").focus();
  } catch (error) {
    toast(error.message);
    button.disabled = false;
  }
}

function report(place, good, title, lines) {
  place.hidden = false;
  place.classList.toggle("good", good);
  const strong = document.createElement("strong");
  strong.textContent = title;
  const list = document.createElement("ul");
  for (const each of lines) {
    const item = document.createElement("li");
    item.textContent = each;
    list.append(item);
  }
  place.replaceChildren(strong, ...(lines.length ? [list] : []));
}

async function replay(button) {
  const place = document.getElementById("replay");
  button.disabled = true;
  try {
    const said = await ask("GET", `/v1/decisions/${encodeURIComponent(button.dataset.replay)}/replay`);
    const title = said.identical
      ? "Identical: made again from the log alone, it comes out the same to the bit."
      : "It comes out differently:";
    report(place, said.identical, title, said.differences);
  } catch (error) {
    report(place, false, error.message, []);
  }
  button.disabled = false;
}

async function verify(button) {
  const place = document.getElementById("verification");
  button.disabled = true;
  try {
    const said = await ask("GET", "/v1/audit/verification");
    const title = said.intact ? `Intact: all ${said.events} events of the chain fit.` : "The trail is not intact:";
    report(place, said.intact, title, said.faults);
  } catch (error) {
    report(place, false, error.message, []);
  }
  button.disabled = false;
}

function make_key(form) {
  const said = new FormData(form);
  const body = { name: said.get("name"), roles: said.getAll("roles") };
  if (!body.roles.length) return fail(form, new Error("Choose at least one thing that it may do."));
  if (said.get("expires_in_s")) body.expires_in_s = Number(said.get("expires_in_s"));
  return send(form, async () => {
    const made = await ask("POST", "/v1/keys", body);
    document.getElementById("secret").value = made.secret;
    open("made");
    document.getElementById("secret").select();
  });
}

function ask_revoke(button) {
  const dialog = open("revoke");
  dialog.querySelector("[data-name]").textContent = button.dataset.name;
  dialog.querySelector("[name=id]").value = button.dataset.revoke;
}

// --- what a reader does --------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  const { open: dialog, close, release: kind, replay: decision, verify: chain, revoke, copy } = button.dataset;
  if (dialog) about(open(dialog), button.dataset);
  if (close !== undefined) button.closest("dialog").close();
  if (kind) release(button);
  if (decision) replay(button);
  if (chain !== undefined) verify(button);
  if (revoke) ask_revoke(button);
  if (copy) navigator.clipboard.writeText(document.getElementById(copy).value).then(() => toast("Copied."));
  if (button.id === "theme") turn();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const { control: kind, createKey, revokeKey, post: address } = form.dataset;
  if ([kind, createKey, revokeKey, address].every((each) => each === undefined)) return;
  event.preventDefault();
  if (address !== undefined) post(form);
  if (kind) control(form);
  if (createKey !== undefined) make_key(form);
  if (revokeKey !== undefined) send(form, () => ask("DELETE", `/v1/keys/${encodeURIComponent(form.elements.id.value)}`));
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-submit-on-change]");
  if (form) form.requestSubmit();
});

document.getElementById("made")?.addEventListener("close", () => {
  document.getElementById("secret").value = "";
  refresh();
});

function turn() {
  const dark = page.dataset.theme ? page.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  page.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${page.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
  draw(true);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
new ResizeObserver(fit).observe(document.body);
draw();
listen();
