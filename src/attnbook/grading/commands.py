"""What the four commands do, once their options are read."""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from attnbook.grading import batch
from attnbook.grading.assignments import Assignment, find, load
from attnbook.grading.boxes.doctor import describe, examine
from attnbook.grading.boxes.sandbox import BACKENDS, choose
from attnbook.grading.intake import collect
from attnbook.grading.releasing.release import ReleaseRefused
from attnbook.grading.releasing.release import release as release_one
from attnbook.grading.reports import gradescope, report, sheets
from attnbook.grading.reports.faults import GRADER_FAILED
from attnbook.grading.reports.feedback import write_feedback
from attnbook.grading.results import Result

RESULTS = "results.json"  # what `merge` reads
KEPT = ".kept"  # finished results, so that a second run is quick
MARK = "unsafe"  # an empty file: something in here was run without a sandbox


def release(options: argparse.Namespace) -> int:
    """Make student and instructor notebooks, once every gate holds."""
    config = yaml.safe_load(options.config.read_text("utf-8"))["repository"]
    refused = False
    for name in options.names or find(options.assignments):
        try:
            paths = release_one(
                load(name, options.assignments),
                notebooks=options.notebooks,
                out=options.out,
                repository=config["url"],
                branch=config["branch"],
                for_nbgrader=options.nbgrader,
                backend=choose(options.backend),
                jobs=options.jobs,
            )
        except ReleaseRefused as error:
            print(error, file=sys.stderr)
            refused = True
        else:
            print("\n".join(map(str, paths)))
    return int(refused)


def grade(options: argparse.Namespace) -> int:
    """Grade a zip file or a folder: marks, feedback, a report."""
    assignment = load(options.name, options.assignments)
    backend = warned_backend() if options.unsafe else choose(options.backend)
    say_if_public(assignment)
    part, parts = options.shard
    everything = collect.collect(options.submissions, options.names, assignment.files)
    mine = [s for s in everything if number_of(s.key, parts) == part - 1]
    options.out.mkdir(parents=True, exist_ok=True)
    if options.unsafe:
        (options.out / MARK).touch()
    results = batch.grade_class(
        assignment, mine, options.out / KEPT, backend, options.jobs
    )
    write(results, assignment, options.out, options.gradescope)
    return summary(results, options.out)


def warned_backend():
    """Say what is lost without a sandbox, and return the back-end that has none."""
    print(
        "WITHOUT A SANDBOX: each submission can read, change and delete whatever you "
        "can,\nuse the network, and change other students' marks. marks.csv says so.",
        file=sys.stderr,
    )
    return BACKENDS["unsafe"]


def say_if_public(assignment: Assignment) -> None:
    """Warn where anybody can compute the hidden inputs."""
    if assignment.salt_is_public:
        print(
            f"{assignment.name}: the hidden inputs come from the public salt. Put a "
            f"line of your own into {assignment.folder.parent / 'salt.txt'}, and "
            "keep that file out of git.",
            file=sys.stderr,
        )


def number_of(key: str, parts: int) -> int:
    """Return which of `parts` shards a student belongs to, whatever else is there."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % parts


def write(
    results: Sequence[Result], assignment: Assignment, out: Path, for_gradescope: bool
) -> None:
    """Write what `merge` reads, then everything that people read."""
    records = [json.loads(result.to_json()) for result in results]
    (out / RESULTS).write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    unsafe = (out / MARK).exists()
    sheets.write_marks(results, out / "marks.csv", unsafe=unsafe)
    sheets.write_free_text(results, out / "free_text.csv")
    for result in results:
        write_feedback(result, assignment, out / "feedback")
        if for_gradescope:
            gradescope.write(result, assignment, out / "gradescope")
    report.write_report(results, assignment, out / "report.html", unsafe=unsafe)


def summary(results: Sequence[Result], out: Path) -> int:
    """Print what came out; 1 if the grader failed on something."""
    faults = [result for result in results if result.fault]
    failed = [r for r in faults if r.fault.startswith(GRADER_FAILED)]
    print(f"{len(results) - len(faults)} marked, {len(faults)} with a named fault.")
    for result in faults:
        print(f"  {result.key}: {result.fault}")
    print(f"Open {out / 'report.html'}; marks are in {out / 'marks.csv'}.")
    return 1 if failed else 0


def merge(options: argparse.Namespace) -> int:
    """Join shards, and add the marks that were given by hand."""
    shards = [read_results(folder) for folder in options.folders]
    results = sheets.join_shards(shards)
    if not results:
        raise sheets.SheetError("there is no submission in these folders")
    assignment = load(results[0].assignment, options.assignments)
    for path in options.manual:
        results = sheets.apply_manual(results, sheets.read_manual(path))
    options.out.mkdir(parents=True, exist_ok=True)
    if any((folder / MARK).exists() for folder in options.folders):
        (options.out / MARK).touch()
    write(results, assignment, options.out, options.gradescope)
    return summary(results, options.out)


def read_results(folder: Path) -> list[Result]:
    """Return what `grade` or `merge` wrote into a folder."""
    path = folder / RESULTS
    if not path.exists():
        raise sheets.SheetError(f"{folder} holds no {RESULTS}: is it what grade wrote?")
    records = json.loads(path.read_text("utf-8"))
    return [Result.from_json(json.dumps(record)) for record in records]


def doctor(options: argparse.Namespace) -> int:
    """Try the sandbox with canaries."""
    canaries = examine(choose(options.backend))
    print(describe(canaries))
    return 0 if all(canary.ok for canary in canaries) else 1
