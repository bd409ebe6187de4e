"""A student notebook is run with what Colab has, and with nothing else."""

import pytest

from attnbook.grading.releasing import colab_only

SECONDS = 10


def test_ordinary_cells_have_no_fault():
    cells = ["import json, numpy as np", "x = np.ones(2)", "assert x.sum() == 2"]
    assert colab_only.faults(cells, SECONDS) == []


@pytest.mark.parametrize(
    "code",
    [
        "import attnbook",
        "from attnbook import masks",
        "import jaxtyping",
        "import yaml",
    ],
)
def test_import_of_what_students_lack_is_a_fault(code):
    [fault] = colab_only.faults(["x = 1", code], SECONDS)
    assert fault.startswith("code cell 2: ModuleNotFoundError: ")


def test_attnbook_is_refused_on_every_way():
    code = "import importlib\nimportlib.import_module('attnbook.masks')"
    [fault] = colab_only.faults([code], SECONDS)
    assert "attnbook" in fault


def test_listed_package_may_import_what_it_needs():
    assert colab_only.faults(["import matplotlib.pyplot"], SECONDS) == []


def test_download_is_a_fault():
    code = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/x')"
    [fault] = colab_only.faults([code], SECONDS)
    assert "assignments use no network" in fault


def test_every_cell_that_raises_is_named():
    found = colab_only.faults(["1 / 0", "x = 1", "y"], SECONDS)
    assert [fault.split(":")[0] for fault in found] == ["code cell 1", "code cell 3"]


def test_notebook_that_does_not_end_is_a_fault(monkeypatch):
    monkeypatch.setattr(colab_only, "START_SECONDS", 0)
    assert colab_only.faults(["while True: pass"], 0.5) == [
        "did not end in 0.5 seconds"
    ]


def test_process_that_dies_is_a_fault():
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    assert colab_only.faults([code], SECONDS) == ["ended with -9"]


def test_cells_leave_nothing_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert colab_only.faults(["open('left', 'w').close()"], SECONDS) == []
    assert list(tmp_path.iterdir()) == []
