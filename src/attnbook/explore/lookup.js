// E1, chapters 1 and 3: a look-up that softens. <ax-lookup>
(() => { // one function, its body not indented
const TAG = "ax-lookup";
const KEY = "e1"; // in the address: #e1=q:16,w:1,k:gaussian
const KEYS = [2, 5, 8, 10, 13, 15, 18, 22]; // hour of the day
const VALUES = [9, 7, 11, 15, 20, 22, 17, 12]; // °C
const DAY = 24;
const KERNELS = {
  exact: "exact: a Python dict",
  box: "box: all keys within h",
  gaussian: "Gaussian of q − k",
  dot: "dot product q·k",
  clock: "q·k, hours on a clock",
};
const DEFAULTS = { query: 16, width: 1, kernel: "gaussian" };

const sum = (all) => all.reduce((a, b) => a + b, 0);

const TURN = Math.PI / 12;
const SCORES = {
  gaussian: (q, k) => -((q - k) ** 2) / 2,
  dot: (q, k) => q * k,
  clock: (q, k) => Math.cos(TURN * (q - k)) / TURN ** 2,
};

const weigh = ({ query, width, kernel }) => {
  const score = SCORES[kernel];
  if (!score) {
    const inside = KEYS.map((k) => +(Math.abs(query - k) <= (kernel === "box" ? width : 0)));
    return inside.map((one) => one / Math.max(sum(inside), 1));
  }
  const scores = KEYS.map((k) => score(query, k) / width ** 2);
  const exp = scores.map((s) => Math.exp(s - Math.max(...scores)));
  return exp.map((e) => e / sum(exp));
};

const compute = (state) => {
  const weights = weigh(state);
  const largest = Math.max(...weights);
  return {
    weights, largest,
    output: largest ? sum(weights.map((w, i) => w * VALUES[i])) : null,
    answering: largest && Math.exp(-sum(weights.map((w) => w && w * Math.log(w)))),
  };
};

const read = (given, base) => {
  const { query, width, kernel } = given || {};
  const number = (x, low, high) => typeof x === "number" && x >= low && x <= high;
  return {
    query: number(query, 0, DAY) ? query : base.query,
    width: number(width, 0.0625, 128) ? width : base.width,
    kernel: Object.hasOwn(KERNELS, kernel) ? kernel : base.kernel,
  };
};

const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const pairs = part.slice(key.length + 1).split(",").map((p) => p.split(":"));
  const { q, w, k } = Object.fromEntries(pairs);
  return read({ query: q && +q, width: w && +w, kernel: k }, base);
};

const toHash = (s) => `q:${s.query},w:${s.width},k:${s.kernel}`;

const CODE = {
  exact: "weights = (keys == query) * 1.0  # as dict(zip(keys, values))[query]",
  box: `weights = (abs(query - keys) <= width) * 1.0
weights = weights / max(weights.sum(), 1)`,
  gaussian: "scores = -((query - keys) ** 2) / 2",
  dot: "scores = query * keys",
  clock: `turn = np.pi / 12  # the product of points of a circle:
scores = np.cos(turn * (query - keys)) / turn**2`,
};

const python = (s) => `import numpy as np

keys = np.array([${KEYS.join(", ")}])  # hour of the day
values = np.array([${VALUES.join(", ")}])  # °C
query, width = ${s.query}, ${s.width}

${CODE[s.kernel]}
${SCORES[s.kernel] ? `scores = scores / width**2
weights = np.exp(scores - scores.max())
weights = weights / weights.sum()
` : ""}output = weights @ values if weights.any() else None  # a dict: KeyError
print(weights.round(3), output)
`;

(globalThis.ax ||= {}).lookup = { DEFAULTS, compute, fromHash, python };
if (typeof HTMLElement === "undefined" || customElements.get(TAG)) return;

// ---- the look
const CSS = `
:is([data-theme=dark],[theme=dark],[data-jp-theme-light=false]) ${TAG}{color-scheme:dark}
:is([data-theme=light],[theme=light],[data-jp-theme-light=true]) ${TAG}{color-scheme:light}
${TAG}{color-scheme:light dark;display:block;max-width:46rem;min-height:40rem;margin:1rem 0;padding:1rem 1.1rem;
box-sizing:border-box;border-radius:.6rem;border:1px solid var(--line);
color:var(--fg);background:var(--bg);font-variant-numeric:tabular-nums;
font:1rem/1.45 var(--ab-sans,system-ui);
--fg:var(--pst-color-text-base,CanvasText);--bg:var(--pst-color-background,Canvas);
--soft:var(--pst-color-text-muted,light-dark(#565d68,#a9b2be));
--line:var(--pst-color-border,light-dark(#cdd3db,#4a525e));
--q:var(--ab-q,light-dark(#1f5fbf,#7db0ff));--v:var(--ab-v,light-dark(#2e7d32,#7fcb83));
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));--o:var(--ab-out,light-dark(#37474f,#b4c2c9));
*{box-sizing:border-box}
p,dd{margin:0}
.h{font-weight:650}
.key span{display:inline-block;margin-right:1em}
.key ::first-letter{color:var(--c)}
.hint,dt,.key{font-size:.85rem;color:var(--soft)}
.set,.grid{display:grid;gap:.6rem 1.6rem;align-items:end;margin:.8rem 0 1rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,13rem),1fr))}
.grid{grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:1rem 1.6rem;align-items:start}
label{display:flex;justify-content:space-between}
input,select{display:block;width:100%;height:1.75rem;margin:0;accent-color:var(--q)}
svg{display:block;width:100%;height:auto;overflow:visible;touch-action:pan-y;cursor:ew-resize}
text{fill:var(--fg);font-size:12px;paint-order:stroke;stroke:var(--bg);stroke-width:3px}
.ax{fill:var(--soft);font-size:11px}
dl{display:flex;justify-content:space-between;margin:0 0 .6rem}
dd{font-size:1.5rem;line-height:1.3;white-space:nowrap}
.say{padding:.4rem .8rem;border-left:4px solid var(--w);min-height:3.7rem}
.do{display:flex;gap:.5rem;margin-top:1rem}
button,select{font:inherit;font-size:.9rem;color:inherit;background:var(--bg);border:1px solid var(--soft);border-radius:.4rem}
button{padding:.25rem .8rem;min-height:2rem;cursor:pointer}
:focus-visible{outline:3px solid var(--w);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;width:100%;margin:0}
td,th{padding:.12rem .5rem;text-align:right;border:0;border-bottom:1px solid var(--line);font-weight:400}
.best>*,tfoot>*{font-weight:700}
.code{width:100%;height:13rem;margin-top:.6rem}
@media print{.do,.code{display:none}}}`;

const short = (x) => (x > 0.995 ? "1" : x.toFixed(2).slice(1)); // ".81"

const x = (hour) => 30 + hour * 12.5;
const y = (value) => 203 - (value - 5) * 9;
const HIGH = 54; // of a weight of 1, on the base line at 292

const drawing = (state, r) => {
  const at = x(state.query);
  const text = (left, up, words, side = "middle", more = 'class="ax"') =>
    `<text x="${left}" y="${up}" text-anchor="${side}" ${more}>${words}</text>`;
  const aside = (up, words, more) => text(22, up + 4, words, "end", more);
  const line = (up, ...words) => `<path d="M30 ${up}H330" stroke="var(--line)"/>` + aside(up, ...words);
  const purple = 'class="ax" style="fill:var(--w)"';
  let pen = "M";
  const curve = Array.from({ length: 481 }, (_, i) => {
    const query = i / 20;
    const { largest, output } = compute({ ...state, query });
    const point = largest ? `${pen}${x(query)} ${y(output).toFixed(1)}` : "";
    pen = point ? "L" : "M";
    return point;
  }).join("");
  const mean = y(sum(VALUES) / VALUES.length);
  const items = KEYS.map((k, i) => {
    const w = r.weights[i];
    return `<circle cx="${x(k)}" cy="${y(VALUES[i])}" r="5" fill="var(--v)" stroke="var(--v)"
      stroke-width="2" fill-opacity="${w}"/><path d="M${x(k)} 292v${-HIGH * w || -0.1}" stroke="var(--w)" stroke-width="7"/>`
      + text(x(k), 306, k) + (w >= 0.005 ? text(x(k), 287 - HIGH * w, short(w), "middle", "") : "");
  }).join("");
  const out = r.largest && `<path d="M30 ${y(r.output)}H${at}" stroke="var(--o)" stroke-dasharray="3 3"/>
    <path d="M${at} ${y(r.output) - 7}l7 7l-7 7l-7 -7z" fill="var(--o)" stroke="var(--bg)"/>
    <path d="M30 ${y(r.output)}l-9 -5v10z" fill="var(--o)"/>`;
  return `<svg viewBox="0 0 340 326" role="img" aria-label="Values, output and weights over the keys; see the table">
    ${aside(7, "°C")}${[5, 10, 15, 20, 25].map((v) => line(y(v), v)).join("")}
    <path d="M30 ${mean}H330" stroke="var(--v)" stroke-dasharray="1 4"/>
    ${text(34, mean - 4, "mean of all values", "start")}
    ${line(292 - HIGH, 1, purple)}${text(0, 269, "weight", "start", purple)}${line(292, 0, purple)}
    <path d="M${at} 16V292" stroke="var(--q)" stroke-width="2"/>
    <path d="${curve}" fill="none" stroke="var(--o)" stroke-width="2.5" stroke-linejoin="round"/>
    ${items}${out || ""}
    ${text(at, 11, `query ${state.query}`, state.query > 17 ? "end" : "start", "")}
    ${text(180, 322, "key: hour of the day")}</svg>`;
};

const tile = (name, title) => `<div><dt>${title}</dt><dd data-at="${name}"></dd></div>`;
const mark = (hue, words) => `<span style="--c:var(${hue})">${words}</span>`;

const frame = (id) => `<p class="h">A look-up that softens</p>
<p class="hint">Eight temperatures are stored under their hours. How warm was it at the query?
Choose the Gaussian and move the query; make the width narrow, then wide.</p>
<div class="set"><div><label for="${id}-q"><span>Query q (hour)</span><b data-at="q"></b></label>
<input type="range" id="${id}-q" name="query" min="0" max="${DAY}" step=".5"></div>
<div><label for="${id}-w"><span>Width h (hours)</span><b data-at="w"></b></label>
<input type="range" id="${id}-w" name="width" min="-4" max="7" step=".5"></div>
<div><label for="${id}-k">Weights by</label><select id="${id}-k" name="kernel">${Object.entries(KERNELS).map(([name, words]) =>
  `<option value="${name}">${words}</option>`).join("")}</select></div></div>
<div class="grid"><div><div data-at="drawing"></div><p class="key">${mark("--v", "● value")}${
  mark("--o", "━ output")}${mark("--o", "◆ now")}${mark("--w", "▌weight")}</p></div>
<div><dl>${tile("output", "Output")}${tile("answering", "Items that answer")}</dl>
<table><thead><tr>${["key", "value", "weight", "product"].map((h) => `<th scope="col">${h}</th>`).join("")}</tr></thead>
<tbody data-at="rows"></tbody><tfoot data-at="sum"></tfoot></table></div></div>
<p class="say" role="status"></p>
<div class="do"><button data-do="copy">Copy as Python</button>
<button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="This figure as Python"></textarea>`;

const say = (s, r) => {
  const { query, width, kernel } = s;
  if (!r.largest) return kernel === "exact"
    ? `KeyError: ${query}. No stored key equals ${query}, so a Python dict has no answer. Every softmax has one.`
    : `No key lies within ${width} h of the query: no answer.`;
  const gaps = KEYS.map((k) => Math.abs(query - k));
  const best = r.weights.indexOf(r.largest);
  const far = gaps[best];
  const more = kernel === "dot" && query && far > Math.min(...gaps) ? "The largest key wins, not the nearest: q·k grows with k."
    : r.answering > 7.9 ? "So wide that the query hardly counts: nearly the mean."
    : r.largest < 0.99 ? `It mixes about ${r.answering.toFixed(1)} values.`
    : far > 1 ? `A hard look-up, as sure as can be, though that key is ${far} h away.`
    : "A hard look-up: one value, unmixed.";
  return `Key ${KEYS[best]} answers with ${r.largest.toFixed(3)} of the weight: ${r.output.toFixed(1)} °C. ${more}`;
};

// ---- the element
let count = 0;

class Figure extends HTMLElement {
  #state; #base; #timer; #key;

  connectedCallback() {
    addEventListener("hashchange", this.#follow);
    if (document.readyState !== "loading") return this.#draw();
    document.addEventListener("DOMContentLoaded", () => this.#draw(), { once: true });
  }

  disconnectedCallback() {
    removeEventListener("hashchange", this.#follow);
  }

  get state() { return { ...this.#state }; }
  get result() { return compute(this.#state); }
  get python() { return python(this.#state); }

  #at = (name) => this.querySelector(`[data-at=${name}]`);

  #follow = () => {
    const state = this.#base && fromHash(location.hash, this.#key, this.#base);
    if (!state) return;
    this.#show(state);
    this.scrollIntoView({ block: "nearest" });
  };

  #draw() {
    if (this.#base) return;
    let given;
    try { given = JSON.parse(this.getAttribute("state")); } catch { /* defaults */ }
    this.#base = read(given, DEFAULTS);
    count += 1;
    this.#key = count > 1 ? `${KEY}-${count}` : KEY;
    if (count === 1) document.head.insertAdjacentHTML("beforeend", `<style>${CSS}</style>`);
    this.innerHTML = frame(`${TAG}-${count}`);
    this.oninput = (e) => this.#typed(e.target);
    this.onclick = (e) => this.#pressed(e.target.dataset.do);
    const plot = this.#at("drawing");
    plot.onpointerdown = plot.onpointermove = (e) => this.#dragged(e);
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #typed({ name, value }) {
    const got = { query: +value, width: +(2 ** value).toPrecision(4), kernel: value }[name];
    this.#show({ ...this.#state, [name]: got }, true);
  }

  #dragged({ buttons, clientX, currentTarget }) {
    if (!buttons) return;
    const { left, width } = currentTarget.getBoundingClientRect();
    const hour = (((clientX - left) / width) * 340 - 30) / 12.5;
    this.#show({ ...this.#state, query: Math.min(Math.max(Math.round(hour * 2) / 2, 0), DAY) }, true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const [q, w, k] = this.querySelectorAll("input,select");
    q.value = this.#at("q").textContent = state.query;
    q.setAttribute("aria-valuetext", `${state.query} hours`);
    w.value = Math.log2(state.width);
    w.setAttribute("aria-valuetext", `${state.width} hours`);
    w.disabled = state.kernel === "exact";
    this.#at("w").textContent = w.disabled ? "not used" : state.width;
    k.value = state.kernel;
    this.#at("output").textContent = r.largest ? `${r.output.toFixed(1)} °C`
      : w.disabled ? `KeyError: ${state.query}` : "no answer";
    this.#at("answering").textContent = `${r.answering.toFixed(1)} of 8`;
    this.#at("drawing").innerHTML = drawing(state, r);
    this.#at("rows").innerHTML = r.weights.map((p, i) => `<tr${p && p === r.largest ? ' class="best"' : ""}>
      <th scope="row">${KEYS[i]}</th><td>${VALUES[i]}</td>
      <td style="background:linear-gradient(var(--w) 0 0) 0 100%/${100 * p}% 3px no-repeat">${
      p.toFixed(3)}</td><td>${(p * VALUES[i]).toFixed(2)}</td></tr>`).join("");
    this.#at("sum").innerHTML = `<tr><th scope="row">sum</th><td></td><td>${sum(r.weights).toFixed(3)}</td>
      <td>${r.largest ? r.output.toFixed(2) : "none"}</td></tr>`;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(write), write ? 400 : 0);
  }

  // once the reader pauses
  #settle(write) {
    this.querySelector(".say").textContent = say(this.#state, this.result);
    if (!write) return;
    const others = location.hash.slice(1).split("&")
      .filter((p) => p.includes("=") && !p.startsWith(this.#key + "="));
    const hash = "#" + [...others, `${this.#key}=${toHash(this.#state)}`].join("&");
    try { history.replaceState(history.state, "", hash); } catch { /* a sandboxed frame */ }
  }

  #pressed(what) {
    if (what === "reset") this.#show(this.#base, true);
    if (what !== "copy") return;
    const box = this.querySelector(".code");
    box.hidden = false;
    box.value = this.python;
    box.focus();
    box.select();
    document.execCommand("copy");
  }
}

customElements.define(TAG, Figure);
})();
