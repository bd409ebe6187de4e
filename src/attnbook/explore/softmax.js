// E2, chapter 2: why scores are divided by the square root of d_k. <ax-softmax>
// A classic script without dependencies: runs before or after its element, or twice.
(() => { // one function, its body not indented
"use strict";
const TAG = "ax-softmax";
const KEY = "e2"; // in the address: #e2=dk:512,t:1,s:0
const UNIT = [0.3, -1.8, 1.1, -0.3, 0.7]; // the scores at d_k = 1: mean 0, sd 1
const DEFAULTS = { d_k: 64, temperature: 1, scaled: false };
const REACH = 42; // the score axis: -42 to 42, fixed, so that growth is seen

// ---- the maths, without a document -------------------------------------------
const compute = ({ d_k, temperature, scaled }) => {
  const sd = (scaled ? 1 : Math.sqrt(d_k)) / temperature;
  const scores = UNIT.map((s) => s * sd);
  const top = Math.max(...scores);
  const exp = scores.map((s) => Math.exp(s - top));
  const total = exp.reduce((a, b) => a + b);
  const weights = exp.map((e) => e / total);
  let square = 0; // of the Jacobian d weights / d scores
  weights.forEach((p, i) =>
    weights.forEach((r, j) => (square += (p * ((i === j) - r)) ** 2)));
  return {
    sd, scores, weights,
    largest: Math.max(...weights),
    entropy: -weights.reduce((h, p) => h + (p && p * Math.log(p)), 0),
    gradient: Math.sqrt(square),
  };
};

const within = (value, low, high, otherwise) =>
  typeof value === "number" && value >= low && value <= high ? value : otherwise;

const read = (given, base) => ({
  d_k: Math.round(within(given.d_k, 1, 512, base.d_k)),
  temperature: within(given.temperature, 0.125, 32, base.temperature),
  scaled: typeof given.scaled === "boolean" ? given.scaled : base.scaled,
});

const fromHash = (hash, key, base) => {
  const part = hash.replace(/^#/, "").split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const pairs = part.slice(key.length + 1).split(",").map((p) => p.split(":"));
  const { dk, t, s } = Object.fromEntries(pairs);
  return read({
    d_k: dk ? +dk : NaN, temperature: t ? +t : NaN, scaled: { 0: false, 1: true }[s],
  }, base);
};

const toHash = (s) => `dk:${s.d_k},t:${s.temperature},s:${+s.scaled}`;

const python = (s) => `import numpy as np

d_k, temperature = ${s.d_k}, ${s.temperature}
unit = np.array([${UNIT.join(", ")}])  # q·k at d_k = 1
scores = unit * np.sqrt(d_k) / temperature
${s.scaled ? "scores = scores / np.sqrt(d_k)" : "# scores = scores / np.sqrt(d_k)  # scale: off"}

weights = np.exp(scores - scores.max())
weights = weights / weights.sum()
jacobian = np.diag(weights) - np.outer(weights, weights)
entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum()
gradient = np.linalg.norm(jacobian)
print(scores.round(3), weights.round(3))
print(f"largest {weights.max():.3f}, entropy {entropy:.3f}, gradient {gradient:.3f}")
`;

(globalThis.ax ||= {}).softmax = { DEFAULTS, compute, fromHash, python };
if (typeof HTMLElement === "undefined" || customElements.get(TAG)) return;

// ---- the look ----------------------------------------------------------------
const CSS = `
:is([data-theme=dark],[theme=dark],[data-jp-theme-light=false]) ${TAG}{color-scheme:dark}
:is([data-theme=light],[theme=light],[data-jp-theme-light=true]) ${TAG}{color-scheme:light}
${TAG}{color-scheme:light dark;display:block;max-width:46rem;min-height:46rem;margin:1rem 0;padding:1rem 1.1rem;
box-sizing:border-box;border-radius:.6rem;border:1px solid var(--line);
color:var(--fg);background:var(--bg);font-variant-numeric:tabular-nums;
font:1rem/1.45 var(--ab-sans,system-ui);
--fg:var(--pst-color-text-base,CanvasText);--bg:var(--pst-color-background,Canvas);
--soft:var(--pst-color-text-muted,light-dark(#565d68,#a9b2be));
--line:var(--pst-color-border,light-dark(#cdd3db,#4a525e));
--s:var(--ab-k,light-dark(#b3541e,#f2a06e));
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));
*{box-sizing:border-box}
p,dd{margin:0}
sub{line-height:0}
.h{font-weight:650}
.h span,.hint,dt{font-weight:400;font-size:.85rem;color:var(--soft)}
.set,.grid{display:grid;gap:.6rem 1.6rem;align-items:end;margin:.8rem 0 1rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,12.5rem),1fr))}
.grid{grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:1.1rem 2rem}
label{display:flex;justify-content:space-between}
input{width:100%;height:1.75rem;margin:0;accent-color:var(--w)}
.tick{justify-content:start;gap:.5rem;align-items:center}
.tick input{width:1.5rem}
svg{display:block;width:100%;height:auto;overflow:visible}
text{fill:var(--fg);font-size:12.5px}
.ax{fill:var(--soft);font-size:11px}
dl{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin:0;align-self:center}
dd{font-size:1.6rem;line-height:1.3}
.say{padding:.4rem .8rem;border-left:4px solid var(--w);min-height:3.7rem}
.do{display:flex;gap:.5rem;margin:1rem 0 .6rem}
button{font:inherit;font-size:.9rem;padding:.25rem .8rem;min-height:2rem;color:inherit;
background:none;border:1px solid var(--soft);border-radius:.4rem;cursor:pointer}
:focus-visible{outline:3px solid var(--w);outline-offset:2px}
summary{min-height:1.75rem;cursor:pointer;width:fit-content}
table{border-collapse:collapse;font-size:.9rem}
td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid var(--line);font-weight:400}
.code{width:100%;height:12rem}
@media print{.do,.code{display:none}}}`;

const minus = (x, digits) => (+x.toFixed(digits) || 0).toFixed(digits).replace("-", "−");

// Bars of one number per key; `zero` and `unit` place the axis in a width of 300.
const bars = (name, values, { zero, unit, low, high, digits, ticks, hue, best }) => {
  const x = (v) => zero + Math.min(Math.max(v, low), high) * unit;
  const lines = ticks.map((t) => `<path d="M${x(t)} 2V146" stroke="var(--line)"/>
    <text class="ax" x="${x(t)}" y="159" text-anchor="middle">${minus(t, 0)}</text>`);
  const rows = values.map((v, i) => {
    const [a, b, y] = [Math.min(x(v), zero), Math.max(x(v), zero), 6 + i * 28];
    const cut = v < low ? "‹ " : v > high ? "› " : "";
    return `<text x="0" y="${y + 16}">k<tspan dy="3" font-size="10">${i + 1}</tspan></text>
      <rect x="${a}" y="${y}" width="${Math.max(b - a, 1)}" height="22" fill="var(${hue})"
      stroke="var(${hue})" fill-opacity="${v < 0 ? 0.35 : 1}"/><text x="300" y="${y + 16}"
      text-anchor="end"${i === best ? ' font-weight="700"' : ""}>${cut}${minus(v, digits)}</text>`;
  });
  return `<svg viewBox="0 0 300 162" role="img"
    aria-label="${name} of keys 1 to 5: ${values.map((v) => minus(v, digits)).join(", ")}">${lines.join("")}
    <path d="M${zero} 2V146" stroke="var(--soft)" stroke-width="1.5"/>${rows.join("")}</svg>`;
};

// Size of the gradient against d_k (log axis), scaled and not, with the chosen point.
const curve = (state, result) => {
  const x = (d) => 32 + Math.log2(d) * 28;
  const y = (g) => 154 - g * 260;
  const line = (scaled) => "M" + Array.from({ length: 37 }, (_, k) => 2 ** (k / 4))
    .map((d) => `${x(d).toFixed(1)} ${y(compute({ ...state, scaled, d_k: d }).gradient).toFixed(1)}`)
    .join("L");
  const text = (at, up, words, anchor = "middle") =>
    `<text class="ax" x="${at}" y="${up}" text-anchor="${anchor}">${words}</text>`;
  const path = (d, hue, more = "") =>
    `<path d="${d}" fill="none" stroke="var(${hue})" stroke-width="2.5" ${more}/>`;
  const dash = 'stroke-dasharray="7 4"';
  return `<svg viewBox="0 0 300 186" role="img"
    aria-label="Gradient against d_k: flat if divided by its root, else falling">
    ${[0, 0.25, 0.5].map((g) => `<path d="M32 ${y(g)}H290" stroke="var(--line)"/>`
      + text(26, y(g) + 4, g, "end")).join("")}
    ${[1, 8, 64, 512].map((d) => text(x(d), 170, d)).join("")}
    ${text(158, 185, "key width, log scale")}
    ${path("M32 8h24", "--w")}${text(61, 12, "not divided", "start")}
    ${path("M140 8h24", "--s", dash)}
    ${text(169, 12, 'divided by √d<tspan dy="3" font-size="9">k</tspan>', "start")}
    <path d="M${x(state.d_k)} 24V154" stroke="var(--soft)"/>
    ${path(line(true), "--s", dash)}${path(line(false), "--w")}
    <circle cx="${x(state.d_k)}" cy="${y(result.gradient)}" r="6" stroke="var(--bg)"
    stroke-width="2" fill="var(${state.scaled ? "--s" : "--w"})"/></svg>`;
};

const panel = (title, note, name) =>
  `<div><p class="h">${title} <span>${note}</span></p><div data-at="${name}"></div></div>`;
const tile = (name, title) => `<div><dt>${title}</dt><dd data-at="${name}"></dd></div>`;

const frame = (id) => `<p class="h">Softmax, its temperature and √d<sub>k</sub></p>
<p class="hint">One query, five keys. For random vectors whose entries have variance 1, the standard
deviation of q·k is √d<sub>k</sub>: here each score is a fixed unit-normal number times √d<sub>k</sub>,
divided by the temperature.</p>
<div class="set"><div><label for="${id}-d"><span>Key width d<sub>k</sub></span><b data-at="d"></b></label>
<input type="range" id="${id}-d" min="1" max="512"></div>
<div><label for="${id}-t"><span>Temperature</span><b data-at="t"></b></label>
<input type="range" id="${id}-t" min="-3" max="5" step=".25"></div>
<label class="tick" for="${id}-s"><input type="checkbox" id="${id}-s"><span>Divide by √d<sub>k</sub></span></label></div>
<div class="grid">
${panel("Scores", "spread around 0", "scores")}${panel("Weights", "softmax: they sum to 1", "weights")}
${panel("Gradient", "size of ∂weights/∂scores", "curve")}
<dl>${tile("largest", "Largest weight")}${tile("entropy", "Entropy (max 1.609)")}
${tile("gradient", "Gradient ‖J‖")}${tile("sd", "Spread of scores")}</dl></div>
<p class="say" role="status"></p>
<div class="do"><button data-do="copy">Copy as Python</button>
<button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="This figure as Python"></textarea>
<details><summary>The numbers as a table</summary><table><thead><tr><th scope="col">key</th>
<th scope="col">score</th><th scope="col">weight p</th><th scope="col">p(1 − p)</th></tr></thead>
<tbody data-at="table"></tbody></table></details>`;

const say = (s, r) => {
  const kept = Math.round((100 * r.gradient) / compute({ ...s, scaled: true }).gradient);
  return `d<sub>k</sub> = ${s.d_k}, ${s.scaled ? "" : "not "}scaled: key `
    + `${r.weights.indexOf(r.largest) + 1} takes ${minus(r.largest, 3)} of the weight. `
    + `The gradient is ${minus(r.gradient, 3)}, ` + (s.scaled ? "whatever d<sub>k</sub> is."
      : `${kept} % of what scaling keeps${r.largest > 0.9 ? ": the softmax is saturated" : ""}.`);
};

// ---- the element -------------------------------------------------------------
let count = 0;

class Figure extends HTMLElement {
  #state; #base; #timer; #key; #id;

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
  #input = (name) => this.querySelector(`#${this.#id}-${name}`);

  #follow = () => {
    const state = this.#base && fromHash(location.hash, this.#key, this.#base);
    if (!state) return;
    this.#show(state);
    this.scrollIntoView({ block: "nearest" });
  };

  #draw() {
    if (this.#base) return;
    let given = {};
    try { given = JSON.parse(this.getAttribute("state")) || {}; } catch { /* defaults */ }
    this.#base = read(given, DEFAULTS);
    count += 1;
    this.#key = count > 1 ? `${KEY}-${count}` : KEY;
    this.#id = `${TAG}-${count}`;
    if (count === 1) document.head.insertAdjacentHTML("beforeend", `<style>${CSS}</style>`);
    this.innerHTML = frame(this.#id);
    this.oninput = (e) => this.#typed(e.target);
    this.onclick = (e) => this.#pressed(e.target.dataset.do);
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #typed({ id, value, checked }) {
    const changed = id.endsWith("d") ? { d_k: +value }
      : id.endsWith("t") ? { temperature: +(2 ** value).toPrecision(4) }
      : { scaled: checked };
    this.#show({ ...this.#state, ...changed }, true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const best = r.weights.indexOf(r.largest);
    const [d, t, s] = ["d", "t", "s"].map(this.#input);
    d.value = state.d_k;
    t.value = Math.log2(state.temperature);
    t.setAttribute("aria-valuetext", state.temperature);
    s.checked = state.scaled;
    this.#at("d").textContent = state.d_k;
    this.#at("t").textContent = state.temperature;
    this.#at("scores").innerHTML = bars("Scores", r.scores, {
      zero: 130, unit: 98 / REACH, low: -REACH, high: REACH, digits: 2,
      ticks: [-40, -20, 0, 20, 40], hue: "--s", best });
    this.#at("weights").innerHTML = bars("Weights", r.weights, {
      zero: 32, unit: 206, low: 0, high: 1, digits: 3, ticks: [0, 1], hue: "--w", best });
    this.#at("curve").innerHTML = curve(state, r);
    for (const name of ["largest", "entropy", "gradient", "sd"])
      this.#at(name).textContent = minus(r[name], name === "sd" ? 2 : 3);
    this.#at("table").innerHTML = r.weights.map((p, i) => `<tr><th scope="row">k${i + 1}</th>
      <td>${minus(r.scores[i], 3)}</td><td>${minus(p, 3)}</td><td>${minus(p * (1 - p), 3)}</td></tr>`).join("");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(write), write ? 400 : 0);
  }

  // Once the reader pauses: say it, and note the state in the address.
  #settle(write) {
    this.querySelector(".say").innerHTML = say(this.#state, this.result);
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
    document.execCommand("copy"); // works in sandboxed frames, too
  }
}

customElements.define(TAG, Figure);
})();
