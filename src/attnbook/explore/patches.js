// E7, chapter 7: an image as a row of tokens. <ax-patches>
(() => { // one function, its body not indented
const TAG = "ax-patches";
const KEY = "e7"; // in the address: #e7=d:0,p:2,t:1,s:0
const DIGITS = { // grey values row by row, g is 16
  0: "005d910000dfaf5003f20b8004c008800580098004b01c7002e5ac00006da000",
  2: "0005ec20007f8e4000623d100001d400001b900008gd000005egb2000006cd30",
  7: "0008ee200006afb000000ea0028bcg8008gggg700000bf100009g700000cd100",
};
const SIZES = [1, 2, 4, 8];
const DEFAULTS = { digit: 0, size: 2, token: 1, shuffled: false };

const range = (n) => [...Array(n).keys()];
const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);
const mix = (weights, rows) => { // weighted mean of rows
  const total = weights.reduce((a, b) => a + b);
  return rows[0].map((_, k) => dot(weights, rows.map((row) => row[k])) / total);
};

const shuffle = (n) => {
  const order = range(n);
  for (let i = n - 1, seed = 14; i > 0; i--) {
    seed = (75 * seed + 74) % 65537;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
};

// pixel k of patch t
const pixel = (size, t, k) => {
  const n = 8 / size;
  return [(t / n | 0) * size + (k / size | 0), (t % n) * size + (k % size)];
};

const patch = (size, i, j) => (i / size | 0) * (8 / size) + (j / size | 0);

const compute = ({ digit, size, shuffled }) => {
  const n = (8 / size) ** 2;
  const image = range(8).map((i) => range(8).map((j) => parseInt(DIGITS[digit][8 * i + j], 17)));
  const order = shuffled ? shuffle(n) : range(n);
  const tokens = order.map((t) => range(size ** 2).map((k) => {
    const [i, j] = pixel(size, t, k);
    return image[i][j];
  }));
  const reassembled = image.map(() => []);
  tokens.forEach((token, place) => token.forEach((grey, k) => {
    const [i, j] = pixel(size, place, k);
    reassembled[i][j] = grey;
  }));
  const x = tokens.map((token) => token.map((grey) => grey / 16));
  const out = x.map((q) => mix(x.map((k) => Math.exp(dot(q, k) / size)), x)); // the root of the width = size
  return { image, order, tokens, reassembled, pairs: n ** 2, pooled: mix(x.map(() => 1), out) };
};

const read = (given, base) => {
  const s = { ...base, ...given };
  const keep = (name, good) => good || (s[name] = base[name]);
  keep("digit", Object.hasOwn(DIGITS, s.digit));
  keep("size", SIZES.includes(s.size));
  keep("shuffled", s.shuffled === !!s.shuffled);
  const n = (8 / s.size) ** 2;
  if (!range(n).includes(s.token)) s.token = Math.min(base.token, n - 1);
  return s;
};

const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const { d, p, t, s } = Object.fromEntries(
    part.slice(key.length + 1).split(",").map((pair) => pair.split(":")));
  return read({ digit: +d, size: +p, token: +t, shuffled: [false, true][s] }, base);
};

const toHash = (s) => `d:${s.digit},p:${s.size},t:${s.token},s:${+s.shuffled}`;

const python = (s) => {
  const { image, order } = compute(s);
  return `import numpy as np

image = np.array([
${image.map((row) => `    [${row.join(", ")}],`).join("\n")}
])
size = ${s.size}  # side of a patch
tiles = image.reshape(8 // size, size, 8 // size, size).swapaxes(1, 2)
tokens = tiles.reshape(-1, size**2)  # (T, size²)
${s.shuffled ? `order = [${order.join(", ")}]
tokens = tokens[order]
` : ""}
x = tokens / 16  # attention without positions, then the mean
weights = np.exp(x @ x.T / size)  # the root of the width is size
weights = weights / weights.sum(axis=1, keepdims=True)
pooled = (weights @ x).mean(axis=0)
print(pooled.round(3))
`;
};

(globalThis.ax ||= {}).patches = { DEFAULTS, compute, fromHash, python };
if (typeof HTMLElement === "undefined" || customElements.get(TAG)) return;

// ---- the look
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
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));
*{box-sizing:border-box}
p,dd{margin:0}
.hint,dt,small{font-size:.85rem;color:var(--soft)}
.set,.grid,.line,.do,dl{display:flex;flex-wrap:wrap;gap:.6rem 1rem;margin:.4rem 0 .8rem}
.set>*,.grid>*,dl>*{flex:1 1 7rem}
.set{align-items:end}
.set>*,.grid>:last-child{flex-basis:13rem}
dl{margin:0}
dl>*{flex-basis:0}
dd{font-size:1.5rem;line-height:1.3}
label{display:flex;justify-content:space-between;align-items:center}
input,select{display:block;width:100%;height:1.75rem;margin:0;accent-color:var(--w)}
.tick{justify-content:start;gap:.5rem}
.tick input{width:1.5rem}
button,select{font:inherit;font-size:.9rem;color:inherit;background:var(--bg);border:1px solid var(--soft);border-radius:.4rem}
button{padding:.25rem .8rem;min-height:2rem;cursor:pointer}
svg{display:block;shape-rendering:crispEdges;width:100%;height:auto;cursor:pointer;fill:var(--fg)}
path{fill:none;stroke:var(--soft);stroke-width:.06px}
.on{stroke:var(--w);stroke-width:.22px}
path,text{pointer-events:none}
text{font-size:.55px;text-anchor:middle}
.line{gap:.3rem;align-content:start;min-height:4.8rem}
[role=option]{text-align:center;line-height:1.2}
[role=option] small{font-size:.7rem}
[aria-selected=true]{outline:3px solid var(--w);outline-offset:1px}
[aria-selected=true] small{font-weight:700}
:focus-visible{outline:3px solid var(--fg);outline-offset:2px}
[data-at=flat]{display:grid;grid-template-columns:repeat(8,1.6rem);text-align:right;font-size:.9rem}
.set>div label{margin-bottom:.4rem}
.say{margin:.8rem 0;padding:.4rem .8rem;border-left:4px solid var(--w);min-height:3.7rem}
summary{min-height:1.75rem;cursor:pointer;width:fit-content}
table{border-collapse:collapse;font-size:.9rem}
td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid var(--line);font-weight:400}
.code{width:100%;height:14rem}
@media print{.do,.code{display:none}}}`;

// a click on a grey value chooses the patch whose(i, j)
const picture = (rows, whose, name, more = "") => {
  const n = rows.length;
  return `<svg viewBox="-.1 -.1 ${n + 0.2} ${n + 0.2}" role="img" aria-label="${name}">${
    rows.map((row, i) => row.map((grey, j) => `<rect data-t="${whose(i, j)}" x="${j}" y="${i}"
      width="1" height="1" fill-opacity="${grey / 16}"/>`).join("")).join("")}
    <path d="M0 0h${n}v${n}h-${n}z"/>${more}</svg>`;
};

// a whole image, cut into patches, one of them marked
const sheet = (rows, size, order, chosen, name) => {
  const place = order.indexOf(chosen);
  const whose = (i, j) => order[patch(size, i, j)];
  const cuts = range(8 / size).map((k) => `M${k * size} 0v8M0 ${k * size}h8`).join("");
  const [top, left] = pixel(size, place, 0);
  const numbers = range(size ** 2).map((k) => {
    const [i, j] = pixel(size, place, k);
    return `<text x="${j + 0.5}" y="${i + 0.7}" fill="var(--${rows[i][j] > 8 ? "bg" : "fg"})">${rows[i][j]}</text>`;
  }).join("");
  return picture(rows, whose, name, `<path d="${cuts}"/>
    <path class="on" d="M${left} ${top}h${size}v${size}h-${size}z"/>${numbers}`);
};

const tile = (name, title) => `<div><dt>${title}</dt><dd data-at="${name}"></dd></div>`;
const paper = (name, title) => `<div data-at="${name}"></div><p class="hint">${title}</p>`;

const frame = (id) => `<b>An image as a row of tokens</b>
<p class="hint">A handwritten digit is cut into patches; each becomes one token. Change their size,
choose a token (click, or arrow keys in the row), then shuffle the row.</p>
<div class="set"><div><label for="${id}-p"><span>Side of a patch</span><b data-at="p"></b></label>
<input type="range" id="${id}-p" name="size" max="3"></div>
<div><label for="${id}-d">Digit</label><select id="${id}-d" name="digit">${
  Object.keys(DIGITS).map((d) => `<option>${d}</option>`).join("")}</select></div>
<label class="tick"><input type="checkbox" name="shuffled">Shuffle the tokens</label></div>
<div class="hint" id="${id}-r">The row of tokens, as a model gets it (the numbers below are for you)</div>
<div class="line" role="listbox" aria-labelledby="${id}-r"></div>
<div class="grid"><div>${paper("image", "The image")}</div><div>${paper("again", "The row as an image")}</div>
<div><dl>${tile("n", "Tokens T")}${tile("width", "Width p²")}${tile("pairs", "Pairs T²")}</dl>
<div class="hint">Token <span data-at="t"></span>, flattened row by row</div><div data-at="flat"></div></div></div>
<p class="hint">Pixels / 16, attention without positions (Q = K = V), then the mean:</p><div data-at="pooled"></div>
<p class="say" role="status"></p>
<div class="do"><button data-do="copy">Copy as Python</button>
<button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="This figure as Python"></textarea>
<details><summary>All sizes in a table</summary><table><thead><tr>${["side p", "T", "p²", "T²"].map((h) =>
  `<th scope="col">${h}</th>`).join("")}</tr></thead><tbody>${SIZES.map((p) => `<tr><th scope="row">${p}</th><td>${
  (8 / p) ** 2}</td><td>${p ** 2}</td><td>${(8 / p) ** 4}</td></tr>`).join("")}</tbody></table></details>`;

const say = (s, r) => {
  const n = r.order.length;
  const [row, column] = pixel(s.size, s.token, 0).map((k) => k / s.size);
  const where = `Token ${s.token} is from row ${row}, column ${column}`;
  if (n < 2) return "One token, the whole image: nobody to attend to.";
  if (s.shuffled) return `${where} and now stands at place ${r.order.indexOf(s.token)}.
    To a model without positions nothing has changed.`;
  return `${where}. ${n} tokens make ${n}² = ${r.pairs} pairs of query and key. `
    + (s.size > 1 ? "Half the side: 4 times the tokens, 16 times the pairs."
      : "Without positions, a model sees which greys occur, not where.");
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
    this.onclick = (e) => this.#pressed(e.target);
    this.querySelector(".line").onkeydown = (e) => this.#moved(e);
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #typed({ name, value, checked }) {
    const s = { ...this.#state };
    s[name] = name === "shuffled" ? checked : +value;
    if (name === "size") {
      const [i, j] = pixel(this.#state.size, s.token, 0);
      s.size = SIZES[value];
      s.token = patch(s.size, i, j);
    }
    this.#show(s, true);
  }

  #moved(e) {
    const step = { Right: 1, Down: 1, Left: -1, Up: -1 }[e.key.slice(5)];
    if (!step) return;
    e.preventDefault();
    const { order } = this.result;
    const to = order[order.indexOf(this.#state.token) + step];
    if (to >= 0) this.#show({ ...this.#state, token: to }, true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const { size, token, digit, shuffled } = state;
    const [p, d, s] = this.querySelectorAll("input,select");
    p.value = SIZES.indexOf(size);
    p.setAttribute("aria-valuetext", `${size} by ${size} pixels`);
    d.value = digit;
    s.checked = shuffled;
    const row = this.querySelector(".line");
    const inside = row.contains(document.activeElement);
    const wide = { 1: 1.5, 2: 2.25, 4: 2.9, 8: 3.6 }[size];
    row.innerHTML = r.tokens.map((grey, place) => {
      const t = r.order[place];
      const rows = range(size).map((i) => grey.slice(i * size, (i + 1) * size));
      return `<div role="option" data-t="${t}" tabindex="${t === token ? 0 : -1}" aria-selected="${t === token}"
        style="width:${wide}rem" aria-label="token ${t} at place ${place}">${picture(rows, () => t, t)}<small>${t}</small></div>`;
    }).join("");
    if (inside) row.querySelector("[tabindex='0']").focus();
    this.#at("image").innerHTML = sheet(r.image, size, range(r.order.length), token, "The image");
    this.#at("again").innerHTML = sheet(r.reassembled, size, r.order, token, "The row as an image");
    const shown = { p: `${size} × ${size}`, n: r.order.length, width: size ** 2, pairs: r.pairs, t: token };
    for (const name in shown) this.#at(name).textContent = shown[name];
    this.#at("flat").innerHTML = r.tokens[r.order.indexOf(token)].map((x) => `<span>${x}</span>`).join("");
    this.#at("pooled").innerHTML = [false, true].map((mixed) => {
      const { pooled } = compute({ ...state, shuffled: mixed });
      return `<p>${mixed ? "shuffled" : "in order"}: ${pooled.slice(0, 4).map((x) => x.toFixed(3)).join(", ")}${
        size > 2 ? ", …" : ""}</p>`;
    }).join("");
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

  #pressed(target) {
    const { do: what, t } = (target.closest("[data-t]") || target).dataset;
    if (t) this.#show({ ...this.#state, token: +t }, true);
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
