// E9, chapter 8: where the decoder looks while it writes. <ax-alignment>
// The sentences and their weights come with the element's state.
(() => {
const TAG = "ax-alignment";
const KEY = "e9";
const DEFAULTS = { // null: whatever the state brings
  model: null, pairs: null, pair: 0, layer: null, word: 0, map: false, hand: false, read: false,
};

// ---- the maths, without a document -------------------------------------------
const linked = (pair, t) => pair.hand.filter(([target]) => target === t).map(([, s]) => s);

const compute = ({ pairs, pair, layer, read }) => {
  const weights = pairs[pair].weights[layer].slice(+read).map((row) => row.map((w) => w / 255));
  const best = weights.map((row) => row.indexOf(Math.max(...row)));
  const agrees = best.map((s, t) => { // 1 yes, 0 no, -1 no link by hand
    const links = linked(pairs[pair], t);
    return links.length ? +links.includes(s) : -1;
  });
  const count = (x) => agrees.filter((a) => a === x).length;
  return { weights, best, agrees, hits: count(1), linked: count(1) + count(0) };
};

const check = (given, base) => {
  const s = { ...base };
  for (const name of ["pair", "layer", "word", "map", "hand", "read"]) {
    const x = given?.[name];
    const now = s.pairs?.[s.pair];
    const most = { pair: s.pairs?.length, layer: now?.weights.length,
      word: now?.target.length - (given?.read ?? s.read) }[name] - 1;
    if (most >= 0 ? Number.isInteger(x) && x >= 0 && x <= most : typeof x === "boolean") s[name] = x;
    if (s[name] > most) s[name] = most;
  }
  return s;
};

const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const given = part.slice(key.length + 1).split(",").map((p) => p.split(":")).map(([name, x]) =>
    [name, { true: true, false: false }[x] ?? (x ? +x : NaN)]);
  return check(Object.fromEntries(given), base);
};

const toHash = ({ model, pairs, ...s }) => Object.entries(s).map((pair) => pair.join(":")).join();

const python = (s) => {
  const { source, target, weights } = s.pairs[s.pair];
  return `import numpy as np

source = ${JSON.stringify(source)}
target = ${JSON.stringify(s.read ? target.slice(0, -1) : target)}
weights = np.array(${JSON.stringify(weights[s.layer].slice(+s.read))}) / 255
best = weights.argmax(axis=1)
for word, row, s in zip(target, weights, best):
    print(f"{word:>12} <- {source[s]:12} {row[s]:.2f}")
`;
};

(globalThis.ax ||= {}).alignment = { DEFAULTS, compute, fromHash, python };
if (typeof HTMLElement === "undefined" || customElements.get(TAG)) return;

// ---- the look ----------------------------------------------------------------
const CSS = `
:is([data-theme=dark],[theme=dark],[data-jp-theme-light=false]) ${TAG}{color-scheme:dark}
:is([data-theme=light],[theme=light],[data-jp-theme-light=true]) ${TAG}{color-scheme:light}
${TAG}{color-scheme:light dark;display:block;max-width:46rem;margin:1rem 0;padding:1rem 1.1rem;
box-sizing:border-box;border-radius:.6rem;border:1px solid var(--line);
color:var(--fg);background:var(--bg);font-variant-numeric:tabular-nums;
font:1rem/1.45 var(--ab-sans,system-ui);
--fg:var(--pst-color-text-base,CanvasText);--bg:var(--pst-color-background,Canvas);
--soft:var(--pst-color-text-muted,light-dark(#555,#aaa));
--line:var(--pst-color-border,light-dark(#ccc,#555));
--s:var(--ab-k,light-dark(#b3541e,#f2a06e));
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));
p{margin:0}
.hint{color:var(--soft);font-size:.9rem}
.set{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.5rem 0}
label{display:flex;max-width:100%;gap:.4rem;align-items:center;min-height:2rem}
select,button{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--soft);
border-radius:.3rem;min-height:1.8rem;margin:0;max-width:100%}
select{min-width:2rem}
[type=checkbox]{width:1.5rem;height:1.5rem;margin:0;accent-color:var(--w)}
[aria-disabled=true]{border-style:dotted}
.arrows{display:grid;grid-template-columns:fit-content(46%) minmax(2rem,1fr) fit-content(46%);max-width:28rem;margin:auto}
.col{min-width:0;display:flex;flex-direction:column}
.col>*{flex:1;display:flex;align-items:center;gap:.4rem;white-space:nowrap}
.src>*{justify-content:end}
.src span,[data-t]{overflow:hidden;text-overflow:ellipsis}
.src b{font-weight:400;min-width:2.1rem;text-align:right;font-size:.9rem}
[data-t]{border-color:transparent;text-align:left;min-width:1.8rem;padding:0 .4rem;cursor:pointer;background:none}
[aria-current=true]{font-weight:700;background:color-mix(in srgb,var(--w) 20%,transparent);border-color:var(--w)}
svg{width:100%;height:100%}
path{fill:none;vector-effect:non-scaling-stroke}
.box{overflow-x:auto;max-width:100%;
background:linear-gradient(270deg,var(--bg) 35%,transparent) 100% 0/3rem 100% no-repeat local,
linear-gradient(270deg,var(--soft),transparent) 100% 0/1rem 100% no-repeat}
table{border-spacing:1px;border-collapse:separate;margin:0;width:auto;font-size:.75rem}
th,td{padding:0 .15rem;height:1.8rem;border:0;text-align:right;vertical-align:middle;background:none;color:inherit;font-weight:400}
.map thead th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;height:auto;padding:.3rem 0}
.map td{width:1.4rem;min-width:1.4rem;text-align:center;background:color-mix(in srgb,var(--w) var(--p),transparent)}
.map tbody th,.map button{font-size:.85rem;white-space:nowrap}
.map tbody th{position:sticky;left:0;background:var(--bg)}
[data-best]{font-weight:700}
[data-hand]{outline:2px dashed var(--s);outline-offset:-2px}
:focus-visible{outline:3px solid var(--fg);outline-offset:-2px}
.sum{margin:.6rem 0;padding:.3rem .8rem;min-height:4.5rem;border-left:4px solid var(--w)}
.live{position:absolute;clip-path:inset(50%)}
.do{display:flex;gap:.5rem;margin:.6rem 0}
summary{min-height:1.75rem;width:fit-content}
.code{width:95%;height:9rem}
@media(max-width:40rem){.sum{min-height:9rem}}
@media print{.do,.code{display:none}}}`;

const safe = (word) => word.replace(/[&<]/g, (x) => `&#${x.charCodeAt()};`);
const quote = (word) => `“${safe(word)}”`;

const button = (s, word, t) => `<button data-t="${t}" tabindex="${(t === s.word) - 1}"${
  t === s.word ? ' aria-current="true"' : ""}>${safe(word)}</button>`;

const mark = (s, r, t) => (s.hand ? ["", " ✗", " ✓"][r.agrees[t] + 1] : "");

const arrows = (s, r) => {
  const { source, target, hand } = s.pairs[s.pair];
  const rows = Math.max(source.length, target.length);
  const y = (i, n) => ((i + 0.5) / n * 100).toFixed(1);
  const line = (t, from, hue, width, more = "") => {
    const [a, b] = [y(from, source.length), y(t, r.best.length)];
    return `<path d="M0 ${a}C40 ${a} 60 ${b} 100 ${b}" stroke="var(--${hue})" stroke-width="${width}" ${more}/>`;
  };
  const row = r.weights[s.word];
  return `<div class="arrows" style="height:${rows * 1.8}rem"><div class="col src">${source.map((word, i) =>
    `<div><span>${safe(word)}</span><b${i === r.best[s.word] ? " data-best" : ""}>${row[i].toFixed(2)}</b></div>`).join("")}</div>
<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">${
  r.best.map((from, t) => line(t, from, "soft", 1, 'stroke-opacity=".5"')).join("")}${
  row.map((w, i) => (w < 0.02 ? "" : line(s.word, i, "w", (1 + 11 * w).toFixed(1)))).join("")}${s.hand
  ? hand.filter(([t]) => t < r.best.length).map(([t, from]) => (t === s.word ? line(t, from, "bg", 3.6) : "")
    + line(t, from, "s", t === s.word ? 2.4 : 1.3, 'stroke-dasharray="5 4"')).join("") : ""}</svg>
<div class="col" role="group" aria-label="Output words">${r.best.map((_, t) =>
  `<div>${button(s, target[t], t)}${mark(s, r, t)}</div>`).join("")}</div></div>`;
};

const table = (s, r, map) => {
  const pair = s.pairs[s.pair];
  const cell = (row, t) => (w, i) => {
    const link = s.hand && linked(pair, t).includes(i);
    return `<td${i === r.best[t] ? " data-best" : ""}${link ? " data-hand" : ""} style="--p:${
      (w * 60).toFixed()}%">${map ? w < 0.05 ? "" : Math.round(100 * w) : w.toFixed(2)}</td>`;
  };
  return `<div class="box${map ? " map" : ""}" tabindex="0" role="group" aria-label="${
    map ? "Heat map: weights in percent" : "Table of weights"}"><table><thead><tr><td></td>${
    pair.source.map((word) => `<th scope="col">${safe(word)}</th>`).join("")}</tr></thead><tbody>${
    r.weights.map((row, t) => `<tr><th scope="row">${map ? button(s, pair.target[t], t) + mark(s, r, t)
      : safe(pair.target[t])}</th>${row.map(cell(row, t)).join("")}</tr>`).join("")}</tbody></table></div>`;
};

const say = (s, r) => {
  const pair = s.pairs[s.pair];
  const [t, n] = [s.word, r.best.length];
  const links = linked(pair, t).map((i) => quote(pair.source[i])).join(" and ");
  return `${s.read ? "Having just read" : "About to write"} ${quote(pair.target[t])}, word ${t + 1} of ${n}, `
    + `layer ${s.layer + 1} looks most at ${quote(pair.source[r.best[t]])}: ${r.weights[t][r.best[t]].toFixed(2)}. `
    + (links ? `By hand it is ${links}: ${r.agrees[t] ? "they agree" : "they differ"}. ` : "By hand it has no link. ")
    + `In this layer they agree for ${r.hits} of ${r.linked} words.`;
};

const box = (name, text) => `<label><input type="checkbox" name="${name}">${text}</label>`;
const list = (name, text, options) => `<label>${text} <select name="${name}">${
  options.map((option, i) => `<option value="${i}">${safe(option)}</option>`).join("")}</select></label>`;

const frame = ({ pairs, model }) => `<p><b>Cross-attention: where the decoder looks</b></p>
<p class="hint">Choose an output word, or step with Next and arrow keys: what does the decoder look at?</p>
<div class="set">${list("pair", "Sentence", pairs.map((p) => p.source.slice(0, 4).join(" ") + " …"))}
${list("layer", "Decoder layer", pairs[0].weights.map((_, i) => `${i + 1}`))}</div>
<div class="set">${box("hand", "hand alignment (dashed)")}${box("read", "one step later (word is read)")}${box("map", "heat map")}</div>
<div class="board"></div>
<div class="do"><button data-step="-1">‹ Back</button><button data-step="1">Next ›</button></div>
<p class="sum" aria-hidden="true"></p><p class="live" role="status"></p>
<p class="hint">Thick lines and numbers: weights of the chosen word on the source words, mean of all heads;
thin: the largest weight of each other word. Heat map: percent, from 5 up; scroll it sideways where a shadow is. Model: ${safe(model)}.</p>
<details><summary>All weights as a table</summary><div class="all"></div></details>
<div class="do"><button data-do="copy">Copy as Python</button><button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="Python"></textarea>`;

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

  get state() { return { ...this.#state }; }
  get result() { return compute(this.#state); }
  get python() { return python(this.#state); }

  #follow = () => {
    const state = this.#base && fromHash(location.hash, this.#key, this.#base);
    if (!state) return;
    this.#show(state);
    this.scrollIntoView({ block: "nearest" });
  };

  #draw() {
    if (this.#base) return;
    let given;
    try { given = JSON.parse(this.getAttribute("state")); } catch { /* no data */ }
    if (!given?.pairs) return; // the fallback stays
    this.#base = { ...DEFAULTS, ...given };
    count += 1;
    this.#key = count > 1 ? `${KEY}-${count}` : KEY;
    if (count === 1) document.head.insertAdjacentHTML("beforeend", `<style>${CSS}</style>`);
    this.innerHTML = frame(this.#base);
    this.oninput = ({ target: { name, type, value, checked } }) =>
      this.#go({ [name]: type === "checkbox" ? checked : +value });
    this.onclick = ({ target }) => {
      const { t, step, do: what } = target.closest("button")?.dataset || {};
      if (t) this.#go({ word: +t });
      if (step) this.#go({ word: this.#state.word + +step });
      if (what === "reset") this.#go(this.#base);
      if (what !== "copy") return;
      const box = this.querySelector(".code");
      box.hidden = false;
      box.value = this.python;
      box.focus();
      box.select();
      document.execCommand("copy");
    };
    this.onkeydown = (e) => {
      const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[e.key];
      if (!step || !e.target.dataset.t) return;
      e.preventDefault();
      this.#go({ word: this.#state.word + step });
    };
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #go(change) {
    this.#show(check(change, this.#state), true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const focus = this.querySelector("[data-t]:focus");
    this.querySelector(".board").innerHTML = state.map ? table(state, r, true) : arrows(state, r);
    this.querySelector(".all").innerHTML = table(state, r);
    if (focus) this.querySelector("[aria-current]").focus();
    for (const input of this.querySelectorAll("[name]")) {
      input.value = state[input.name];
      input.checked = state[input.name];
    }
    const [back, next] = this.querySelectorAll("[data-step]");
    back.ariaDisabled = !state.word;
    next.ariaDisabled = state.word === r.best.length - 1;
    this.querySelector(".sum").innerHTML = say(state, r);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(write), 400);
  }

  #settle(write) {
    this.querySelector(".live").textContent = this.querySelector(".sum").textContent;
    if (!write) return;
    const others = location.hash.slice(1).split("&")
      .filter((p) => p.includes("=") && !p.startsWith(this.#key + "="));
    const hash = "#" + [...others, `${this.#key}=${toHash(this.#state)}`].join("&");
    try { history.replaceState(history.state, "", hash); } catch { /* a sandboxed frame */ }
  }
}

customElements.define(TAG, Figure);
})();
