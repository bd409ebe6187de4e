// What the pages do beyond being read; each of them reads without this script.
(function () {
  "use strict";
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  root.classList.add("js");

  function keep(key, value) {
    try { localStorage.setItem(key, value); } catch (error) { /* private window */ }
  }

  function chooseColours() {
    const button = document.querySelector(".ab-theme");
    const label = button.querySelector(".ab-mode");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const apply = () => {
      const mode = root.dataset.mode;
      const dark = mode === "dark" || (mode === "auto" && system.matches);
      root.dataset.theme = dark ? "dark" : "light";
      label.textContent = mode;
    };
    button.addEventListener("click", () => {
      const modes = ["auto", "light", "dark"];
      root.dataset.mode = modes[(modes.indexOf(root.dataset.mode) + 1) % 3];
      keep("mode", root.dataset.mode);
      apply();
    });
    system.addEventListener("change", apply);
    apply();
  }

  function openMenu() {
    const button = document.querySelector(".ab-menu");
    const show = (open) => {
      root.classList.toggle("ab-menu-open", open);
      button.setAttribute("aria-expanded", String(open));
    };
    button.addEventListener("click", () => show(!root.classList.contains("ab-menu-open")));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && root.classList.contains("ab-menu-open")) {
        show(false);
        button.focus();
      }
    });
  }

  function focusSearch() {
    const field = document.querySelector(".ab-search input");
    document.addEventListener("keydown", (event) => {
      const asked = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey);
      if (!asked || event.altKey || event.shiftKey) return;
      event.preventDefault();
      field.focus();
      field.select();
    });
  }

  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }

  function addCopyButtons() {
    for (const block of all(".cell_input .highlight, article > section div[class*=highlight-] > .highlight")) {
      if (block.querySelector(".ab-copy") || block.closest(".cell_output")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "ab-button ab-copy";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await copy(block.querySelector("pre").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
      block.append(button);
    }
  }

  // What scrolls sideways must be reachable by keyboard, and only while it scrolls.
  function reachScrollers() {
    const kinds = [
      [".katex-display", "Formula"],
      ["pre", "Code"],
      [".text_html, .ab-scroll", "Output"],
      [".cell_output", "Figure"],
    ];
    const markMore = ({ currentTarget: box }) => {
      const left = box.scrollWidth - box.clientWidth - box.scrollLeft;
      box.classList.toggle("ab-more", left > 1);
    };
    const check = (box, name) => {
      markMore({ currentTarget: box });
      if (box.scrollWidth > box.clientWidth + 1) {
        box.addEventListener("scroll", markMore, { passive: true });
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", name + ", scrolls sideways");
      } else if (box.tabIndex === 0) {
        for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
      }
    };
    const checkAll = () => {
      for (const [selector, name] of kinds) {
        for (const box of all(selector, document.querySelector("article"))) check(box, name);
      }
    };
    let waiting;
    const soon = () => {
      clearTimeout(waiting);
      waiting = setTimeout(checkAll, 100);
    };
    addEventListener("resize", soon);
    document.addEventListener("toggle", soon, true);
    document.fonts.ready.then(checkAll);
    checkAll();
  }

  function openForPrint() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = all("article details:not([open])");
      for (const fold of opened) fold.open = true;
    });
    addEventListener("afterprint", () => {
      for (const fold of opened) fold.open = false;
    });
  }

  function followReading() {
    const links = new Map(all(".ab-contents a").map((a) => [a.hash.slice(1), a]));
    const sections = all("article section[id]").filter((s) => links.has(s.id));
    let waiting = false;
    const mark = () => {
      waiting = false;
      const passed = sections.filter((s) => s.getBoundingClientRect().top < 120);
      const current = passed.length ? passed[passed.length - 1].id : "";
      for (const [id, link] of links) {
        if (id === current) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    };
    addEventListener("scroll", () => {
      if (!waiting) requestAnimationFrame(mark);
      waiting = true;
    }, { passive: true });
    mark();
  }

  function readOffline() {
    const secure = location.protocol.startsWith("http") && "serviceWorker" in navigator;
    if (!secure) return;
    addEventListener("load", () => {
      navigator.serviceWorker.register(root.dataset.content_root + "sw.js").catch(() => {});
    });
  }

  chooseColours();
  openMenu();
  focusSearch();
  addCopyButtons();
  reachScrollers();
  openForPrint();
  followReading();
  readOffline();
})();
