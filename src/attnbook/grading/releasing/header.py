"""The cell below an assignment's title: aims, time, points and rules, from the toml.

It is made, never typed, so that the points that students read are those that the
judges give.
"""

from attnbook.grading.assignments import Assignment, Question
from attnbook.grading.intake.reading import PLACEHOLDER

COLAB = "https://colab.research.google.com/github"
GITHUB = "https://github.com/"
FOLDER = "notebooks/assignments"
CARRIED = (
    "A mistake counts once between questions: where an answer calls an earlier one "
    "that is wrong, it is tried again with a right one."
)


def header(assignment: Assignment, repository: str = "", branch: str = "main") -> str:
    """Return the header as Markdown, without a link where there is no repository."""
    link = [_link(assignment.name, repository, branch)] if repository else []
    blocks = [*link, opening(assignment), points_table(assignment), rules(assignment)]
    return "\n\n".join(blocks)


def opening(assignment: Assignment) -> str:
    """Return aims, chapters, time and difficulty."""
    *most, last = [aim.rstrip(".;") for aim in assignment.objectives]
    aims = "\n".join([*(f"- {aim};" for aim in most), f"- {last}."])
    return f"**After this assignment you can**\n\n{aims}\n\n{_facts(assignment)}"


def points_of(assignment: Assignment, question: Question) -> float:
    """Return what a question can bring."""
    if question.text:
        return question.points
    mine = (check for check in assignment.checks if check.question == question.id)
    return sum(check.points for check in mine)


def points_table(assignment: Assignment) -> str:
    """Return the table of questions, points and how each is marked."""
    lines = ["| Question | Points | Marked |", "| --- | --- | --- |"]
    for question in assignment.questions:
        how = "by a person" if question.text else "by hidden checks"
        title = f"{question.id}. {question.title}".replace("|", "\\|")
        lines.append(f"| {title} | {number(points_of(assignment, question))} | {how} |")
    lines.append(f"| **All** | **{number(assignment.points)}** | |")
    return "\n".join(lines)


def rules(assignment: Assignment) -> str:
    """Return what students must know about handing in and marking."""
    limits = assignment.limits
    names = [name for question in assignment.questions for name in question.names]
    uses = any(question.uses for question in assignment.questions)
    carried = f"\n- {CARRIED}" if uses else ""
    files = "".join(
        f" and `{name}` (at most {size / 1e6:g} MB)"
        for name, size in assignment.files.items()
    )
    return f"""**Rules**

- Write your answers where `raise NotImplementedError("write me")`, `None` or \
*{PLACEHOLDER}* stands. Add cells as you like.
- Answers are found by the names they define: {_listed(names)}. Do not rename them, \
and keep their arguments.
- The visible checks tell you first what is wrong; they bring no points. Hidden checks \
give the points: they call your functions with other numbers after you have handed \
in.{carried}
- Everything runs on Colab; there is nothing to install or to download. NumPy, \
PyTorch, Matplotlib, scikit-learn, safetensors and tqdm are there.
- When it is marked, the notebook runs from top to bottom on a CPU, without a network. \
A cell may take {number(limits.cell_seconds)} seconds, everything together \
{number(limits.total_seconds)}.
- Hand in the `.ipynb` file{files} (on Colab: File, Download, Download .ipynb)."""


def number(value: float) -> str:
    """Write points and seconds without needless zeros."""
    return f"{value:g}"


def _link(name: str, repository: str, branch: str) -> str:
    place = repository.removeprefix(GITHUB).removesuffix(".git").strip("/")
    address = f"{COLAB}/{place}/blob/{branch}/{FOLDER}/{name}.ipynb"
    return f"[Open this assignment on Colab]({address})"


def _facts(assignment: Assignment) -> str:
    chapters = [str(chapter) for chapter in assignment.chapters]
    word = "chapter" if len(chapters) == 1 else "chapters"
    due = f" **Due:** {assignment.due}." if assignment.due else ""
    return (
        f"**You need** {word} {_joined(chapters)}. "
        f"**Time:** {_time(assignment.minutes)}. "
        f"**Difficulty:** {assignment.difficulty}.{due}"
    )


def _time(minutes: int) -> str:
    """Write a time as minutes, or rounded to half an hour."""
    if minutes < 100:
        return f"about {minutes} minutes"
    return f"about {round(minutes / 30) / 2:g} hours"


def _listed(names: list[str]) -> str:
    return _joined([f"`{name}`" for name in names])


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
