// E8, chapter 6: three ways to tell where a token stands. <ax-positions>
(() => { // one function, its body not indented
"use strict";
const TAG = "ax-positions";
const KEY = "e8"; // in the address: #e8=s:rope,i:9,j:4,d:50,p:1,b:10000,v:pairs,h:1
const Q = [1, 0.5, -0.6, 0.8, 0.4, 0.9, 0.7, 0.2];
const K = [0.8, 1.1, 0.6, 0.9, -0.9, -0.3, -0.3, 0.6];
const FAR = 20;
const SCHEMES = { sinusoidal: "Sinusoidal", rope: "RoPE", alibi: "ALiBi" };
const STYLES = { pairs: "pairs: 2i, 2i + 1", half: "half: i, i + 4" };
const DEFAULTS = { scheme: "rope", i: 9, j: 4, shift: 0, pair: 1, head: 1, base: 10000, style: "pairs" };
const SLIDERS = { // of base: its logarithm
  i: ["Query position t", 0, FAR], j: ["Key position s", 0, FAR], shift: ["Shift both", 0, 100],
  pair: ["Pair of features i", 0, 3], base: ["Base", 1, 6, 0.25], head: ["Head", 1, 8],
};

// ---- the maths, without a document -------------------------------------------
const list = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const dot = (a, b) => a.reduce((sum, x, n) => sum + x * b[n], 0);

const compute = ({ i, j, shift, base, style }) => {
  const frequencies = list(4, (p) => base ** (-p / 4));
  const pairs = list(4, (p) => (style === "half" ? [p, p + 4] : [2 * p, 2 * p + 1]));
  const code = (at) => frequencies.flatMap((f) => [Math.sin(at * f), Math.cos(at * f)]);
  const rotate = (x, at) => {
    const turned = [];
    const turn = code(at);
    pairs.forEach(([a, b], p) => {
      const [sin, cos] = turn.slice(2 * p);
      turned[a] = x[a] * cos - x[b] * sin;
      turned[b] = x[a] * sin + x[b] * cos;
    });
    return turned;
  };
  const add = (x, at) => code(at).map((c, n) => c + x[n]);
  const codes = [code(i + shift), code(j + shift)];
  const rotated = [rotate(Q, i + shift), rotate(K, j + shift)];
  const slopes = list(8, (h) => 0.5 ** (h + 1));
  return {
    frequencies, pairs, codes, rotated, slopes,
    wavelengths: frequencies.map((f) => 2 * Math.PI / f),
    dot: dot(...codes), score: dot(...rotated),
    dots: list(2 * FAR + 1, (o) => dot(code(o - FAR), code(0))),
    shifted: list(101, (s) => dot(rotate(Q, i + s), rotate(K, j + s))),
    added: list(101, (s) => dot(add(Q, i + s), add(K, j + s))),
    penalties: slopes.map((m) => -m * Math.abs(i - j)),
  };
};

const read = (given, base) => {
  const s = { ...base };
  for (const [k, [, low, high]] of Object.entries(SLIDERS)) {
    const x = k === "base" ? Math.log10(given[k]) : given[k];
    if (x >= low && x <= high && (k === "base" || Number.isInteger(x))) s[k] = given[k];
  }
  if (Object.hasOwn(SCHEMES, given.scheme)) s.scheme = given.scheme;
  if (Object.hasOwn(STYLES, given.style)) s.style = given.style;
  return s;
};

const SHORT = { s: "scheme", i: "i", j: "j", d: "shift", p: "pair", b: "base", v: "style", h: "head" };
const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const given = {};
  for (const [k, v] of part.slice(key.length + 1).split(",").map((p) => p.split(":")))
    given[SHORT[k]] = v && !isNaN(v) ? +v : v;
  return read(given, base);
};
const toHash = (s) => Object.entries(SHORT).map(([k, name]) => `${k}:${s[name]}`).join();

const python = ({ scheme, i, j, shift, base, style }) => `import numpy as np

t, s = ${i + shift}, ${j + shift}
` + (scheme === "alibi" ? `slopes = 2.0 ** -np.arange(1, 9)
penalties = -slopes * abs(t - s)
print(slopes, penalties)
` : `angles = np.array([[t], [s]]) * ${base} ** (-np.arange(4) / 4)
sin, cos = np.sin(angles), np.cos(angles)
` + (scheme === "rope" ? `x = np.array([[${Q}], [${K}]])  # q, k
a, b = np.arange(8).reshape(${style === "half" ? "2, 4)" : "4, 2).T"}
rotated = np.empty((2, 8))
rotated[:, a] = x[:, a] * cos - x[:, b] * sin
rotated[:, b] = x[:, a] * sin + x[:, b] * cos
score = rotated[0] @ rotated[1]
print(rotated, score)
` : `codes = np.stack([sin, cos], axis=-1).reshape(2, 8)
dot = codes[0] @ codes[1]
print(codes, dot)
`));

(globalThis.ax ||= {}).positions = { DEFAULTS, compute, fromHash, python };
if (typeof HTMLElement === "undefined" || customElements.get(TAG)) return;

// ---- the look ----------------------------------------------------------------
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
--q:var(--ab-q,light-dark(#1f5fbf,#7db0ff));--k:var(--ab-k,light-dark(#b3541e,#f2a06e));
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));
*{box-sizing:border-box}
p{margin:0}
.h{font-weight:650}
.hint,.h span{font-weight:400;font-size:.85rem;color:var(--soft)}
[hidden]{display:none!important}
fieldset,.do{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;border:0;padding:0;min-width:0;margin:.6rem 0}
.set,.grid{display:grid;gap:.3rem 1.6rem;margin:.6rem 0 1rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,12.5rem),1fr))}
.grid{grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:1rem 2rem}
label{display:flex;justify-content:space-between;align-items:center}
input{width:100%;height:1.75rem;margin:0;accent-color:var(--w)}
fieldset label{gap:.4rem}
[type=radio]{width:1.5rem;height:1.5rem}
svg{display:block;width:100%;height:auto;overflow:visible}
text{fill:var(--soft);font-size:11px}
.b{font-weight:700;fill:var(--fg);font-size:12.5px}
.say{padding:.4rem .8rem;border-left:4px solid var(--w);min-height:5.2rem}
button{font:inherit;font-size:.9rem;padding:.25rem .8rem;min-height:2rem;color:inherit;
background:none;border:1px solid var(--soft);border-radius:.4rem;cursor:pointer}
:focus-visible{outline:3px solid var(--w);outline-offset:2px}
summary{min-height:1.75rem;cursor:pointer;width:fit-content}
table{border-collapse:collapse;font-size:.85rem}
details{overflow-x:auto}
td,th{padding:.15rem .35rem;text-align:right;border-bottom:1px solid var(--line);font-weight:400}
.code{width:100%;height:12rem}
@media print{.do,.code{display:none}}}`;

const show = (x, digits) => (+x.toFixed(digits) || 0).toFixed(digits).replace("-", "−");
const big = (x) => (x < 100 ? show(x, 1) : Math.round(x).toLocaleString("en"));
const soft = (x, y, words, anchor = "middle", kind = "") => `<text x="${x}" y="${y}" text-anchor="${anchor}" class="${kind}">${words}</text>`;
const path = (d, hue = "line", more = "") => `<path d="${d}" fill="none" stroke="var(--${hue})" ${more}/>`;
const THICK = 'stroke-width="2.5"';
const DASH = THICK + ' stroke-dasharray="6 4"';
const dotAt = (x, y, hue) => `<circle cx="${x}" cy="${y}" r="5" fill="var(--${hue})" stroke="var(--bg)" stroke-width="1.5"/>`;
const svg = (height, label, body) => `<svg viewBox="0 0 300 ${height}" role="img" aria-label="${label}">${body}</svg>`;

const chart = (label, lines, { ticks, first = 0, levels, name }, marks) => {
  const n = lines[0][0].length - 1;
  const [low, high] = [Math.min(...levels), Math.max(...levels)];
  const x = (k) => 36 + k * 254 / n;
  const y = (v) => 184 - (v - low) * 160 / (high - low);
  return svg(224, label, levels.map((v) => path(`M36 ${y(v)}H290`) + soft(30, y(v) + 4, show(v, 0), "end")).join("")
    + ticks.map((k) => soft(x(k - first), 201, show(k, 0))).join("") + soft(163, 218, name)
    + lines.map(([values, hue, more]) => path("M" + values.map((v, k) => `${x(k).toFixed(1)} ${y(v).toFixed(1)}`).join("L"), hue, more)).join("")
    + marks(x, y));
};

const hand = (cx, cy, dx, dy, hue, more, label) => path(`M${cx} ${cy}l${dx.toFixed(2)} ${dy.toFixed(2)}`, hue, more)
  + dotAt(cx + dx, cy + dy, hue) + (label ? soft(cx + 1.2 * dx, cy + 1.2 * dy + 4, label, "middle", "b") : "");

const table = (s, r) => {
  const [head, rows] = s.scheme === "alibi"
    ? [["head", "slope", "penalty"], r.slopes.map((m, h) => [h + 1, show(m, 6), show(r.penalties[h], 3)])]
    : [["pair", "features", "turn in", "angle t", "angle s"], r.frequencies.map((f, p) => [p,
      (s.scheme === "rope" ? r.pairs[p] : [2 * p, 2 * p + 1]).join(", "), big(r.wavelengths[p]), show((s.i + s.shift) * f, 3), show((s.j + s.shift) * f, 3)])];
  return `<thead><tr>${head.map((h) => `<th scope="col">${h}</th>`).join("")}</tr></thead><tbody>${rows.map(([first, ...rest]) =>
    `<tr><th scope="row">${first}</th>${rest.map((x) => `<td>${x}</td>`).join("")}</tr>`).join("")}</tbody>`;
};

const VIEWS = {
  sinusoidal(s, r) {
    const clocks = list(4, (p) => {
      const [cx, cy] = [76 + 148 * (p % 2), 58 + 136 * (p >> 1)];
      return path(`M${cx - 42} ${cy}a42 42 0 0 0 84 0a42 42 0 0 0 -84 0`, ...(p === s.pair ? ["fg", THICK] : []))
        + r.codes.map((c, n) => hand(cx, cy, 40 * c[2 * p], -40 * c[2 * p + 1], "qk"[n], n ? DASH : THICK)).join("")
        + soft(cx, cy + 60, `pair ${p}: one turn in ${big(r.wavelengths[p])}`);
    });
    const at = s.j - s.i;
    return [
      ["The code as four clocks", "→ sin, ↑ cos", svg(266, "A hand for each position", clocks.join("")
        + path("M30 264h22", "q", THICK) + soft(57, 268, `position ${s.i + s.shift}`, "start")
        + path("M160 264h22", "k", DASH) + soft(187, 268, `position ${s.j + s.shift}`, "start"))],
      ["Product of two codes", "", chart("Same for an offset and its opposite",
        [[r.dots, "w", THICK]], { ticks: [-20, -10, 0, 10, 20], first: -20, levels: Math.min(...r.dots) < 0 ? [-4, -2, 0, 2, 4] : [0, 2, 4], name: "offset s − t" },
        (x, y) => dotAt(x(20 - at), y(r.dot), "soft") + dotAt(x(20 + at), y(r.dot), "w"))],
      `Positions ${s.i + s.shift} and ${s.j + s.shift}: the product of their codes is ${show(r.dot, 6)}, at offset ${show(at, 0)} as at ${show(-at, 0)}, whatever the shift: how far, not on which side.`,
    ];
  },
  rope(s, r) {
    const [a, b] = r.pairs[s.pair];
    const f = r.frequencies[s.pair];
    const box = (n) => 22 + n * 32;
    const arrows = [Q, K].map((x, n) => path(`M150 104l${60 * x[a]} ${-60 * x[b]}`, "qk"[n], 'stroke-width="1.5" stroke-dasharray="2 3"')
      + hand(150, 104, 60 * r.rotated[n][a], -60 * r.rotated[n][b], "qk"[n], THICK, "qk"[n])).join("");
    const strip = list(8, (n) => path(`M${box(n)} 232h28v22h-28z`, n === a || n === b ? "w" : "line", THICK)
      + soft(box(n) + 14, 247, n, "middle", "b")).join("")
      + r.pairs.map(([c, d], p) => path(`M${box(c) + 14} 256q${16 * (d - c)} ${d - c > 1 ? 26 : 18} ${32 * (d - c)} 0`, ...(p === s.pair ? ["w", THICK] : ["soft"]))).join("");
    return [
      [`Features ${a} and ${b}`, `turned by ${show((s.i + s.shift) * f, 1)} and ${show((s.j + s.shift) * f, 1)} rad`,
        svg(278, `q and k in the plane of features ${a} and ${b}`, path("M40 104H260M150 8V200") + soft(262, 100, a, "start") + soft(158, 14, b, "start") + arrows
          + soft(150, 222, "dotted: unturned; below: the pairs") + strip)],
      ["The score q·k", "when both move", chart("RoPE: flat. Codes added: up and down",
        [[r.added, "k", DASH], [r.shifted, "w", THICK]],
        { ticks: [0, 50, 100], levels: [-8, -4, 0, 4, 8, 12], name: "shift of both positions" },
        (x, y) => dotAt(x(s.shift), y(r.added[s.shift]), "k") + dotAt(x(s.shift), y(r.score), "w")
          + path("M36 10h22", "w", THICK) + soft(63, 14, "RoPE", "start") + path("M120 10h22", "k", DASH) + soft(147, 14, "code added instead", "start"))],
      `Query at ${s.i}, key at ${s.j}: RoPE gives the score ${show(r.shifted[0], 9)}. ` + (s.shift
        ? `At ${s.i + s.shift} and ${s.j + s.shift} it gives ${show(r.score, 9)}. With codes added instead: ${show(r.added[0], 3)}, then ${show(r.added[s.shift], 3)}.`
        : ""),
    ];
  },
  alibi(s, r) {
    const distance = Math.abs(s.i - s.j);
    const penalty = r.penalties[s.head - 1];
    return [
      ["Penalty of each head", `thick: head ${s.head}`, chart("Penalty against distance",
        r.slopes.map((m, h) => [list(FAR + 1, (d) => -m * d), ...(h === s.head - 1 ? ["w", 'stroke-width="4"'] : ["soft", ""])]),
        { ticks: [0, 10, 20], levels: [0, -2, -4, -6, -8, -10], name: "distance |t − s|" },
        (x, y) => path(`M${x(distance)} 24V184`, "fg") + dotAt(x(distance), y(penalty), "w"))],
      ["Slopes", `head h has 1/2<sup>h</sup>`, `<table>${table(s, r)}</table>`],
      `Distance ${distance}: head ${s.head} adds ${show(penalty, 3)} to the score, at ${s.i + s.shift} and ${s.j + s.shift} as anywhere.`,
    ];
  },
};

const NOT = { head: "sinusoidal rope", style: "sinusoidal alibi", pair: "alibi", base: "alibi" };

const frame = (id) => {
  const radios = (name, all) => `<fieldset data-for="${name}" aria-label="${name}">${Object.entries(all).map(([value, words]) =>
    `<label><input type="radio" name="${id}-${name}" data-k="${name}" value="${value}">${words}</label>`).join("")}</fieldset>`;
  const slider = ([k, [words, low, high, step = 1]]) => `<div data-for="${k}"><label for="${id}-${k}"><span>${words}</span><b></b></label>
<input type="range" id="${id}-${k}" data-k="${k}" min="${low}" max="${high}" step="${step}"></div>`;
  return `<p class="h">Three ways to tell where a token stands</p>
<p class="hint">Move “shift both”: which numbers stay? Then choose another scheme.</p>
${radios("scheme", SCHEMES)}<div class="set">${Object.entries(SLIDERS).map(slider).join("")}${radios("style", STYLES)}</div>
<div class="grid"><div></div><div></div></div>
<p class="say" role="status"></p>
<div class="do"><button data-do="copy">Copy as Python</button><button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="Python"></textarea>
<details><summary>Numbers as a table</summary><table></table></details>`;
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
    let given = {};
    try { given = JSON.parse(this.getAttribute("state")) || {}; } catch { /* defaults */ }
    this.#base = read(given, DEFAULTS);
    count += 1;
    this.#key = count > 1 ? `${KEY}-${count}` : KEY;
    if (count === 1) document.head.insertAdjacentHTML("beforeend", `<style>${CSS}</style>`);
    this.innerHTML = frame(`${TAG}-${count}`);
    this.oninput = (e) => this.#typed(e.target);
    this.onclick = (e) => this.#pressed(e.target.dataset.do);
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #typed({ type, dataset: { k }, value }) {
    const x = type === "radio" ? value : k === "base" ? +(10 ** value).toPrecision(4) : +value;
    this.#show(read({ [k]: x }, this.#state), true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const views = VIEWS[state.scheme](state, r);
    for (const box of this.querySelectorAll("[data-for]")) {
      const k = box.dataset.for;
      box.hidden = NOT[k]?.includes(state.scheme);
      for (const input of box.querySelectorAll("input")) {
        if (input.type === "radio") input.checked = input.value === state[k];
        else {
          input.value = k === "base" ? Math.log10(state.base) : state[k];
          input.ariaValueText = box.querySelector("b").textContent = state[k].toLocaleString("en");
        }
      }
    }
    this.querySelectorAll(".grid > div").forEach((box, n) => {
      const [title, note, picture] = views[n];
      box.innerHTML = `<p class="h">${title} <span>${note}</span></p>${picture}`;
    });
    const fold = this.querySelector("details");
    fold.hidden = state.scheme === "alibi"; // its table is shown already
    fold.open ||= fold.hidden;
    fold.lastChild.innerHTML = table(state, r);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(write), write ? 400 : 0);
  }

  // once the reader pauses
  #settle(write) {
    this.querySelector(".say").textContent = VIEWS[this.#state.scheme](this.#state, this.result)[2];
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
