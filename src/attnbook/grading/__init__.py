"""Assignments: release them, grade untrusted submissions, write feedback.

The split that makes it safe: *probes* (calls) run beside the student's code in a
sandbox and return plain numbers; *judges* (expected values, points, hints) run here
and never meet the student's code. Nothing of the student's is unpickled, imported or
rendered. `python -m attnbook.grading --help` lists the commands; the book's page for
instructors walks through them.

`assignments` reads the sources · `releasing` makes the notebooks · `intake` takes in
submissions · `boxes` hold them · `sessions` and `inside` run them · `judging` compares
· `batch` does it for a class · `reports` writes what people read.
"""
