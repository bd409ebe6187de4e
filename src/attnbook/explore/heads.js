// E6, chapter 5: heads divide the work, and one head cannot. <ax-heads>
(() => { // one function, its body not indented
"use strict";
const TAG = "ax-heads";
const KEY = "e6"; // in the address: #e6=h:2,o:1_2,x:1,t:6
const NUM_HEADS = [1, 2, 4, 8];
const [D, T, N] = [16, 6, 64]; // width, tokens, sequences
const LETTERS = "ABCDEFGH";
const DEFAULTS = { heads: 2, off: [], sequence: 1, token: 6 };
// heads.json, by tools/heads_figure.py: W_q, W_k, W_v, W_o as base64 of int8
const DATA = {"1":{"scale":0.03854,"weights":"4vbf+RATCP30+vj2+vr19v7j8xkR9f8IAf33AvkH//7p9Pv+Bgb38/r0/PLx+fL57d/sAxAH7O747Pr88u/y9hsA8BASAA0NBQEOCg0IBgzpBxwW9uYKB/4ECgn/AgcBBx736vgV+AgKAAcJAQoD//DS+hH8BO/x/f/8/f79+Pnv/BgD8wf+BPj4/vr9AvP6GBoABwTnEBEIEQYMCwj/APUIHCAD6A4IDQIKCAsLCwcjDfPz6/MC8/b3AAT5BQAB6ur9DBUJ9ffz9fjx8Pj49hsVCvfn7AwLDQUIAgAFBQoR6voDBh0JAwYHCggCCAn/4vgXAv0RCwQFAgANBwcEC+z78Q0iFAj7APwAAf8H//fz7wAf8ur3A//79wH5BQD89P8DBxAcAfAGAAT9/AT8AOvs/hUVJP7/AwIFCP/7/QYI9vQU9tj4AwDyBQIJBQP9ARQX/NrYAwv5/wQE9/4C+gkQ7OYYBv4MBPwDBQAEA/vu6g4WARwEAwAE/f0B+/sB+gAW9eoI+wf4/gL7AAT3/hEM+P3u3gP8AggBBQEB+P8KFRgF4NQL+Ab4AP0GAgL4EP7m8P4ZBfX6CP//+/z8Du/6CxIQFPoB/P0D/wAHAv8WCPbp2eYBAAQBAP34/vsJ/+8MDQ70CPwH+QQFBAYI7PwPHfoH8gH2BfT8CwQIAPvo+QgDC/UA+zvFPMPAACwx//0B/P0LAgY5LcbGzCYiMg8DDwP4Hg4FBjXcI+Xr0UP1Af8DBvT+/DHNxN07xD4lB/n+/vgU/wHDQ8YISLtILhH77vbzAP73zNQoyS4uMMkO/v/69gwBAM7LzTQmRsI1+vr/Bwv+Av5HQec60NfNy+n+BQkN8wQEPM7SzTPi0zoO/vXv7fr//DHOuzEwzzq/MwL79dw6Dg09Q0i8NcK9KfUCBgYL/wAA0Mk8NS7OvT/YAwoIE93++vI1us5GT73hGQTv+OsL/v8xwso3wzruDg/79Pb2Afv+NtXxxDc4xcjp+/0AEN/6/DjgFTMowNPEV0r7SqG7sWhZSTnD9EZUXLo+P8FV0b5HysNQwzK21NNUr8iwrzy16M+fTFCtsu4mtaomzge4R1PGTIlKvk+tWa6xyFRdSDLEUEsoQW2XW0sGMtKwk0xbzeK5icB/U1q0RC+uVmFJn8TNXYeor9+syipCVCI2yEDFNLtDPc0ZwrIBCAAF9Pv4BgESEPb6EQ8I7wgH9QXo4hX67PjuJ9rrBArx9PXvCPn58/kOB/f2/Qnz9AXyAvsLA/YT/QDwEAAI7vr9BAgQCfYBDxL+AAEOCPoA+/n9DQ/98AAH8wAXFfT9B/QBBxD5+vgYAfbyB/rzJhAMEQ3iDvMl3OchD/nl/g=="},"2":{"scale":0.01459,"weights":"uMPGH0IU9/n7+vr3+/vz9ThFqwZanwoJAAACCAgGBv7Ewi78ONzi5vjz+PHz8fT70LzJIVfV49ry8/L26u/5+Ma5rVZPQCMlEBQPCQ8NDA3KxGVpxKkHBv4AAAIBA//7y8q9RalX8PD18/f+9/r8+DxGrGi6qPr/EA4MCwsKChLw/BYU3O+QYe/1+fT0+vT2MSkrKjgWWVElNyctMCgkKvgcMjg1DHGzIx8iIx8oJyIwEuvo1dlyjff6/v35Bfz/0crg2g/mvb/U1M/IwtbKzS0uNRj8DEhKMSwxHh8qKSrgydcN4QlZneHk49ne2N3dx+om8eoDMqPp6+vu8ujo68HOI0oXJAAE+/78+wD4CgJKqAZan+4G8f/+AQH9A//30DgBRO1E++oE+QH5/AkDA8TGIFXaR/UHAwgDBQH79gm9qlZNPbb8+gH/AAIBA/78xGFjwp75CQb8AP8E//4A/MjBSLRlLA//AAIGAgIR/fxHqGW1nPYBDQH++/j//QMF9QIO8/Q1hn/x/gL4/wH59kgd9tW1mQT7+Q8HBP0I9/8xNC3qu6h0kwD6/vsHBgX8GerM9RAzb4H+AgYBAAIHA7HrGzJFY/75+wAKAPwI9gVTHO3Fq60AAgD2CQH8//sIv9UWJxYtb5oDCQoA//v6/OAgGPIcQleX9wH7BQEK+QH4+fr9/wcC/GCqSqir6V5D/Pz7+fkHAwhARJelq0lbPwUABgMCAw/8EsXLS+jIvlb8/v38/fv2+la4sh9PtUu1+fn6/f34/PWfYbLrV7BeRQH9AAL//wTyuMsvnldfS70EBAIFBgAABrmov0c9cqVA+vn7AP8CBPVTXbVZqka7tPf3+/4CBAkMVbijsUynLmoFBgL79PwFAzq8qT5RuFydCQkF/vr/DApnJmGiuLS4BgACAPv6Af79qpZYV2TLp18AAf/69/0B/wdoqKxdSacQBgYEBQH8//5apbNVmlexRAIBAwUHAv4ARZlPuEJhvZn49/r/BP7/AUMqAWFTqqO1XlIUTZS0r1QFBQb5AAMAB6lTwLBlx6BdAvT68gL29wpKksKrpT+2rwPyAP/18gICo6NRGuWeT1L9/fb++wP4CKil6FFhaEmf+xADCRD7/PfkTsayrV5sPf/8+f8GBgH1Y2K5SmtZm7T7Df/9/Pz59EVQZKpPt02uD/H9Af8A9wH5AQEB9f3+/UhEY68AZE5I7wID/Pj89vu/wSShZqKcLwH3/Pr9AAAEr7FdSbW2UAj4+fj9/fQE/7lKq0mlWLxo7v4J+/cK+f0+WL1NT6BEV/8A+AD9/QgCrLy0yUZjaqz+/AD+AAD8Aydov7CrsLuoAgIB/wL6BwBZoQZRD0eatg=="},"4":{"scale":0.01751,"weights":"4fj58fYJmUjx8e/t9vLv8tzl7QgD/MAB8e7y8/X08vHW0uPU3/AkhODg3uDj4eDh5eDk5e/uk/vh5uPm3t7k4NnNqU1o0QwMBAQDBAMDAwTNxmVbxaH29vv/+Pr7/fr6uLe5NLtj9vb7+vn5+vv591NZrlavqP8ACAoKCQkHCgcJECgZ/AGvYAsOEw4REwcRMDMrJiALf+QtLS0qMC0rL9DY8+fu4dfE3tzX2OHg2Nvw5+rezOVJjt3h5uLe5dziyc4QIRTv1fny8vDm6PDv8DcqBPr90jMBCwoIBgULBQzczuYZ/Qgqyfb19vPz8vf09ARJI+zfKRIJCgsQDQkOCuL8AQMhIKJl//z7/gQCAvzb7A4jECPXIvv2+f39BwD8veoII0hfVo/++vv8/gYB/8Pe/B46WMA7BAQHAfgC/gbZqFFi1c38/f8A/wL/AgEBxl9W0ZwSCQgA/v4A/wH//7TAO8lyLwcIAf3+AgAEAwBWp1OroPsCBQACAv4B/v//KQ8A5+j7lm39/gn6/wH8/kcg99KxmGWbBQIH/wMEAQPD8g8rQVQO9gQD/v8J/vz83On/Di1XYpD6/gb9/v/9/84JJhfxQOcR+v0FAwX9/QMz/e370tof4/79A////v8A0OcZ/xUfPcoAAQD6/fz6/xI9M/LN0/r5+v74AgADA/34+wD5/QQE+2OrSsyoIR0y/v/6/QD/AAtCO8TFtc5ANgYECAIBAgoAFkjBPsrItUT9/wD8//oB+RDRvbhP+00t+fn4+Pj29veRcZNMY6tiIvz8/P38Avf3rcFVrXBZS5QCAQECAv7//7CP9ndwZYkp+fr6+/sF+fk5bphzxWytkvr8+wD9AwcNXsa40kWs2FUCAQIC/gEGAj/PwkFAj12lBAIA////BwZlRlqgNqekwgAA/vwCBP8CxqxZUEusw1T2/QL+/gED++4449EzOMoNDAj8Cf/y//wsxssu00DcCgf8AQEG/PoDMNoC4SM0zsnx+fr7APn8+TIQDDwjwcvNAAwCBIqtrDr7/AH/6hAfI/8K+e19xZBsBwD6+yfe8AwF8//1il/1kwn4/fjo3AII9v/4BFeuf24D8v751hzlNwUDBgpxd3zA9gT7BSDjFxb8CPzzrVhnY/8FAQMgIhTR//sDBGxTgqv+AgP64Pzn3wH9Bv4xkTaPAgAFAQgL3NJRPxMLAP79/ktDXcbzMC4yqj9L0Pz+/wHP1kW1J8rZEELFwLr8/v//wMVWR+7bAQjLx0Gr/gH/AdZIqkLXJuowqbnGR/7+AAA5RzQ5JdcfGBnSyfkA/fz+tZOwritCONEaPrZC/P8AAthmsMLU3dPQKTY/KP39AP5Gq8pFBxHR5A=="},"8":{"scale":0.01945,"weights":"5d3TSLBOAAL8/v35/P78/cTM40JfzvT0+v38+Pz9+/vZ4j3KIhPx8f78/Pz/AP77yMDjNk8J8/L8APr//f/7/VJXiwJevgkKAgECAQIBAgMsLkZ0t54DAwIBAwACAQECubWcLhxu+/sA/AL9/gD//DY5n1+p0wIBBQcFCgcEBwgWKCYmIBjEZCMjJCQkJCQjLikiGxcOcdslJCYmJCUlJM/W39jg7KD70tHS0tHR0s766uPf4edehunp6enp6enowcUZPk7o+Pn9+v349vj//zYsCiPRxRMSBAQIAP8DBQIW/PYC//55nQwMDAwMDA0MIC4qGhYKOFkpJigoKCgpK+XUS7pIAwMDAfv8/P7+//zR3D9Y0iH8/Pr29/r2Bf732z3PIhMj+vn+AfgH/Qb++rzYL1UJDv7/BAD9BAEEAgFXg/VPw+v8/QX8/wEEAwEEJTVhqJX2CgoB/QABAQD//bWtOiJ4GQYGBP4C/gADAP89pF2Q2/0FBQIA/wEC/wH7Px4A5c20oGP+/wD/AP8CBDsY+NvBplioAAEDAQIBBQaz4AksTWzFQPv9+/3+/wEC3PACEyEwc4H9/fz9/v7//8UVN1jhF/39/PsBA/8B/gEsGB7JttoBAfwB/wUBBfz2CQL79vDqdJMAAAABAAEBAFQsB+bIqugL/wP+BQEIBgPs+/7+CAcB/Te8OtPD5ztH/AD4BAP4BAUfRbu2wzQsLgr7BvcDCAQB+iHg8/jVykv3BfoCBvwA/zjTvOA+4zMQ+Pf5Afv4+vqaTKNDS7ZbPAEA/gMD//37rOVGql9NTZoBAQD/BQL//7ul61VVU5068vz/AwEF//0oXa5jxVTHp/r6/v4ABAgIWbWjsEi4FWYDAwAB/P0DAxqxuRJduF6oAgL//Pj8BAVhH2WX7LK7A/7+/vv9AP7+npFfU27iuEv0Agf8/wMBAeU05cdDR8b7Egz2Cfrx/gArxsMo2kD4/wAAAAMEAAAAPp4xslNYv773+Pr8AP///i0rJVY3rLDFNyv4NJGtuScDAQH81y0BBbNUINBT559cAP4A+zG//QI4r+S4m1HsqgP5AP7fuv4BzK/w30quXF0B/vv7uif8BMG7+zxVZ2K7AgcF/kfX/v/hMtbjtVFVTAH+AP9HP/75PDDJMmlYlMD+Bf/8wgH9/EU3VAlFoEOg//8EAfj7/Pr/BP0I/AH8A0ciYKX5HkMx8QkL+vn+/v69uR+gDOajLgb16+r++wD/sLxiUgLoKybx9Qnx/AD8AboUokbpDrVZ8fb7D/r7/f4+ZPNbEe1VOAj98PQCAP4Awry75B0oYLH/AugJ/wD+AhNmx8Pu9rywAAYc//wADftVqwk9/v+7xA=="}};

// ---- the maths, without a document -------------------------------------------
const list = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const sum = (n, f) => list(n, f).reduce((a, b) => a + b, 0);

let seed = 6;
const draw = (n) => (seed = (seed * 16807) % 2147483647) % n;
const SEQUENCES = list(N, () => {
  const deck = list(8, (i) => i);
  const letters = list(T, () => deck.splice(draw(deck.length), 1)[0]);
  const shapes = list(T, () => draw(2));
  const places = list(T, (t) => [Math.max(t - 1, 0), shapes.indexOf(shapes[t])]);
  return { shapes, letters, places, answers: places.map((p) => p.map((s) => letters[s])) };
});

const softmax = (row) => {
  const exp = row.map((s) => Math.exp(s - Math.max(...row)));
  const total = exp.reduce((a, b) => a + b);
  return exp.map((e) => e / total);
};

const keep = (f, kept = {}) => (H) => (kept[H] ||= f(H));

// Weights (H, T, T) and contributions (H, T, D) of each sequence.
const attend = keep((H) => {
  const { scale, weights: text } = DATA[H];
  const W = Int8Array.from(atob(text), (c) => c.charCodeAt());
  const w = (row, column) => W[row * D + column] * scale;
  const size = D / H;
  return SEQUENCES.map(({ shapes, letters }) => {
    const qkv = list(3 * D, (r) => list(T, (t) =>
      w(r, t) + w(r, T + shapes[t]) + w(r, T + 2 + letters[t])));
    const weights = list(H, (h) => list(T, (t) => softmax(list(T, (s) =>
      sum(size, (d) => qkv[h * size + d][t] * qkv[D + h * size + d][s]) / Math.sqrt(size)))));
    const contributions = weights.map((map, h) => map.map((row) => {
      const context = list(size, (d) => sum(T, (s) => row[s] * qkv[2 * D + h * size + d][s]));
      return list(D, (o) => sum(size, (d) => context[d] * w(3 * D + o, h * size + d)));
    }));
    return { weights, contributions };
  });
});

const outOf = (parts, on, t) => list(D, (o) =>
  sum(parts.length, (h) => (on(h) ? parts[h][t][o] : 0)));
const best = (row) => [row.slice(0, 8), row.slice(8)].map((r) => r.indexOf(Math.max(...r)));

// Means over all tokens that need two different places.
const mean = (H, f) => {
  const all = SEQUENCES.flatMap((q, n) => q.places.flatMap(([b, g], t) =>
    (b === g ? [] : [f(attend(H)[n], q, t)])));
  return all[0].map((_, i) => sum(all.length, (j) => all[j][i]) / all.length);
};
const right = (H, on) => mean(H, (m, q, t) => {
  if (!list(H, on).some((x) => x)) return [0, 0, 0]; // zeros name no letter
  const [b, f] = best(outOf(m.contributions, on, t)).map((l, i) => +(l === q.answers[t][i]));
  return [b, f, b * f];
});
const study = keep((H) => ({ // what no switch changes
  share: list(H, (h) => mean(H, (m, q, t) => q.places[t].map((s) => m.weights[h][t][s]))),
  all: right(H, () => true),
}));

const compute = ({ heads, off, sequence }) => {
  const { weights, contributions } = attend(heads)[sequence - 1];
  const on = (h) => !off.includes(h + 1);
  const out = list(T, (t) => outOf(contributions, on, t));
  const { share } = study(heads);
  return { weights, contributions, out, predicted: out.map(best),
    answers: SEQUENCES[sequence - 1].answers, right: right(heads, on).slice(0, 2),
    before: share.map((s) => s[0]), first: share.map((s) => s[1]),
    both: NUM_HEADS.map((H) => study(H).all[2]) };
};

const whole = (x, most, otherwise) =>
  Number.isInteger(x) && x >= 1 && x <= most ? x : otherwise;

const read = (given, base) => {
  const heads = NUM_HEADS.includes(given.heads) ? given.heads : base.heads;
  const off = Array.isArray(given.off) ? given.off : base.off;
  return { heads,
    off: [...new Set(off.filter((h) => whole(h, heads)))].sort((a, b) => a - b),
    sequence: whole(given.sequence, N, base.sequence),
    token: whole(given.token, T, base.token) };
};

const fromHash = (hash, key, base) => {
  const part = hash.slice(1).split("&").find((p) => p.startsWith(key + "="));
  if (!part) return null;
  const { h, o, x, t } = Object.fromEntries(
    part.slice(key.length + 1).split(",").map((p) => p.split(":")));
  return read({ heads: +h, off: o?.split("_").map(Number), sequence: +x, token: +t }, base);
};

const toHash = (s) => `h:${s.heads},o:${s.off.join("_")},x:${s.sequence},t:${s.token}`;

const python = ({ heads, off, sequence, token }) => `import numpy as np
from attnbook import explore

off = [${off}]  # heads, from 1
result = explore.heads(${heads}, off, ${sequence}, ${token}).result
weights, contributions = result["weights"], result["contributions"]
on = [h for h in range(${heads}) if h + 1 not in off]
out = contributions[on].sum(axis=0)
print(np.round(weights, 3))
print(np.round(out[${token - 1}].reshape(2, 8), 2))
`;

(globalThis.ax ||= {}).heads = { DEFAULTS, compute, fromHash, python };
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
--w:var(--ab-weights,light-dark(#7b3fa0,#cb9eea));
--o:var(--ab-out,light-dark(#37474f,#b4c2c9));
*{box-sizing:border-box}
p{margin:0}
sub,sup{line-height:0}
.h{font-weight:650}
.hint,small,legend,.under{font-weight:400;font-size:.85rem;color:var(--soft)}
.set,fieldset,.do{display:flex;flex-wrap:wrap;gap:.1rem 1rem;align-items:end;margin:.6rem 0}
fieldset{border:0;padding:0;min-width:0;margin:0}
legend{padding:0}
label{display:flex;gap:.35rem;align-items:center;min-height:1.75rem}
input{width:1.5rem;height:1.5rem;margin:0;accent-color:var(--w)}
.maps{display:grid;gap:.6rem 1rem;grid-template-columns:repeat(auto-fill,minmax(min(8.1rem,46%),1fr))}
.maps{margin-bottom:.6rem}
.maps>div{max-width:11rem}
.maps p:first-child{min-height:1.75rem}
[hidden]{display:none!important}
.one{border-right:2px dashed var(--line);padding-right:.5rem;margin-right:-.5rem}
.off svg{opacity:.35}
.off label span{text-decoration:line-through;color:var(--soft)}
svg{display:block;width:100%;height:auto;overflow:visible}
text{fill:var(--fg);font-size:11px}
.two{display:grid;gap:1rem;margin:1rem 0}
table{border-collapse:collapse;font-size:.77rem;margin:0;width:100%;table-layout:fixed}
caption{caption-side:top;text-align:left;padding:0 0 .2rem;color:var(--fg);font-size:1rem;line-height:1.4}
td,th{padding:.12rem .1rem;text-align:right;font-weight:400;border:0;border-bottom:1px solid var(--line);
background:none;color:inherit;white-space:nowrap;overflow-wrap:normal}
thead th{color:var(--soft)}
tr>:first-child{width:3.3rem}
th:first-child{text-align:left;color:var(--soft)}
td{background:color-mix(in srgb,var(--o) calc(var(--p,0)*1%),transparent)}
.gone :is(td,th){color:var(--soft);background:none;text-decoration:line-through}
.sum :is(td,th){font-weight:650;border-top:2px solid var(--o);color:var(--fg)}
.sum .best{outline:2px solid var(--w);outline-offset:-2px}
.say{padding:.2rem .8rem;margin:.8rem 0;border-left:4px solid var(--w);min-height:5rem}
button{font:inherit;font-size:.9rem;padding:.25rem .8rem;min-height:2rem;color:inherit;
background:none;border:1px solid var(--soft);border-radius:.4rem;cursor:pointer}
:focus-visible{outline:3px solid var(--w);outline-offset:2px}
.code{width:100%;height:12rem}
@media (max-width:40rem){.one{grid-column:1/-1;order:1;border:0}.say{min-height:8rem}table{font-size:.7rem}tr>:first-child{width:2.6rem}}
@media (max-width:23rem){table{font-size:.6rem}}
@media print{.do,.code{display:none}}}`;

const show = (x, digits) => (+x.toFixed(digits) || 0).toFixed(digits).replace("-", "−");
const percent = (x) => `${x < 1 ? Math.min(99, Math.round(100 * x)) : 100} %`;
const name = (n, t) => "▲◆"[SEQUENCES[n - 1].shapes[t]] + LETTERS[SEQUENCES[n - 1].letters[t]];
const join = (all) => [all.slice(0, -1).join(", "), all.at(-1)].filter(Boolean).join(" and ");
const those = (all) => all.length && `head${all.length > 1 ? "s" : ""} ${join(all)}`;

const map = (weights, { sequence, token }, title) => {
  const [left, top, size] = [30, 18, 20];
  const words = list(T, (t) => name(sequence, t));
  const cells = weights.map((row, t) => {
    const y = top + t * size;
    const [b, f] = SEQUENCES[sequence - 1].places[t];
    const ink = (s) => `fill="none" stroke-width="1.5" stroke="var(--${row[s] > 0.55 ? "bg" : "fg"})"`;
    const x = (s) => left + s * size;
    return `<text x="${left - 5}" y="${y + 14}" text-anchor="end"${
      t === token - 1 ? ' font-weight="800"' : ""}>${words[t]}</text>`
      + row.map((p, s) => `<rect x="${x(s)}" y="${y}" width="${size}" height="${size}"
      fill="var(--w)" fill-opacity="${p.toFixed(3)}" stroke="var(--line)" stroke-width=".7"/>`).join("")
      + `<circle cx="${x(b) + 10}" cy="${y + 10}" r="3.6" ${ink(b)}/>
      <path d="M${x(f) + 3.5} ${y + 3.5}h13v13h-13z" ${ink(f)}/>`;
  });
  return `<svg viewBox="0 0 154 142" role="img" aria-label="${title}: token ${token} looks at ${
    weights[token - 1].map((p, s) => `${words[s]} ${show(p, 2)}`).join(", ")}">${
    words.map((w, s) => `<text x="${left + s * size + 10}" y="12" text-anchor="middle">${w}</text>`).join("")}${
    cells.join("")}<rect x="${left}" y="${top + (token - 1) * size}" width="${T * size}" height="${size}"
    fill="none" stroke="var(--fg)" stroke-width="2"/></svg>`;
};

const under = ([b, f]) => `○ ${show(b, 2)} &nbsp; □ ${show(f, 2)}`;

// What each head adds to the 8 scores of question i, and their sum.
const parts = (state, r, i) => {
  const t = state.token - 1;
  const cut = (row) => row.slice(8 * i, 8 * i + 8);
  const top = Math.max(...r.contributions.flatMap((c) => cut(c[t])), ...cut(r.out[t]), 1e-9);
  const line = (title, row, kind, winner) => `<tr class="${kind}"><th scope="row">${title}</th>${
    cut(row).map((x, l) => `<td style="--p:${(45 * Math.max(x, 0) / top).toFixed()}"${
      l === winner ? ' class="best"' : ""}>${show(x, 1)}</td>`).join("")}</tr>`;
  const none = state.off.length === state.heads;
  const [got, asked] = [r.predicted[t][i], r.answers[t][i]];
  const answer = none ? "no answer" : `<b>${LETTERS[got]} ${got === asked ? "✓" : `✗ (it is ${LETTERS[asked]})`}</b>`;
  return `<table><caption>${["○ Letter before me", "□ Letter of the first of my shape"][i]}: ${answer}</caption>
    <thead><tr><td></td>${[...LETTERS].map((l) => `<th scope="col">${l}</th>`).join("")}</tr></thead><tbody>${
    r.contributions.map((c, h) => line(`head ${h + 1}`, c[t], state.off.includes(h + 1) ? "gone" : "")).join("")}${
    line("sum", r.out[t], "sum", none ? -1 : got)}</tbody></table>`;
};

const say = (s, r) => {
  const { all } = study(s.heads);
  const jobs = (share) => list(s.heads, (h) => h + 1).filter((h) => share[h - 1] > 0.5);
  const work = [r.before, r.first].map((share) => those(jobs(share)) || "no head");
  const falls = r.right.map((x, i) => (x === all[i] ? "" :
    `${"○□"[i]} ${x < all[i] ? "falls" : "rises"} from ${percent(all[i])} to ${percent(x)}`)).filter(Boolean);
  return s.off.length === s.heads ? "All heads are off: the output is zero and names no letter."
    : s.off.length ? `Without ${those(s.off)}, ${join(falls) || "no answer changes"}.`
    : s.heads === 1 ? "One map serves both questions: one mixture cannot say which letter answers which."
    : `Mostly on ○: ${work[0]}. Mostly on □: ${work[1]}.`;
};

const frame = (id) => {
  const radio = (kind, value) => `<label><input type="radio" name="${id}-${kind}"
    data-k="${kind}" value="${value}"><span data-at="${kind}${value}"></span></label>`;
  const box = (title, h) => `<div data-head="${h}"${h ? "" : ' class="one"'}>${title}
    <div data-at="map${h}"></div><p class="under" data-at="under${h}"></p></div>`;
  return `<p class="h">Heads divide the work</p>
<p class="hint"><b>Choose the number of heads, then switch one off.</b> Every token asks two questions: ○ which letter
stands before me (token 1: its own), and □ which letter has the first token of my shape?</p>
<div class="set"><fieldset><legend>Heads (both answers right)</legend>${NUM_HEADS.map((n) => radio("heads", n)).join("")}</fieldset>
<fieldset><legend>Token that asks</legend>${list(T, (t) => radio("token", t + 1)).join("")}</fieldset>
<button data-do="next">Another sequence</button></div>
<p class="hint" data-at="shape"></p>
<div class="say"><p data-at="got"></p><p role="status"></p></div>
<div class="maps">${list(9, (h) => box(h ? `<label><input type="checkbox" value="${h}"><span>Head ${h}</span></label>`
    : "<p>One head alone</p>", h)).join("")}</div>
<p class="hint">Rows ask, columns are looked at: more colour, more weight. Under each map, its weight on ○ and □, mean over ${N} sequences.
The tables show what head i adds to the output, C<sub>i</sub> W<sub>O</sub><sup>i</sup>, and the sum.</p>
<div class="two"><div data-at="parts0"></div><div data-at="parts1"></div></div>
<div class="do"><button data-do="copy">Copy as Python</button><button data-do="reset">Reset</button></div>
<textarea class="code" readonly hidden aria-label="Python"></textarea>`;
};

// ---- the element -------------------------------------------------------------
let elements = 0;

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

  #at = (name) => this.querySelector(`[data-at=${name}]`);

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
    elements += 1;
    this.#key = elements > 1 ? `${KEY}-${elements}` : KEY;
    if (elements === 1) document.head.insertAdjacentHTML("beforeend", `<style>${CSS}</style>`);
    this.innerHTML = frame(`${TAG}-${elements}`);
    this.oninput = (e) => this.#typed(e.target);
    this.onclick = (e) => this.#pressed(e.target.dataset.do);
    this.#show(this.#base);
    this.#follow();
    this.dataset.ready = "";
  }

  #typed({ dataset: { k }, value, checked }) {
    const { off } = this.#state;
    this.#show({ ...this.#state, ...(k ? { [k]: +value, off: k === "heads" ? [] : off }
      : { off: checked ? off.filter((h) => h !== +value) : [...off, +value].sort() }) }, true);
  }

  #show(state, write) {
    this.#state = state;
    const r = compute(state);
    const size = D / state.heads;
    this.querySelectorAll("input").forEach((e) => {
      const { k } = e.dataset;
      e.checked = k ? state[k] === +e.value : !state.off.includes(+e.value);
    });
    NUM_HEADS.forEach((n, i) => (this.#at(`heads${n}`).innerHTML = `${n} <small>${percent(r.both[i])}</small>`));
    list(T, (t) => (this.#at(`token${t + 1}`).textContent = name(state.sequence, t)));
    this.#at("shape").innerHTML = `Width of a head: d<sub>h</sub> = d / h = ${D} / ${state.heads} = <b>${size}</b>.
      Parameters without biases: 4 · ${D}² = <b>1,024</b>, however many heads.`;
    this.#at("got").innerHTML = `Right answers: ${state.off.length === state.heads ? "<b>none</b>"
      : r.right.map((x, i) => `${"○□"[i]} <b>${percent(x)}</b>`).join(" &nbsp; ")}
      <small>over ${N} sequences, where ○ and □ are different tokens</small>`;
    for (const box of this.querySelectorAll("[data-head]")) {
      const h = +box.dataset.head;
      box.hidden = h ? h > state.heads : state.heads === 1;
      if (box.hidden) continue;
      box.classList.toggle("off", state.off.includes(h));
      this.#at(`map${h}`).innerHTML = h ? map(r.weights[h - 1], state, `Head ${h}`)
        : map(attend(1)[state.sequence - 1].weights[0], state, "One head alone");
      this.#at(`under${h}`).innerHTML = under(h ? [r.before[h - 1], r.first[h - 1]] : study(1).share[0]);
    }
    for (const i of [0, 1]) this.#at(`parts${i}`).innerHTML = parts(state, r, i);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(write), write ? 400 : 0);
  }

  // Once the reader pauses: say it, and note the state in the address.
  #settle(write) {
    this.querySelector("[role=status]").textContent = say(this.#state, this.result);
    if (!write) return;
    const others = location.hash.slice(1).split("&")
      .filter((p) => p.includes("=") && !p.startsWith(this.#key + "="));
    const hash = "#" + [...others, `${this.#key}=${toHash(this.#state)}`].join("&");
    try { history.replaceState(history.state, "", hash); } catch { /* a sandboxed frame */ }
  }

  #pressed(what) {
    if (what === "next") this.#show({ ...this.#state, sequence: (this.#state.sequence % N) + 1 }, true);
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
