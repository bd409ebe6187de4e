// Typeset a batch of formulas: [[tex, display], …] on stdin, one result each on stdout.
const katex = require("katex");

function typeset([tex, displayMode]) {
  try {
    const options = { displayMode, strict: "error", trust: false };
    return { html: katex.renderToString(tex, options) };
  } catch (error) {
    return { error: error.message };
  }
}

const formulas = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(formulas.map(typeset)));
