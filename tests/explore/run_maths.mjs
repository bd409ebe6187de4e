// Run the maths of a figure without a browser: a job on stdin, its answers on stdout.
// {"file", "states", "hashes", "base"} -> {"results", "states", "python", "defaults"}
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

const job = JSON.parse(readFileSync(0, "utf8"));
runInThisContext(readFileSync(job.file, "utf8"));
runInThisContext(readFileSync(job.file, "utf8")); // a second time must not matter
const figure = globalThis.ax[job.name];
const base = job.base ?? figure.DEFAULTS;
console.log(JSON.stringify({
  defaults: figure.DEFAULTS,
  results: job.states.map((state) => figure.compute(state)), // -Infinity becomes null
  python: job.states.map((state) => figure.python(state)),
  states: job.hashes.map((hash) => figure.fromHash(hash, job.key, base)),
}));
