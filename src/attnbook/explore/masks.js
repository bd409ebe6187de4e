// E7, chapter 8: which keys a query may see, and when the mask must act. <ax-masks>
(() => {
const TAG = "ax-masks";
const KEY = "e4";
const SOURCE = "er malt hier oft Boote und Ufer".split(" ");
const TARGET = "start he often paints boats here".split(" ");
const KINDS = {
  __proto__: null,
  encoder: ["encoder self-attention", SOURCE, SOURCE],
  decoder: ["decoder self-attention", TARGET, TARGET],
  cross: ["cross-attention", TARGET, SOURCE],
};
const DEFAULTS = {
  attention: "decoder", causal: true, prefix: 0, padding: true, real: 5, window: 0,
  late: false, raised: false, query: 1, key: 0,
};

// ---- the maths, without a document -------------------------------------------
const sum = (row) => row.reduce((a, b) => a + b, 0);
const same = (rows, f) => rows.map((row, t) => row.map((x, s) => f(x, t, s)));

const weigh = (scores, allowed, late) => scores.map((row, t) => {
  const exp = row.map(Math.exp);
  const seen = exp.map((e, s) => (allowed[t][s] ? e : 0));
  const total = sum(late ? exp : seen);
  return seen.map((e) => (total ? e / total : 0)); // not 0/0
});

const compute = (state) => {
  const { attention, causal, prefix, padding, real, window, late } = state;
  const [, queries, keys] = KINDS[attention];
  const shift = 4 * Object.keys(KINDS).indexOf(attention);
  const plain = queries.map((_, t) => keys.map((_, s) =>
    ((3 * t * t + 4 * s * s + 2 * t * s + 5 * s + shift) % 9 - 4) / 2));
  const allowed = same(plain, (_, t, s) => {
    const place = t + keys.length - queries.length; // last query at last key
    return (!causal || s <= place || s < prefix) && (!padding || s < real)
      && (!window || Math.abs(s - place) < window);
  });
  const lifted = same(plain, (x, t, s) => x + 2 * !allowed[t][s]);
  const scores = state.raised ? lifted : plain;
  const weights = weigh(scores, allowed, late);
  const before = weigh(plain, allowed, late);
  const change = same(weigh(lifted, allowed, late), (w, t, s) => Math.abs(w - before[t][s]));
  return {
    allowed, scores, weights, sums: weights.map(sum), leak: Math.max(...change.flat()),
    masked: same(scores, (x, t, s) => (late || allowed[t][s] ? x : -Infinity)),
  };
};

const read = (given, base) => {
  const s = { ...base };
  if (KINDS[given?.attention] && given.attention !== base.attention)
    Object.assign(s, { attention: given.attention, causal: given.attention === "decoder",
      padding: true, window: 0, prefix: 0 });
  const [, queries, keys] = KINDS[s.attention];
  for (const name in DEFAULTS) {
    const x = given?.[name];
    const most = { query: queries, key: keys }[name]?.length - 1 || keys.length;
    if (typeof x === typeof s[name] && x >= 0 && x <= most && !(x % 1)) s[name] = x;
    if (s[name] > most) s[name] = most;
  }
  return s;
};

const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const given = part.slice(key.length + 1).split(",").map((p) => p.split(":")).map(([name, x]) =>
    [name, { true: true, false: false }[x] ?? (x && !isNaN(x) ? +x : x)]);
  return read(Object.fromEntries(given), base);
};

const toHash = (s) => Object.entries(s).map((pair) => pair.join(":")).join();

const python = (s) => {
  const { scores, allowed } = compute({ ...s, raised: false });
  const lines = [
    s.causal && `allowed &= (keys <= queries) | (keys < ${s.prefix})`,
    s.padding && `allowed &= keys < ${s.real}`,
    s.window && `allowed &= abs(keys - queries) < ${s.window}`,
    s.raised && "scores = scores + 2 * ~allowed",
  ].filter(Boolean).join("\n");
  return `import numpy as np

scores = np.array(${JSON.stringify(scores)})
T, S = scores.shape
queries, keys = np.arange(T)[:, None] + S - T, np.arange(S)
allowed = np.ones((T, S), dtype=bool)  # True = may attend
${lines}

${s.late ? `weights = np.exp(scores)
weights = weights / weights.sum(axis=1, keepdims=True)
weights = weights * allowed  # too late` : `masked = np.where(allowed, scores, -np.inf)
weights = np.exp(masked)
total = weights.sum(axis=1, keepdims=True)
weights = weights / np.where(total > 0, total, 1)  # not 0/0`}
sums = weights.sum(axis=1)
print(weights.round(3), sums.round(3))
`;
};

(globalThis.ax ||= {}).masks = { DEFAULTS, compute, fromHash, python };
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
p,table,button,.set *{margin:0}
.hint{color:var(--soft);font-size:.9rem}
.set{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.5rem 0}
label{display:flex;gap:.4rem;align-items:center;min-height:2rem}
.set input,select,button{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--soft);
border-radius:.3rem;min-height:1.8rem;box-sizing:border-box}
[type=number]{width:3rem}
[type=checkbox]{width:1.5rem;accent-color:var(--w)}
.two,.do{display:flex;flex-wrap:wrap;gap:.8rem;margin:.8rem 0 0}
.m{overflow-x:auto;max-width:100%;--c:var(--s)}
.m+.m{--c:var(--w)}
table{border-spacing:1px;border-collapse:separate;width:auto;font-size:.75rem}
caption{caption-side:top;text-align:left;padding:0;color:var(--fg);font-size:.9rem}
caption b{border-bottom:3px solid var(--c)}
th,td{padding:0 .1rem;height:1.9rem;border:0;text-align:right;vertical-align:middle;background:none;color:inherit;font-weight:400}
th{font-size:.7rem}
thead th{text-align:center}
[data-on]>*{font-weight:700}
td{min-width:1.75rem}
[data-c]{cursor:pointer;background:color-mix(in srgb,var(--c) var(--p),transparent)}
[data-no]{background:repeating-linear-gradient(45deg,transparent 0 5px,var(--line) 5px 6px);color:var(--soft)}
[aria-selected=true]{outline:2px solid var(--c);outline-offset:-2px}
:focus-visible{outline:3px solid var(--fg);outline-offset:-2px}
[data-changed]{box-shadow:inset 0 -4px var(--s)}
u,[data-off]{text-decoration:underline wavy var(--s);text-underline-offset:.2em}
.sum{margin:.8rem 0;padding:.3rem .8rem;min-height:6.5rem;border-left:4px solid var(--w)}
sub,sup{line-height:0}
.live{position:absolute;clip-path:inset(50%)}
.code{width:95%;height:9rem}
@media(max-width:40rem){.sum{min-height:10rem}}
@media print{.do,.code{display:none}}}`;

const show = (x, digits) => (x === -Infinity ? "−∞" : x.toFixed(digits).replace("-", "−"));

const words = ({ attention, real }) => {
  const [, queries, keys] = KINDS[attention];
  const padded = keys.map((word, i) => (i < real ? word : "pad"));
  return [queries === keys ? padded : queries, padded];
};

const origin = (s, r) => {
  const [i, j] = [s.query, s.key];
  const yes = r.allowed[i][j];
  const exp = r.scores[i].map((x, k) => `e<sup>${r.allowed[i][k] || s.late ? `${x}`.replace("-", "−") : "−∞"}</sup>`);
  const terms = exp.map((text, k) => (r.allowed[i][k] ? text : s.late ? `<u>${text}</u>` : ""))
    .filter(Boolean).join(" + ");
  return `weight<sub>${i + 1},${j + 1}</sub> = ${exp[j]} / (${terms || 0})${
    yes ? " = " + show(r.weights[i][j], 3) : s.late ? ", then set to 0" : terms ? " = 0 exactly" : ""}`;
};

const say = (s, r) => {
  const [queries, keys] = words(s);
  const [i, n] = [s.query, keys.length];
  const seen = keys.filter((_, k) => r.allowed[i][k]);
  const pads = sum(r.weights[i].slice(s.real));
  const cause = r.allowed.some((row) => row.includes(false));
  const more = !seen.length && !s.late
    ? `No key is left: here its weights are 0. A plain softmax gives 0/0 = NaN, and −10⁹ instead of −∞ gives each key, hidden or not, 1/${n} = ${show(1 / n, 3)}.`
    : s.late && cause
    ? `Too late: <u>hidden keys</u> still count in the sum. ${s.raised
      ? `Raising them moves visible weights by up to ${show(r.leak, 2)}: a leak.` : "Now raise them."}`
    : s.raised && cause ? "Raising hidden scores moves no weight: nothing leaks."
    : s.attention === "decoder" && !s.causal
    ? "Not causal: each word sees the next one, which it should predict."
    : pads ? `${show(pads, 2)} of its weight goes to padding.`
    : s.causal && s.attention !== "decoder"
    ? `All keys are known from the start: no future to hide.${n > queries.length ? " The last query lies on the last key." : ""}`
    : queries[i] === "pad" ? "It is padding itself: its output is never used."
    : cause ? "Hidden keys get exactly 0; the others share the whole 1." : "";
  return `Query ${i + 1}, “${queries[i]}”, may attend to ${seen.length} of ${n} keys; its weights sum to ${show(r.sums[i], 2)}. ${more}`;
};

const grid = (name, s, r, before) => {
  const [queries, keys] = words(s);
  const end = name === "weights";
  const title = end ? "Weights" : s.late ? "Scores" : "Scores, masked";
  const head = (list, scope = "col") => list.map((w) => `<th scope="${scope}">${w}</th>`).join("");
  const cell = (i) => (x, j) => {
    const on = i === s.query && j === s.key;
    return `<td data-c="${i}.${j}" tabindex="${on - 1}" aria-selected="${on}"${
      before && before[i][j] !== x ? " data-changed" : ""}${r.allowed[i][j]
      ? ` style="--p:${end ? x * 40 : 0}%"` : " data-no"}>${show(x, end ? 2 : 1)}</td>`;
  };
  const row = (cells, i) => `<tr${i === s.query ? " data-on" : ""}>${head([queries[i]], "row")}${
    cells.map(cell(i)).join("")}${end
    ? `<td${r.sums[i] > 0.9999 ? "" : " data-off"}>${show(r.sums[i], 2)}</td>` : ""}</tr>`;
  return `<div class="m"><table role="grid" data-m="${name}"><caption><b>${title}</b> (${queries.length}, ${keys.length})</caption>
<thead><tr><td></td>${head(keys)}${end ? head(["sum"]) : ""}</tr></thead><tbody>${r[name].map(row).join("")}</tbody></table></div>`;
};

const box = (name, text) => `<label><input type="checkbox" name="${name}">${text}</label>`;
const number = (name, text) => `<label>${text} <input type="number" name="${name}" min="0"></label>`;

const FRAME = `<p><b>Masks: who may attend to whom</b></p>
<p class="hint">Tick masks on and off; choose a cell (arrow keys move) to read its weight.</p>
<div class="set"><label>Attention <select name="attention">${Object.entries(KINDS).map(([key, [title]]) =>
  `<option value="${key}">${title}</option>`).join("")}</select></label></div>
<div class="set">${box("causal", "causal")}${number("prefix", "prefix")}</div>
<div class="set">${box("padding", "padding")}${number("real", "real words")}${number("window", "window")}</div>
<div class="set">${box("late", "mask after softmax (wrong)")}${box("raised", "raise hidden scores by 2")}</div>
<div class="two"></div>
<p class="sum" aria-hidden="true"></p><p class="live" role="status"></p>
<p class="hint">Prefix: first keys that causal leaves open to all. Window: hides keys that far away and more. 0: none.
Hatched: hidden. Bar: changed. True = may attend; nn.MultiheadAttention wants the opposite.</p>
<div class="do"><button data-do="copy">Copy as Python</button><button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="Python"></textarea>`;

// ---- the element -------------------------------------------------------------
let count = 0;

class Figure extends HTMLElement {
  #state; #base; #before; #timer; #key;

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
    try { given = JSON.parse(this.getAttribute("state")); } catch { /* defaults */ }
    this.#base = read(given, DEFAULTS);
    count += 1;
    this.#key = count > 1 ? `${KEY}-${count}` : KEY;
    if (count === 1) document.head.insertAdjacentHTML("beforeend", `<style>${CSS}</style>`);
    this.innerHTML = FRAME;
    this.oninput = ({ target: { name, type, value, checked, validity } }) => {
      if (!name || !validity.valid || value === "") return;
      this.#before = name !== "attention" && this.result.weights;
      this.#show(read({ [name]: { checkbox: checked, number: +value }[type] ?? value }, this.#state), true);
    };
    this.onclick = ({ target: { dataset } }) => {
      if (dataset.c) this.#go(dataset.c.split("."));
      if (dataset.do === "reset") {
        this.#before = null;
        this.#show(this.#base, true);
      }
      if (dataset.do !== "copy") return;
      const box = this.querySelector(".code");
      box.hidden = false;
      box.value = this.python;
      box.focus();
      box.select();
      document.execCommand("copy");
    };
    this.onkeydown = (e) => {
      const [down, along] = { Up: [-1, 0], Down: [1, 0], Left: [0, -1], Right: [0, 1] }[e.key.slice(5)] || [];
      if (!e.target.dataset.c || !e.key.startsWith("Arrow")) return;
      e.preventDefault();
      this.#go([this.#state.query + down, this.#state.key + along]);
    };
    this.addEventListener("focusout", () => this.#fill());
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #fill() {
    for (const input of this.querySelectorAll("[name]")) {
      if (input.type === "number") input.max = KINDS[this.#state.attention][2].length;
      if (input.type === "checkbox") input.checked = this.#state[input.name];
      else if (input !== document.activeElement) input.value = this.#state[input.name];
    }
  }

  #go([query, key]) {
    this.#show(read({ query: +query, key: +key }, this.#state), true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const focus = this.querySelector("[data-m]:focus-within")?.dataset.m;
    this.querySelector(".two").innerHTML = grid("masked", state, r) + grid("weights", state, r, this.#before);
    if (focus) this.querySelector(`[data-m=${focus}] [tabindex="0"]`).focus();
    this.#fill();
    this.querySelector(".sum").innerHTML = say(state, r) + " <br>" + origin(state, r);
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
