"""Time the grader: a class of 100 for each assignment, and every case of the bench.

`python benchmarks/grading.py` grades 100 submissions an assignment, two at a time (70
right ones, each in other bytes, then stubs and expected wrong answers), then the bench
of hostile and damaged submissions, prints both tables and stores them under
`benchmarks/results/`. Wall clock is that of the machine as it is; CPU seconds are those
of all processes in the boxes. Nothing here is asserted in tests.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import torch
from timing import machine, store

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "grading")]

from bench import Bench, points_of, shortened  # noqa: E402

from attnbook.grading import batch  # noqa: E402
from attnbook.grading.assignments import find, load  # noqa: E402
from attnbook.grading.boxes.sandbox import choose  # noqa: E402
from attnbook.grading.intake.collect import Submission, collect  # noqa: E402
from attnbook.grading.releasing import gates, versions  # noqa: E402

STUDENTS, RIGHT, JOBS = 100, 70, 2


def students(assignment) -> list[Submission]:
    """Make a class: right answers, stubs, and the expected wrong ones in turn."""
    solved = versions.solved_version(assignment)
    trials = gates.trials(assignment, versions.student_version(assignment))
    wrong = [trial for trial in trials if not trial.name.startswith(("sol", "right"))]
    made = []
    for number in range(STUDENTS):
        notebook = solved if number < RIGHT else wrong[number % len(wrong)].notebook
        notebook = gates.with_answer(notebook, f"# student {number}")
        key = f"student{number:03}"
        made.append(
            Submission(
                key=key,
                student=key,
                file=f"{key}.ipynb",
                notebook=nbformat.writes(notebook).encode(),
                extras=gates.solution_files(assignment),
            )
        )
    return made


def time_class(name: str) -> dict:
    """Grade one class and return what it cost."""
    assignment = load(name, ROOT / "assignments")
    made = students(assignment)
    with tempfile.TemporaryDirectory() as kept:
        start = time.perf_counter()
        results = batch.grade_class(assignment, made, Path(kept), choose(), JOBS)
        seconds = time.perf_counter() - start
    right = sorted(result.cpu_seconds for result in results[:RIGHT])
    full = sum(r.earned == r.automatic_maximum for r in results[:RIGHT])
    return {
        "submissions": len(made),
        "right": RIGHT,
        "right with full marks": full,
        "wall seconds": round(seconds, 1),
        "cpu seconds of a right one, median": right[len(right) // 2],
        "cpu seconds of a right one, largest": right[-1],
    }


def time_bench(folder: Path) -> list[dict]:
    """Grade the bench and return a row per case."""
    assignment = load("a1", shortened(ROOT / "assignments", folder / "assignments"))
    bench = Bench(assignment, port=1)
    submissions = folder / "submissions"
    submissions.mkdir()
    for case in bench.cases:
        case.write(submissions)
    students = collect(submissions, "plain", assignment.files)
    results = batch.grade_class(assignment, students, folder / "kept", choose(), JOBS)
    by_file = {result.file: result for result in results}
    return [row(case, by_file[case.file]) for case in bench.cases]


def row(case, result) -> dict:
    """Return one line of the bench's table."""
    lost = isinstance(case.expect, tuple)
    return {
        "family": case.family,
        "case": case.name,
        "expected": f"loses {', '.join(case.expect)}" if lost else case.expect,
        "got": result.fault or sum(points_of(result).values()),
        "seconds": round(result.seconds, 1),
        "cpu seconds": round(result.cpu_seconds, 2),
    }


def main() -> None:
    """Measure, print, store."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--no-store", action="store_true")
    keep = not options.parse_args().no_store
    os.environ["ATTNBOOK_SALT"] = "a salt for timing"
    report = {"machine": machine(torch.device("cpu")), "jobs": JOBS}
    report["sandbox"] = choose().name
    with tempfile.TemporaryDirectory() as folder:
        names = find(ROOT / "assignments")
        report["classes"] = {name: time_class(name) for name in names}
        report["bench"] = time_bench(Path(folder))
    print(json.dumps(report["classes"], indent=1))
    for line in report["bench"]:
        print(" | ".join(map(str, line.values())))
    if keep:
        store("grading-cpu", report)


if __name__ == "__main__":
    main()
