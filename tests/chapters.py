"""How the tests read a chapter: its prose, its code, its exercises."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if re.match(r"\d\d_", path.name)]

SOLUTION = re.compile(
    r"<summary>\s*Solution (\d+\.\d+)\b.*?</summary>(.*?)</details>", re.S
)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.S | re.M)


def read(path: Path) -> NotebookNode:
    """Read a notebook as nbformat 4."""
    return nbformat.read(path, as_version=4)


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(notebook: NotebookNode) -> str:
    """Return all Markdown of a notebook."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return "\n\n".join(cells)


def parse(source: str) -> ast.Module:
    """Parse a code cell as Python 3.11; IPython's % and ! lines count as `pass`."""
    plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M)
    return ast.parse(plain, feature_version=(3, 11))


def calls_in(tree: ast.AST, name: str) -> list[ast.Call]:
    """Return the calls of a function by its plain name in some code."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def calls(notebook: NotebookNode, name: str) -> list[ast.Call]:
    """Return the calls of a function in a whole notebook."""
    trees = (parse(cell.source) for cell in code_cells(notebook))
    return [call for tree in trees for call in calls_in(tree, name)]


def imported(tree: ast.Module) -> set[str]:
    """Return the top-level modules that code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def outside_folds(markdown: str) -> str:
    """Return Markdown without what is folded away: hints and solutions."""
    return re.sub(r"<details.*?</details>", "", markdown, flags=re.S)


def prose_words(markdown: str) -> int:
    """Count words as a reader does: no code, no displayed maths, no addresses."""
    markdown = FENCE.sub("", outside_folds(markdown))
    markdown = re.sub(r"\$\$.*?\$\$", "", markdown, flags=re.S)
    markdown = re.sub(r"\$[^$\n]+\$|`[^`\n]+`", "x", markdown)
    markdown = re.sub(r"\]\([^)]*\)|<[^>]+>", "", markdown)
    return len(re.findall(r"[\w’'-]*\w[\w’'-]*", markdown))


@dataclass
class Exercise:
    """What stands between the solution before and this exercise's own solution."""

    id: str
    solution: str
    hints: list[str]
    cells: list[NotebookNode] = field(default_factory=list)

    @property
    def code(self) -> str:
        """The Python of the worked solution."""
        return "\n".join(body for kind, body in FENCE.findall(self.solution) if kind)

    @property
    def check(self) -> ast.Call | None:
        """The call `check("N.M", …)` of this exercise, if it has one."""
        trees = (parse(cell.source) for cell in self.cells)
        found = [call for tree in trees for call in calls_in(tree, "check")]
        return found[0] if found else None

    @property
    def stub(self) -> str:
        """The code that a reader is to fill in: all but the check."""
        lines = [line for cell in self.cells for line in parse(cell.source).body]
        stubs = (line for line in lines if not calls_in(line, "check"))
        return "\n".join(ast.unparse(line) for line in stubs)


def before_exercises(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells before the section "Exercises"."""
    heading = re.compile(r"^## Exercises", re.M)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and heading.search(cell.source):
            return notebook.cells[:number]
    return notebook.cells


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Cut the section "Exercises" into exercises, each ending with its solution."""
    found, cells, before = [], [], ""
    for cell in notebook.cells[len(before_exercises(notebook)) :]:
        if cell.cell_type == "code":
            cells.append(cell)
            continue
        end = 0
        for match in SOLUTION.finditer(cell.source):
            before += cell.source[end : match.start()]
            hints = re.findall(r"<summary>\s*(Hint \d)\s*</summary>", before)
            found.append(Exercise(match[1], match[2], hints, cells))
            before, cells, end = "", [], match.end()
        before += cell.source[end:]
    return found


def first_names(notebook: NotebookNode) -> dict:
    """Run the chapter's import cells: imports, and the plain lines beside them."""
    names: dict = {"__name__": "chapter"}
    for cell in code_cells(notebook):
        tree = parse(cell.source)
        plain = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr, ast.If, ast.Try)
        if imported(tree) and all(isinstance(node, plain) for node in tree.body):
            exec(compile(tree, "imports", "exec"), names)
    return names
