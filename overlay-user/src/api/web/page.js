"use strict";
// Asks the gateway how it is, every two seconds, and shows it. Texts of the gateway only ever
// become text, never markup.

const EVERY = 2000;    // milliseconds between two questions
const PATIENCE = 8000; // an answer that takes longer is none
const READS = ["status", "ports", "segments", "peers", "drops"];
const COUNTERS = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];
const byId = (id) => document.getElementById(id);

// ---- asking ----------------------------------------------------------------------------------

let before = null;      // the sample before: when, and counters by row
let paused = false;
let lastAnswer = null;
let pid = null;
let restarted = null;

async function read(what) {
  const answer = await fetch("/v1/" + what, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail || "HTTP " + answer.status);
  }
  return { at: performance.now(), rows: await answer.json() };
}

async function turn() {
  try {
    const answers = await Promise.all(READS.map(read));
    const sample = Object.fromEntries(READS.map((what, i) => [what, answers[i]]));
    take(sample);
  } catch (error) {
    silence(error);
  }
}

async function loop() {
  for (;;) {
    if (!paused && !document.hidden) await turn();
    await new Promise((done) => setTimeout(done, EVERY));
  }
}

function silence(error) {
  before = null; // what comes next has nothing to be compared with
  document.body.classList.add("away");
  state("bad", "away");
  const since = lastAnswer ? "since " + lastAnswer.toLocaleTimeString() : "yet";
  const reached = error instanceof TypeError || error.name === "TimeoutError";
  notice(reached
    ? `No daemon answers ${since}. What is shown is from before. Programs that are attached go on forwarding; overlay status on the machine says more.`
    : `The daemon answers: ${error.message}. What is shown is from before.`);
}

// ---- rates -----------------------------------------------------------------------------------

const keys = {
  ports: (row) => [row.interface, row.vlan, row.protocol, row.role, row.segment].join(" "),
  segments: (row) => row.name,
  peers: (row) => row.name,
  drops: (row) => [row.reason, row.where, row.hook].join(" "),
};

// Adds `rates` to every row: packets and bits a second; null where that is not known.
function rate(sample) {
  const now = {};
  for (const [what, key] of Object.entries(keys)) {
    const { at, rows } = sample[what];
    const counters = what === "drops" ? ["packets"] : COUNTERS;
    const old = before && before[what];
    const seconds = old ? (at - old.at) / 1000 : 0;
    const counted = new Map();
    for (const row of rows) {
      const name = key(row);
      const values = counters.map((counter) => row[counter] || 0);
      counted.set(name, values);
      // What was not dropped before is not listed: it was zero.
      const from = old && (old.counted.get(name) || (what === "drops" ? [0] : null));
      const known = from && seconds > 0 && values.every((value, i) => value >= from[i]);
      row.rates = known
        ? values.map((value, i) => (value - from[i]) / seconds * (counters[i].endsWith("bytes") ? 8 : 1))
        : null;
    }
    now[what] = { at, counted };
  }
  before = now;
}

function take(sample) {
  const status = sample.status.rows;
  if (pid !== null && pid !== status.pid) {
    restarted = new Date();
    before = null;
  }
  pid = status.pid;
  lastAnswer = new Date();
  rate(sample);
  document.body.classList.remove("away");
  head(status);
  sums(sample, status);
  const rows = (what) => sample[what].rows;
  topology(status, rows("ports"), rows("segments"), rows("peers"));
  for (const table of tables) table.show(rows(table.id));
}

// ---- texts -----------------------------------------------------------------------------------

function scaled(value) {
  if (value === null || value === undefined) return "–";
  let prefix = 0;
  while (value >= 999.5 && prefix < 6) { value /= 1000; prefix += 1; }
  const whole = prefix === 0 && (Number.isInteger(value) || value >= 10);
  const digits = whole ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(digits) + ["", "k", "M", "G", "T", "P", "E"][prefix];
}

function unit(value, name) {
  return scaled(value).replace(/[kMGTPE]?$/, (prefix) => " " + prefix + name);
}

function duration(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

// A problem is a sentence; or an object with one, with what it is about, and with what to do.
function sentence(problem) {
  if (typeof problem === "string") return [problem, ""];
  if (!problem.what) return [JSON.stringify(problem), ""];
  const isNamed = !problem.subject || problem.what.startsWith(problem.subject);
  const since = problem.since ? "since " + new Date(problem.since).toLocaleString() : "";
  const known = [since, problem.fix].filter(Boolean).join(": ");
  return [isNamed ? problem.what : `${problem.subject}: ${problem.what}`, known];
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function state(kind, text) {
  byId("state").className = "state " + kind;
  set(byId("state"), text);
}

function notice(text) {
  byId("notice").hidden = !text;
  set(byId("notice"), text);
}

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function head(status) {
  // What is worth a note is not wrong.
  const problems = (status.problems || []).filter((problem) => problem.severity !== "note");
  set(byId("name"), status.name);
  if (document.title !== status.name) document.title = status.name;
  state(problems.length ? "bad" : "good",
    problems.length ? problems.length + (problems.length === 1 ? " problem" : " problems") : "healthy");
  set(byId("about"), `${status.vtep} · up ${duration(status.uptime)} · version ${status.version}`);
  notice(restarted && new Date() - restarted < 120000
    ? `The daemon was restarted at ${restarted.toLocaleTimeString()}.` : "");
  const list = byId("problems"), text = JSON.stringify(problems);
  if (list.dataset.text !== text) {
    list.dataset.text = text;
    list.hidden = !problems.length;
    list.replaceChildren(...problems.slice(0, 20).map((problem) => {
      const [words, more] = sentence(problem), item = element("li", words);
      if (more) item.append(element("small", more));
      return item;
    }));
    if (problems.length > 20) list.append(element("li", `and ${problems.length - 20} more`));
  }
  set(byId("foot"), `Read at ${lastAnswer.toLocaleTimeString()}, every ${EVERY / 1000} s. ` +
    "rx is what a port, segment or peer sent to this gateway; inner frames are counted.");
}

function sums(sample, status) {
  const total = (rows) => rows.reduce(
    (sum, row) => sum && row.rates && sum.map((value, i) => value + row.rates[i]), [0, 0, 0, 0]);
  const ports = sample.ports.rows;
  const hosts = total(ports.filter((port) => port.role === "access"));
  const underlay = total(ports.filter((port) => port.role === "uplink"));
  const drops = sample.drops.rows.reduce((sum, row) => sum !== null && row.rates ? sum + row.rates[0] : null, 0);
  const flow = (sum, at) => sum
    ? [unit(sum[at + 1], "bit/s"), unit(sum[at], "packets/s")] : ["–", ""];
  const cells = [
    ["from hosts", ...flow(hosts, 0)], ["to hosts", ...flow(hosts, 2)],
    ["from peers", ...flow(underlay, 0)], ["to peers", ...flow(underlay, 2)],
    ["drops", drops === null ? "–" : unit(drops, "packets/s"), `${scaled(status.drops)} in all`],
    ["peers ready", `${status.peers_ready} of ${status.peers}`, `${status.ports_attached} of ${status.ports} ports attached`],
  ];
  const list = byId("sums");
  if (!list.children.length) {
    for (const [title] of cells) {
      const cell = element("div"), value = element("dd");
      value.append(element("span"), " ", element("small"));
      cell.append(element("dt", title), value);
      list.append(cell);
    }
  }
  cells.forEach(([, value, more], i) => {
    set(list.children[i].querySelector("span"), value);
    set(list.children[i].querySelector("small"), more);
  });
}

// ---- tables ----------------------------------------------------------------------------------

const number = (title, value, text = scaled) => ({ title, value, text, kind: () => "number" });
const plain = (title, value, kind = () => "") => ({ title, value, text: (v) => v ?? "–", kind });
const traffic = COUNTERS.map((counter, i) =>
  number(`${counter.slice(0, 2)} ${i % 2 ? "bit/s" : "packets/s"}`, (row) => row.rates && row.rates[i]));

const sketch = {
  peers: {
    bad: (row) => row.state !== "ready",
    columns: [
      plain("peer", (row) => row.name),
      plain("state", (row) => row.state, (row) => "state " + (row.state === "ready" ? "good" : "bad")),
      ...traffic,
      plain("vtep", (row) => row.vtep),
      plain("by", (row) => row.interface),
      number("fdb", (row) => row.fdb),
      plain("segments", (row) => row.segments.join(", "), () => "list"),
      plain("why", (row) => row.why || "", () => "why"),
    ],
  },
  ports: {
    bad: (row) => !row.up || !row.hook,
    columns: [
      plain("port", portName),
      plain("role", (row) => row.role),
      plain("segment", (row) => row.segment),
      plain("link", (row) => row.up ? "up" : "down", () => "state"),
      plain("hook", (row) => row.hook || "not attached"),
      ...traffic,
      number("mtu", (row) => row.mtu, (value) => value === null ? "–" : String(value)),
      plain("why this hook", (row) => row.why, () => "why"),
    ],
  },
  segments: {
    columns: [
      plain("segment", (row) => row.name),
      number("vni", (row) => row.vni, String),
      ...traffic,
      number("ports", (row) => row.ports), number("peers", (row) => row.peers), number("fdb", (row) => row.fdb),
    ],
  },
  drops: {
    columns: [
      plain("reason", (row) => row.reason),
      plain("where", (row) => row.where),
      plain("hook", (row) => row.hook),
      number("packets/s", (row) => row.rates && row.rates[0]),
      number("packets in all", (row) => row.packets),
    ],
    none: "nothing was dropped",
  },
};

function portName(port) {
  return port.vlan === null ? port.interface : port.interface + "." + port.vlan;
}

function tableOf(id, { columns, bad = () => false, none = "there is none" }) {
  const table = byId(id), body = document.createElement("tbody"), made = new Map();
  let by = null, up = false, rows = [];
  const titles = columns.map((column, i) => {
    const title = element("th", undefined, column.kind({}) === "number" ? "number" : "");
    const button = element("button", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      [by, up] = [i, by === i ? !up : column.kind({}) !== "number"];
      titles.forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", up ? "ascending" : "descending");
      draw();
    });
    title.append(button);
    return title;
  });
  const line = document.createElement("tr");
  line.append(...titles);
  table.append(document.createElement("thead"), body);
  table.tHead.append(line);

  function compare(a, b) {
    const [x, y] = [columns[by].value(a), columns[by].value(b)];
    const order = typeof x === "number" || typeof y === "number"
      ? (x ?? -1) - (y ?? -1) : String(x ?? "").localeCompare(String(y ?? ""), undefined, { numeric: true });
    return up ? order : -order;
  }

  function draw() {
    const wanted = byId("filter").value.toLowerCase();
    const texts = (row) => columns.map((column) => column.text(column.value(row)));
    let shown = rows.map((row) => [row, texts(row)]);
    if (wanted) shown = shown.filter(([, cells]) => cells.some((cell) => String(cell).toLowerCase().includes(wanted)));
    if (by !== null) shown.sort(([a], [b]) => compare(a, b));
    const lines = shown.map(([row, cells]) => {
      const key = keys[id](row);
      let line = made.get(key);
      if (!line) {
        line = document.createElement("tr");
        for (const column of columns) line.append(element("td", "", column.kind(row)));
        made.set(key, line);
      }
      line.className = bad(row) ? "bad" : "";
      cells.forEach((cell, i) => {
        set(line.children[i], String(cell));
        const kind = columns[i].kind(row);
        if (line.children[i].className !== kind) line.children[i].className = kind;
      });
      return line;
    });
    const same = lines.length === body.children.length && lines.every((line, i) => body.children[i] === line);
    if (!same || !lines.length) body.replaceChildren(...(lines.length ? lines : [nothing(wanted)]));
  }

  function nothing(wanted) {
    const line = document.createElement("tr"), cell = element("td", wanted && rows.length ? "no row has this" : none, "empty");
    cell.colSpan = columns.length;
    line.append(cell);
    return line;
  }

  return {
    id, draw,
    show(answer) {
      rows = answer;
      const there = new Set(rows.map(keys[id]));
      for (const key of made.keys()) if (!there.has(key)) made.delete(key);
      draw();
    },
  };
}

// ---- the picture -----------------------------------------------------------------------------

const MOST = { ports: 40, segments: 40, peers: 40 }; // drawn one by one; more peers become dots
const ROW = 26;

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function titled(made, text) {
  made.append(svg("title", {}, text));
  return made;
}

function cut(text, letters) {
  return text.length > letters ? text.slice(0, letters - 1) + "…" : text;
}

const bits = (row) => row.rates ? row.rates[1] + row.rates[3] : 0;
const width = (row) => (1 + Math.min(4, Math.log10(1 + bits(row) / 1000))).toFixed(1);
const peerIsBad = (peer) => peer.state !== "ready";
let drawn = "";

function topology(status, ports, segments, peers) {
  const place = byId("topology");
  const wide = Math.max(320, Math.min(1100, place.clientWidth || 800)), narrow = wide < 560;
  const access = ports.filter((port) => port.role === "access").slice(0, MOST.ports);
  const uplinks = ports.filter((port) => port.role === "uplink").slice(0, MOST.ports);
  const inside = segments.slice(0, MOST.segments);
  const dots = peers.length > MOST.peers;
  const perLine = Math.max(8, Math.floor(wide * (narrow ? .3 : .26) / 9));
  const right = dots ? Math.ceil(Math.ceil(peers.length / perLine) * 9 / ROW) + 1 : peers.length;
  const lines = Math.max(access.length, inside.length, uplinks.length, right, 1);
  const high = lines * ROW + 62;
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `${status.name}: ${ports.length} ports, ${segments.length} segments, ${peers.length} peers` });
  // Ports at the left, the gateway with its segments and uplinks, peers at the right.
  const x = narrow ? { port: 8, box: wide * .27, out: wide * .62, peer: wide * .7 } : { port: 16, box: wide * .24, out: wide * .62, peer: wide * .72 };
  const letters = narrow ? 11 : 22;
  const middle = (count, i) => 44 + (lines * ROW - count * ROW) / 2 + i * ROW + ROW / 2;
  const ground = svg("g", {}), links = svg("g", {}), nodes = svg("g", {});
  const link = (x1, y1, x2, y2, row, isBad, text) => {
    const bend = (x1 + x2) / 2;
    links.append(titled(svg("path", {
      d: `M${x1} ${y1}C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}`, "stroke-width": width(row),
      class: "link" + (isBad ? " down" : bits(row) > 0 ? " flow" : ""),
    }), text));
  };
  const label = (at, y, text, kind = "", anchor = "start") =>
    nodes.append(svg("text", { x: at, y: y + 4, class: kind, "text-anchor": anchor }, text));
  const flow = (row) => row.rates ? `${unit(row.rates[1], "bit/s")} in, ${unit(row.rates[3], "bit/s")} out` : "";

  ground.append(svg("rect", { x: x.box, y: 30, width: x.out - x.box, height: high - 44, rx: 8, class: "box" }));
  label((x.box + x.out) / 2, 16, cut(`${status.name} · ${status.vtep}`, narrow ? 26 : 60), "title", "middle");
  const segmentX = x.box + (x.out - x.box) * .2, uplinkX = x.box + (x.out - x.box) * .8;
  const segmentY = new Map(inside.map((segment, i) => [segment.name, middle(inside.length, i)]));
  for (const segment of inside) {
    const y = segmentY.get(segment.name);
    nodes.append(titled(svg("circle", { cx: segmentX, cy: y, r: 6, class: "node" }), `segment ${segment.name}, VNI ${segment.vni}: ${flow(segment)}`));
    label(segmentX + 10, y - 8, cut(segment.name, narrow ? 9 : 18));
  }
  access.forEach((port, i) => {
    const y = middle(access.length, i), isBad = !port.up || !port.hook;
    label(x.port, y, cut(portName(port), letters), isBad ? "quiet" : "");
    const to = segmentY.get(port.segment);
    if (to !== undefined) link(x.port + (narrow ? 68 : 120), y, segmentX - 6, to, port, isBad, `${portName(port)}: ${flow(port)}`);
  });
  const uplinkY = new Map(uplinks.map((port, i) => [port.interface, middle(uplinks.length, i)]));
  for (const port of uplinks) {
    const y = uplinkY.get(port.interface), isBad = !port.up || !port.hook;
    nodes.append(titled(svg("circle", { cx: uplinkX, cy: y, r: 6, class: "node" + (isBad ? " down" : "") }), `uplink ${port.interface}: ${flow(port)}`));
    label(uplinkX, y - 12, cut(port.interface, 12), "", "middle");
    for (const to of segmentY.values()) link(segmentX + 6, to, uplinkX - 6, y, { rates: null }, false, "");
  }
  if (dots) {
    const sorted = [...peers].sort((a, b) => peerIsBad(b) - peerIsBad(a));
    const top = 44 + (lines * ROW - right * ROW) / 2 + 20;
    label(x.peer, top - 14, `${peers.filter(peerIsBad).length} of ${peers.length} peers not ready`);
    sorted.forEach((peer, i) => nodes.append(titled(svg("rect", {
      x: x.peer + i % perLine * 9, y: top + Math.floor(i / perLine) * 9, width: 7, height: 7, class: "dot" + (peerIsBad(peer) ? " down" : ""),
    }), `${peer.name} ${peer.state}: ${flow(peer)}`)));
    for (const [, y] of uplinkY) link(uplinkX + 6, y, x.peer - 6, top + (right - 1) * ROW / 2, { rates: null }, false, "");
  } else {
    peers.forEach((peer, i) => {
      const y = middle(peers.length, i), isBad = peerIsBad(peer);
      nodes.append(titled(svg("circle", { cx: x.peer, cy: y, r: 5, class: "dot" + (isBad ? " down" : "") }), `${peer.name} ${peer.state}: ${flow(peer)}`));
      label(x.peer + 12, y, cut(isBad ? `${peer.name} ${peer.state}` : peer.name, letters));
      const over = (peer.interface || "").split(",").map((name) => uplinkY.get(name)).filter((y) => y !== undefined);
      const from = over.length ? over : [...uplinkY.values()].slice(0, 1);
      for (const y1 of from) link(uplinkX + 6, y1, x.peer - 5, y, peer, isBad, `${peer.name}: ${flow(peer)}`);
    });
  }
  const left = [[ports.filter((p) => p.role === "access").length - access.length, "ports"], [segments.length - inside.length, "segments"]];
  const more = left.filter(([count]) => count > 0).map(([count, what]) => `${count} more ${what}`).join(", ");
  if (more) label(x.port, high - 6, `not drawn: ${more}`, "quiet");
  picture.append(ground, links, nodes);
  const text = picture.outerHTML;
  if (text !== drawn) { drawn = text; place.replaceChildren(picture); }
}

// ---- the beginning ---------------------------------------------------------------------------

const tables = Object.entries(sketch).map(([id, table]) => tableOf(id, table));
byId("filter").addEventListener("input", () => tables.forEach((table) => table.draw()));
byId("pause").addEventListener("click", () => {
  paused = !paused;
  before = null;
  byId("pause").setAttribute("aria-pressed", String(paused));
  set(byId("pause"), paused ? "Go on" : "Pause");
});
document.addEventListener("visibilitychange", () => { before = null; });
loop();
