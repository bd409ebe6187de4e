// E5, chapter 4: self-attention by hand, every number's origin. <ax-self-attention>
(() => { // one function, its body not indented
const TAG = "ax-self-attention";
const KEY = "e5";
const INPUTS = ["X", "W_Q", "W_K", "W_V"];
const FLAGS = ["scaled", "causal"];
const DEFAULTS = {
  X: [[1, 0, 1, 0], [0, 2, 0, 2], [1, 1, 1, 1]],
  W_Q: [[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 1]],
  W_K: [[0, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 0]],
  W_V: [[0, 2, 0], [0, 3, 0], [1, 0, 3], [1, 1, 0]],
  scaled: false, causal: false, step: 0, cell: "",
};

// ---- the maths, without a document -------------------------------------------
const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);
const column = (m, j) => m.map((row) => row[j]);
const times = (a, b) => a.map((row) => b[0].map((_, j) => dot(row, column(b, j))));

const softmax = (row) => {
  const exp = row.map((x) => Math.exp(x - Math.max(...row)));
  const total = exp.reduce((a, b) => a + b);
  return exp.map((e) => e / total);
};

const compute = ({ X, W_Q, W_K, W_V, scaled, causal }) => {
  const [Q, K, V] = [W_Q, W_K, W_V].map((W) => times(X, W));
  const scores = Q.map((q) => K.map((k) => dot(q, k)));
  const root = scaled ? Math.sqrt(K[0].length) : 1;
  const divided = scores.map((row) => row.map((s) => s / root));
  const masked = divided.map((row, i) =>
    row.map((s, j) => (causal && j > i ? -Infinity : s)));
  const weights = masked.map(softmax);
  return { X, W_Q, W_K, W_V, Q, K, V, scores, scaled: divided, masked, weights,
    context: times(weights, V) };
};

// What cell (i, j) is made from: [row, column] of other matrices, undefined = all.
const FROM = {
  Q: (i, j) => ({ X: [i], W_Q: [, j] }),
  K: (i, j) => ({ X: [i], W_K: [, j] }),
  V: (i, j) => ({ X: [i], W_V: [, j] }),
  scores: (i, j) => ({ Q: [i], K: [j] }),
  scaled: (i, j) => ({ scores: [i, j] }),
  masked: (i, j) => ({ scaled: [i, j] }),
  weights: (i) => ({ masked: [i] }),
  context: (i, j) => ({ weights: [i], V: [, j] }),
};
const sources = (name, i, j) => Object.entries(FROM[name]?.(i, j) || {});

const show = (x, digits) => (x === -Infinity ? "−∞"
  : (+x.toFixed(digits) || 0).toFixed(digits).replace("-", "−"));
const short = (x) => show(x, 4).replace(/\.?0+$/, "");
const term = (x) => (x < 0 ? `(${short(x)})` : short(x));

const split = (at) => { // "Q.0.1"
  const [name, i, j] = at.split(".");
  return [name, +i, +j];
};

// What stands after the name of the chosen cell and "=".
const origin = (state, r, name, i, j) => {
  const value = r[name][i][j];
  const all = (value % 1 ? " ≈ " : " = ") + show(value, value % 1 ? 3 : 0);
  const [a, b] = sources(name, i, j).map(([m, [row, col]]) => r[m][row] || column(r[m], col));
  const exp = (x) => `e<sup>${short(x)}</sup>`;
  if (b) return a.map((x, k) => `${term(x)}·${term(b[k])}`).join(" + ") + all;
  if (name === "weights") return `${exp(a[j])} / (${a.map(exp).join(" + ")})${all}`;
  if (name === "scaled" && state.scaled) return `${term(a[j])} / √${r.K[0].length}${all}`;
  return short(value);
};

const isMatrix = (m) => Array.isArray(m) && m[0]?.length > 0 && m.every((row) =>
  Array.isArray(row) && row.length === m[0].length
  && row.every((x) => typeof x === "number" && Math.abs(x) <= 99));

const fit = (state) => {
  const [X, ...W] = INPUTS.map((name) => state[name]);
  return [X, ...W].every(isMatrix) && W.every((w) => w.length === X[0].length)
    && W[0][0].length === W[1][0].length;
};

const STEPS = [ // title, what it makes, from what, in words
  ["Input", INPUTS, [], "Each row of X is a token; the maps W are learned. Change any number."],
  ["Q, K, V", ["Q", "K", "V"], INPUTS,
    "Three maps of X: what a token looks for (Q), how it is found (K), what it hands on (V)."],
  ["Scores", ["scores"], ["Q", "K"], "Every query meets every key: a row of Q times a row of K."],
  ["Scale", ["scaled"], ["scores"],
    "Divide by √d<sub>k</sub>, so that scores do not grow with the width of the keys. Tick the box to see."],
  ["Mask", ["masked"], ["scaled"],
    "A causal mask turns the scores of later tokens into −∞, before the softmax. Tick the box to see."],
  ["Softmax", ["weights"], ["masked"], "Exponentials, divided by the sum of their row."],
  ["Context", ["context"], ["weights", "V"], "Each token's new vector: the weighted sum of all rows of V."],
];

const read = (given, base) => {
  const s = { ...base, ...given };
  if (!fit(s)) for (const name of INPUTS) s[name] = base[name];
  for (const name of FLAGS) if (typeof s[name] !== "boolean") s[name] = base[name];
  s.step = STEPS[+s.step] ? +s.step : base.step;
  const [name, i, j] = split(`${s.cell}`);
  if (compute(s)[name]?.[i]?.[j] === undefined) s.cell = "";
  return s;
};

const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const got = Object.fromEntries(
    part.slice(key.length + 1).split(",").map((p) => p.split(":")));
  const yes = [false, true];
  const given = { step: got.n, scaled: yes[got.s], causal: yes[got.m], cell: got.c };
  for (const name of INPUTS.filter((n) => got[n])) {
    const flat = got[name].split("_").map(Number);
    given[name] = base[name].map((row) => row.map(() => flat.shift()));
  }
  return read(given, base);
};

const toHash = (s, base) => [
  `n:${s.step},s:${+s.scaled},m:${+s.causal}`,
  s.cell && "c:" + s.cell,
  ...INPUTS.filter((n) => `${s[n]}` !== `${base[n]}`)
    .map((n) => `${n}:${s[n].flat().join("_")}`),
].filter(Boolean).join(",");

const python = (s) => `import numpy as np

${INPUTS.map((n) => `${n} = np.array(${JSON.stringify(s[n])}, float)`).join("\n")}

Q, K, V = X @ W_Q, X @ W_K, X @ W_V
scores = Q @ K.T
${s.scaled ? "scores = scores / np.sqrt(K.shape[1])\n" : ""}${
s.causal ? "scores = np.where(np.tri(len(X)) == 1, scores, -np.inf)\n" : ""
}weights = np.exp(scores - scores.max(axis=1, keepdims=True))
weights = weights / weights.sum(axis=1, keepdims=True)
context = weights @ V
print(context.round(3))
`;

(globalThis.ax ||= {}).self_attention =
  { DEFAULTS, compute, origin, fromHash, python };
if (typeof HTMLElement === "undefined" || customElements.get(TAG)) return;

// ---- the look ----------------------------------------------------------------
const CSS = `
:is([data-theme=dark],[theme=dark],[data-jp-theme-light=false]) ${TAG}{color-scheme:dark}
:is([data-theme=light],[theme=light],[data-jp-theme-light=true]) ${TAG}{color-scheme:light}
${TAG}{color-scheme:light dark;display:block;max-width:46rem;min-height:36rem;margin:1rem 0;padding:1rem 1.1rem;
box-sizing:border-box;border-radius:.6rem;border:1px solid var(--line);
color:var(--fg);background:var(--bg);font-variant-numeric:tabular-nums;
font:1rem/1.45 var(--ab-sans,system-ui);container-type:inline-size;
--fg:var(--pst-color-text-base,CanvasText);--bg:var(--pst-color-background,Canvas);
--soft:var(--pst-color-text-muted,light-dark(#555,#aaa));
--line:var(--pst-color-border,light-dark(#ccc,#555));
--q:var(--ab-q,light-dark(#1f5fbf,#7db0ff));--k:var(--ab-k,light-dark(#b3541e,#f2a06e));
--v:var(--ab-v,light-dark(#2e7d32,#7fcb83));
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));--o:var(--ab-out,light-dark(#37474f,#b4c2c9));
p{margin:0}
sub,sup{line-height:0}
.steps,.do,.board,.pair{display:flex;flex-wrap:wrap}
.steps{gap:.4rem;list-style:none;margin:.7rem 0;padding:0}
button{font:inherit;font-size:.9rem;padding:.2rem .6rem;min-height:2rem;
color:inherit;background:none;border:1px solid var(--soft);border-radius:.4rem;cursor:pointer}
[aria-current=step]{background:var(--fg);color:var(--bg);font-weight:650}
[aria-disabled=true]{border-style:dotted}
.words{min-height:3em;margin-bottom:.4rem}
.do{align-items:center;gap:.5rem 1rem;margin:.7rem 0}
label{display:flex;gap:.4rem;align-items:center;min-height:2rem}
[type=checkbox]{width:1.5rem;height:1.5rem;margin:0;accent-color:var(--w)}
.m,.pair{max-width:100%}
.m{overflow-x:auto;margin:0 .6rem .8rem 0;padding:.2rem .25rem .4rem;border-radius:.4rem}
[data-when=later],[data-when=past]{display:none}
[data-when=now]{background:color-mix(in srgb,var(--c) 9%,transparent)}
table{border-collapse:separate;border-spacing:0;margin:0;width:auto;font-size:.82rem}
caption{caption-side:top;padding:0 0 .3rem;text-align:left;white-space:nowrap;color:var(--soft);
font-size:.8rem;line-height:1.4}
caption b{display:table;color:var(--fg);font-size:1rem;border-bottom:3px solid var(--c)}
th,td{padding:0 .22rem;height:2.1rem;border:0;text-align:right;vertical-align:middle;background:none;color:inherit}
th{color:var(--soft);text-align:center;min-width:1.2rem}
th,caption{font-weight:400}
[data-c]{position:relative;min-width:1.9rem;cursor:pointer;scroll-margin-bottom:7rem}
[data-c]:first-of-type{box-shadow:-2px 0 var(--c)}
[data-c]:last-child{border-right:2px solid var(--c)}
[data-from]{background:color-mix(in srgb,var(--c) 22%,transparent);font-weight:650}
[aria-selected=true]{outline:3px solid var(--c);outline-offset:-3px}
:focus-visible{outline:3px solid var(--fg);outline-offset:-3px}
[data-changed]:after{content:"●";position:absolute;top:0;right:1px;font-size:.5rem;line-height:1;color:var(--k)}
i{position:absolute;left:0;bottom:0;height:4px;background:var(--c)}
td:has(input){padding:0}
[type=number]{box-sizing:border-box;width:2.2rem;height:2.1rem;padding:0 .25rem;border:0;background:none;
font:inherit;color:inherit;text-align:right;appearance:textfield}
::-webkit-inner-spin-button{display:none}
:invalid{text-decoration:line-through}
.sum{position:sticky;bottom:0;padding:.5rem .8rem;min-height:4.3em;background:var(--bg);
border-left:4px solid var(--w);border-top:1px solid var(--line)}
.sum small,.key{color:var(--soft);font-size:.85rem}
.live{position:absolute;clip-path:inset(50%)}
.code{width:95%;height:9rem}
@container (min-width:40rem){
.pair{flex-direction:column}
[data-when=past]{display:block}}
@media print{.do,.code{display:none}}}`;

const note = (state, r, name) => ({
  scores: "Q Kᵀ", weights: "softmax", masked: state.causal ? "causal" : "off",
  scaled: state.scaled ? `÷ √${r.K[0].length}` : "off",
})[name] || sources(name, 0, 0).map(([m]) => label(m)).join(" ");
const digits = (r, name) => (["weights", "context"].includes(name) ? 3
  : r[name].flat().every((x) => !(x % 1)) ? 0 : 2);
const cellOf = (node) => node.closest("[data-c]");
const label = (name) => name.replace(/_(.)/, "<sub>$1</sub>");

const table = (name, m) => {
  const last = name.at(-1).toLowerCase();
  const hue = { x: "soft", q: "q", k: "k", v: "v", t: "o" }[last] || "w";
  const row = name[0] === "W" ? "" : { w: "q", o: "c" }[hue] || last;
  const head = hue === "w" ? `<tr><td></td>${m.map((_, j) =>
    `<th scope="col">k<sub>${j + 1}</sub></th>`).join("")}</tr>` : "";
  const cell = (i) => (_, j) => `<td data-c="${name}.${i}.${j}">${
    INPUTS.includes(name) ? `<input type="number" step="any" min="-99" max="99"
      aria-label="${name} row ${i + 1} column ${j + 1}">` : ""}</td>`;
  const body = m.map((cells, i) => `<tr>${row && `<th scope="row">${row}<sub>${i + 1}</sub></th>`}${
    cells.map(cell(i)).join("")}</tr>`).join("");
  return `<div class="m" data-m="${name}" style="--c:var(--${hue})"><table role="grid"><caption><b>${
    label(name)}</b><span></span></caption><tbody>${head}${body}</tbody></table></div>`;
};

const frame = (r) => {
  const m = (name) => table(name, r[name]);
  const pair = (name) => `<div class="pair">${m("W_" + name)}${m(name)}</div>`;
  const box = (name, words) => `<label><input type="checkbox"
    name="${name}"><span>${words}</span></label>`;
  const button = (name, words) => `<button data-do="${name}">${words}</button>`;
  return `<p><b>Self-attention, number by number</b></p>
<ol class="steps">${STEPS.map(([title], n) =>
  `<li><button data-step="${n}">${n + 1} ${title}</button></li>`).join("")}</ol>
<div class="do">${button("back", "‹ Back")}${button("next", "Next ›")}
${box("scaled", "scale by √d<sub>k</sub>")}${box("causal", "causal mask")}</div>
<p class="words"></p>
<div class="board">${m("X")}${["Q", "K", "V"].map(pair).join("")}</div>
<div class="board">${["scores", "scaled", "masked", "weights", "context"].map(m).join("")}</div>
<p class="sum" aria-hidden="true"></p><p class="live" role="status"></p>
<p class="key">Choose a cell to see its origin; arrow keys move.
<span style="color:var(--k)">●</span> changed by your last edit.</p>
<div class="do">${button("copy", "Copy as Python")}${button("reset", "Reset")}</div>
<textarea class="code" readonly hidden aria-label="Python"></textarea>`;
};

// ---- the element -------------------------------------------------------------
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

  get state() { return structuredClone(this.#state); }
  get result() { return compute(this.#state); }
  get python() { return python(this.#state); }

  #follow = () => {
    const state = this.#base && fromHash(location.hash, this.#key, this.#base);
    if (!state) return;
    this.#show(state, true);
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
    this.innerHTML = frame(compute(this.#base));
    this.oninput = (e) => this.#typed(e.target);
    this.onclick = (e) => this.#pressed(e.target.closest("button")?.dataset);
    this.onkeydown = (e) => this.#moved(e);
    this.addEventListener("focusin", (e) => {
      const cell = cellOf(e.target)?.dataset.c;
      if (cell) this.#show({ ...this.#state, cell });
    });
    this.addEventListener("focusout", () => this.#show(this.#state));
    this.#show(this.#base, true);
    this.#follow();
    this.dataset.ready = "";
  }

  #typed(input) {
    const state = this.state;
    const [name, i, j] = split(cellOf(input)?.dataset.c || input.name);
    if (j >= 0) state[name][i][j] = input.valueAsNumber;
    else state[name] = input.checked;
    if (fit(state)) this.#show(state);
  }

  #moved(e) {
    const td = cellOf(e.target);
    if (!td || !e.key.startsWith("Arrow")) return;
    e.preventDefault(); // no arrow steps a number
    const row = td.parentNode;
    const next = {
      Up: row.previousSibling?.cells[td.cellIndex], Left: td.previousSibling,
      Down: row.nextSibling?.cells[td.cellIndex], Right: td.nextSibling,
    }[e.key.slice(5)];
    if (!next?.dataset.c) return;
    const to = next.querySelector("input") || next;
    to.focus();
    to.select?.();
  }

  #show(state, quiet) {
    const before = this.#state && this.result;
    this.#state = state;
    const r = compute(state);
    const [, makes, uses, words] = STEPS[state.step];
    const at = state.cell || makes[0] + ".0.0";
    const [name, row, col] = split(at);
    const made = sources(name, row, col);
    const from = Object.fromEntries(made);
    const moved = before && Object.keys(FROM).some((m) => `${r[m]}` !== `${before[m]}`);
    for (const td of this.querySelectorAll("[data-c]")) {
      const [m, i, j] = split(td.dataset.c);
      const [a = i, b = j] = from[m] || [-1];
      const value = r[m][i][j];
      const input = td.querySelector("input");
      if (!input) td.innerHTML = show(value, digits(r, m))
        + (m === "weights" ? `<i style="width:${value * 100}%"></i>` : "");
      else if (input !== document.activeElement) input.value = value;
      if (moved) td.toggleAttribute("data-changed", value !== before[m][i][j] && !input);
      td.toggleAttribute("data-from", a === i && b === j);
      td.ariaSelected = td.dataset.c === at;
      (input || td).tabIndex = td.dataset.c === at || (m !== name && !i && !j) ? 0 : -1;
    }
    STEPS.forEach(([, outs], n) => {
      const now = n === state.step;
      this.querySelector(`[data-step="${n}"]`).ariaCurrent = now && "step";
      for (const m of outs) {
        const box = this.querySelector(`[data-m=${m}]`);
        box.dataset.when = n > state.step ? "later"
          : now ? "now" : uses.includes(m) ? "used" : "past";
        box.querySelector("span").innerHTML =
          `${note(state, r, m)} (${r[m].length}, ${r[m][0].length})`;
        box.tabIndex = box.scrollWidth > box.clientWidth ? 0 : -1;
      }
    });
    for (const flag of FLAGS)
      this.querySelector(`[name=${flag}]`).checked = state[flag];
    this.querySelector("[data-do=back]").ariaDisabled = !state.step;
    this.querySelector("[data-do=next]").ariaDisabled = !STEPS[state.step + 1];
    this.querySelector(".words").innerHTML = words;
    this.querySelector(".sum").innerHTML = `<b>${label(name)}<sub> ${row + 1},${col + 1}</sub></b> = ${origin(state, r, name, row, col)}<br><small>${made.map(([m, [i, j]]) =>
        (i + 1 ? `row ${i + 1} ` : "") + (j + 1 ? `column ${j + 1} ` : "")
        + "of " + label(m)).join(" and ")}</small>`;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(quiet), 400);
  }

  // once the reader pauses
  #settle(quiet) {
    this.querySelector(".live").textContent = this.querySelector(".sum").textContent;
    if (quiet) return;
    const others = location.hash.slice(1).split("&")
      .filter((p) => p.includes("=") && !p.startsWith(this.#key + "="));
    const hash = "#" + [...others, `${this.#key}=${toHash(this.#state, this.#base)}`].join("&");
    try { history.replaceState(history.state, "", hash); } catch { /* a sandboxed frame */ }
  }

  #pressed({ do: what, step } = {}) {
    const now = this.#state.step;
    const to = { back: now - 1, next: now + 1 }[what] ?? step;
    if (STEPS[to]) this.#show({ ...this.#state, step: +to, cell: "" });
    if (what === "reset") this.#show({ ...this.#base, step: now });
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
