"""What a student is told about a file that could not be graded, fault by fault.

A fault is one of `collect.FAULTS` or `reading.FAULTS`, or starts with "grader failed".
What follows that may name files of ours or hold numbers of a check: no student sees it.
"""

GRADER_FAILED = "grader failed"
DOWNLOAD = (
    "On Colab use File → Download → Download .ipynb, in Jupyter File → Download, and "
    "hand in that file."
)
SMALLER = (
    "Clear all outputs (Edit → Clear all outputs), save, and hand in again: without "
    "pictures and outputs a notebook is small."
)
ZIP_AGAIN = (
    "Make a new zip that holds only the notebook and the files that the assignment "
    "asks for, without a password, or hand in the .ipynb file itself."
)
ITSELF = "Hand in the notebook itself, not a link or a shortcut to it."

# What was wrong, and what to do about it.
EXPLAINED = {
    "no notebook": (
        "There was no notebook (a file that ends in .ipynb) in what you handed in.",
        "A .py file, a PDF or a picture cannot be graded. " + DOWNLOAD,
    ),
    "empty file": (
        "The file holds nothing: its size is 0 bytes.",
        "Open the notebook, save it, and see that the file has a size. " + DOWNLOAD,
    ),
    "file too large": ("The file is too large to be read.", SMALLER),
    "too large": ("The notebook is too large to be read.", SMALLER),
    "too many files": (
        "There were too many files in what you handed in.",
        "Hand in the notebook alone, with only the files that the assignment asks for.",
    ),
    "symbolic link": ("The file is a link to another file.", ITSELF),
    "not an ordinary file": ("It is not an ordinary file.", ITSELF),
    "path leads outside": (
        "A file in the zip has a name that leads out of the folder it is unpacked to.",
        ZIP_AGAIN,
    ),
    "cannot be read": ("The file could not be read.", "Hand it in again."),
    "damaged zip": ("The zip file is damaged.", ZIP_AGAIN),
    "encrypted zip": ("The zip file asks for a password.", ZIP_AGAIN),
    "unsupported zip": (
        "The zip file is packed in a way that cannot be read.",
        ZIP_AGAIN,
    ),
    "zip inside a zip": ("The zip file holds another zip file.", ZIP_AGAIN),
    "name not recognised": (
        "The file's name does not say whose it is.",
        "Hand it in through the course's own form, or ask your instructor how to "
        "name it.",
    ),
    "not UTF-8 or UTF-16 text": (
        "The file is not the text that a notebook consists of.",
        "It was packed, converted or damaged on the way. " + DOWNLOAD,
    ),
    "a web page, not a notebook": (
        "The file is a web page, not a notebook.",
        "Saving the page in the browser gives such a file. " + DOWNLOAD,
    ),
    "not JSON": (
        "The file is damaged: a part is missing, or it was changed by hand.",
        "Open your notebook where you worked on it. " + DOWNLOAD,
    ),
    "not a notebook": (
        "The file is named like a notebook but is none.",
        "Open your notebook where you worked on it. " + DOWNLOAD,
    ),
    "too deeply nested": (
        "The file is built in a way that no notebook is.",
        "Open your notebook where you worked on it. " + DOWNLOAD,
    ),
    "too many cells": (
        "The notebook has too many cells.",
        "Remove cells that do not belong to the answers, save, and hand in again.",
    ),
    "reader stopped": (
        "Reading the file took too long or too much memory.",
        SMALLER,
    ),
    GRADER_FAILED: (
        "The grader failed on this file.",
        "This is not your mistake. Ask your instructor to have a look.",
    ),
}
OTHERWISE = (
    "Open the notebook where you worked on it, run it from the top, save it, and hand "
    "it in again. If that does not help, ask your instructor."
)


def explained(fault: str) -> tuple[str, str]:
    """Return what was wrong and what to do, in words for the student."""
    if fault.startswith(GRADER_FAILED):
        fault = GRADER_FAILED
    return EXPLAINED.get(fault, (f"It could not be graded: {fault}.", OTHERWISE))
