"""Run a notebook in a fresh kernel and keep what is the same on every machine."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from attnbook.grading.releasing.versions import METADATA

# A chapter runs in a minute on two cores; ten times that is a hang.
TIMEOUT_SECONDS = 600


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run every cell in a folder and strip what differs between runs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raises.
    """
    os.environ["ATTNBOOK_PROGRESS"] = "0"
    NotebookClient(
        notebook,
        timeout=TIMEOUT_SECONDS,
        kernel_name="python3",
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # else a remark on encryption
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def with_outputs_of(stored: Path, notebook: NotebookNode) -> NotebookNode | None:
    """Take over a stored notebook's outputs; None where its code is another."""
    if not stored.exists():
        return None
    old = _code_cells(nbformat.read(stored, as_version=4))
    new = _code_cells(notebook)
    if [_code(cell) for cell in old] != [_code(cell) for cell in new]:
        return None
    for cell, before in zip(new, old, strict=True):
        cell.outputs = before.outputs
        cell.execution_count = before.execution_count
    return notebook


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _code(cell: NotebookNode) -> tuple[str, list[str]]:
    """Return what decides whether a cell must run again."""
    return cell.source, cell.metadata.get("tags", [])
