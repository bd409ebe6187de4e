"""Batches as Moodle, Canvas and people make them, and what can be wrong with them."""

import io
import os
import re
import warnings
import zipfile

import pytest

from attnbook.grading.intake import collect as module
from attnbook.grading.intake import entries
from attnbook.grading.intake.collect import FAULTS, CollectError, collect

NOTEBOOK = b'{"cells": []}'
EXTRAS = {"model.safetensors": 10}


def zipped(files, date=(2026, 1, 1, 0, 0, 0)):
    """Return a zip's bytes; a name may come twice."""
    buffer = io.BytesIO()
    pairs = files.items() if isinstance(files, dict) else files
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pairs:
            info = name
            if isinstance(name, str):
                info = zipfile.ZipInfo(name, date)
                info.compress_type = zipfile.ZIP_DEFLATED
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(info, data)
    return buffer.getvalue()


@pytest.fixture
def of(tmp_path):
    """Collect a zip of these files."""

    def run(files, names="auto", extras=EXTRAS):
        path = tmp_path / "batch.zip"
        path.write_bytes(files if isinstance(files, bytes) else zipped(files))
        return collect(path, names, extras)

    return run


@pytest.fixture
def one(of):
    """Collect a zip that holds one student's files, in Moodle's names."""
    folder = "Ada Lovelace_7_assignsubmission_file_/"

    def run(files, extras=EXTRAS):
        pairs = files.items() if isinstance(files, dict) else files
        found = of([(folder + name, data) for name, data in pairs], extras=extras)
        assert [submission.key for submission in found] == ["Ada_Lovelace_7"]
        return found[0]

    return run


@pytest.mark.parametrize(
    "path",
    [
        "{}_assignsubmission_file_/nb.ipynb",
        "{}_assignsubmission_file/nb.ipynb",
        "{}_assignsubmission_file_/deep/er/nb.ipynb",
        "{}_assignsubmission_file_nb_2.ipynb",
        "course folder/{}_assignsubmission_file_/nb.ipynb",
        "{}_assignsubmission_file_\\nb.ipynb",
    ],
)
@pytest.mark.parametrize("name", ["Zoë Müller-Öz", "李 雷", "Doe, Jane", "O'Neil (x)"])
def test_moodle_names_give_name_and_number(of, path, name):
    (got,) = of({path.format(f"{name}_1234567"): NOTEBOOK})
    assert (got.student, got.notebook, got.fault) == (name, NOTEBOOK, "")
    assert got.key.endswith("_1234567")
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,80}", got.key)


def test_moodle_group_without_a_number_is_found(of):
    (got,) = of({"Default group_assignsubmission_file_/nb.ipynb": NOTEBOOK})
    assert (got.student, got.notebook) == ("Default group", NOTEBOOK)


def test_canvas_names_give_name_number_and_late(of):
    found = of(
        {
            "doejane_LATE_12345_67890_my nb-2.ipynb": NOTEBOOK,
            "müllerjörg_12_3_a_4_5_b.ipynb": NOTEBOOK,
            "LATE_anon_aB3xy_67891_nb.ipynb": NOTEBOOK,
        }
    )
    by_student = {submission.student: submission for submission in found}
    assert by_student["doejane"].key == "doejane_12345"
    assert by_student["doejane"].flags == by_student["anon_aB3xy"].flags == ("late",)
    assert by_student["müllerjörg"].key == "mullerjorg_12"


@pytest.mark.parametrize(
    ("old", "new"), [("9_a.ipynb", "10_a.ipynb"), ("9_a-9.ipynb", "9_a-10.ipynb")]
)
def test_canvas_newest_has_the_largest_number(of, old, new):
    (got,) = of({f"doe_1_{new}": b"new", f"doe_1_{old}": b"old"})
    assert got.notebook == b"new"
    assert got.flags == ("2 notebooks: the newest was taken",)


def test_canvas_text_entry_is_no_notebook(of):
    found = of({"doe_1_2_nb.ipynb": NOTEBOOK, "roe_3_text.html": b"<p>"})
    assert [(s.key, s.fault) for s in found] == [
        ("doe_1", ""),
        ("roe_3", "no notebook"),
    ]


def test_plain_names_and_folders_are_the_keys(of):
    found = of(
        {
            "ada.ipynb": NOTEBOOK,
            "ada.model.safetensors": b"1",
            "bob/any.ipynb": NOTEBOOK,
            "bob/model.safetensors": b"22",
            "cyd_model.safetensors": b"3",
        }
    )
    assert [s.key for s in found] == ["ada", "bob", "cyd"]
    assert [s.extras["model.safetensors"] for s in found] == [b"1", b"22", b"3"]
    assert [s.fault for s in found] == ["", "", "no notebook"]


def test_backslashes_separate_folders(of):
    (got, _) = of({"ada\\nb.ipynb": NOTEBOOK, "bob.ipynb": NOTEBOOK})
    assert (got.key, got.notebook) == ("ada", NOTEBOOK)


def test_a_folder_around_the_class_is_no_student(of):
    found = of({"hw1/ada.ipynb": NOTEBOOK, "hw1/bob.ipynb": NOTEBOOK})
    assert [s.key for s in found] == ["ada", "bob"]


def test_a_stray_file_gets_a_row_and_leaves_the_others(of):
    moodle = {f"A_{n}_assignsubmission_file_/nb.ipynb": NOTEBOOK for n in (1, 2)}
    found = of({**moodle, "solution.ipynb": NOTEBOOK, "notes.txt": b"x"})
    faults = [(s.file, s.fault) for s in found if s.fault]
    assert faults == [
        ("notes.txt", "name not recognised"),
        ("solution.ipynb", "name not recognised"),
    ]
    assert len(found) == 4


def test_keys_are_unique_safe_and_do_not_depend_on_others(of):
    names = [
        "ada",
        "Ada",
        "ADA",
        "ada ",
        "ädä",
        "李雷",
        "雷李",
        "nul",
        "a" * 200,
        "-a",
        ".",
    ]
    files = {f"{name}/nb.ipynb": NOTEBOOK for name in names[:-1]} | {"._/..ipynb": b"1"}
    keys = [s.key for s in of(files)]
    assert keys == [s.key for s in of(dict(reversed(files.items())))]
    assert len({key.lower() for key in keys}) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", key) for key in keys)
    alone = of({"Ada/nb.ipynb": NOTEBOOK})[0].key
    assert alone in keys
    assert "nul" not in keys


def test_student_is_cleaned_of_controls_and_bidi(of):
    (got,) = of({"a\x1b[31m\u202etxt.ipynb": NOTEBOOK})
    assert got.student == "a[31mtxt"


def test_composed_and_decomposed_names_are_one_student(of):
    names = ["mu\u0308ller/a.ipynb", "m\u00fcller/b.ipynb", "ada.ipynb"]
    _, got = of(dict.fromkeys(names, NOTEBOOK))
    assert got.flags == ("2 notebooks: the newest was taken",)


def test_newest_by_date_then_by_name(of):
    old, new = (
        zipfile.ZipInfo(f"a/{y}.ipynb", (y, 1, 1, 0, 0, 0)) for y in (2020, 2021)
    )
    (got,) = of([(new, b"new"), (old, b"old"), ("b/1.ipynb", b"1")])[:1]
    assert got.notebook == b"new"
    found = of({"a/1.ipynb": b"1", "a/2.ipynb": b"2", "b/1.ipynb": b"1"})
    assert found[0].notebook == b"2"


def test_an_unreadable_newest_leaves_the_next_with_flags(one):
    got = one({"1.ipynb": NOTEBOOK, "2.ipynb": b""})
    assert (got.notebook, got.fault) == (NOTEBOOK, "")
    assert got.flags == (
        "2 notebooks: the newest that can be read was taken",
        "not read: 2.ipynb (empty file)",
    )


def test_duplicate_names_in_a_zip_are_both_seen(one):
    got = one([("nb.ipynb", NOTEBOOK), ("nb.ipynb", NOTEBOOK)])
    assert got.flags == ("2 notebooks: the newest was taken",)


def test_a_students_zip_is_read(one):
    inner = {
        "w/nb.ipynb": NOTEBOOK,
        "w/model.safetensors": b"1",
        "__MACOSX/w/._nb.ipynb": b"x",
        "w/.ipynb_checkpoints/nb-checkpoint.ipynb": b"x",
    }
    got = one({"work.ZIP": zipped(inner)})
    assert (got.notebook, got.extras["model.safetensors"]) == (NOTEBOOK, b"1")
    assert got.file.endswith("_/work.ZIP/w/nb.ipynb")
    assert got.flags == ()


def encrypted():
    data = bytearray(zipped({"nb.ipynb": NOTEBOOK}))
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def linked():
    info = zipfile.ZipInfo("nb.ipynb")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return zipped([(info, b"/etc/passwd")])


def bad_sum():
    data = zipped({"nb.ipynb": NOTEBOOK})
    return data.replace(
        zipfile.ZipFile(io.BytesIO(data)).infolist()[0].CRC.to_bytes(4, "little"),
        b"abcd",
    )


def lzma():
    info = zipfile.ZipInfo("nb.ipynb")
    info.compress_type = zipfile.ZIP_LZMA
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, NOTEBOOK, zipfile.ZIP_LZMA)
    return buffer.getvalue()


def bomb():
    """Return 20 MiB that a header declares as ten bytes."""
    data = zipped({"nb.ipynb": b" " * (20 << 20)})
    size = (20 << 20).to_bytes(4, "little")
    return data.replace(size, (10).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("a.pdf", b"x", "no notebook"),
        ("nb.ipynb", b"", "empty file"),
        ("nb.ipynb", b"x" * ((10 << 20) + 1), "file too large"),
        ("w.zip", b"PK\x03\x04 rest", "damaged zip"),
        ("w.zip", b"", "empty file"),
        ("w.zip", zipped({}), "no notebook"),
        ("w.zip", encrypted(), "encrypted zip"),
        ("w.zip", linked(), "symbolic link"),
        ("w.zip", bad_sum(), "damaged zip"),
        ("w.zip", bomb(), "damaged zip"),
        ("w.zip", lzma(), "unsupported zip"),
        ("w.zip", zipped({"nb.ipynb": b" " * (20 << 20)}), "file too large"),
        ("w.zip", zipped({"../nb.ipynb": b"x"}), "path leads outside"),
        ("w.zip", zipped({"/etc/nb.ipynb": b"x"}), "path leads outside"),
        ("w.zip", zipped({"C:\\x\\nb.ipynb": b"x"}), "path leads outside"),
        ("w.zip", zipped({"v.zip": zipped({"nb.ipynb": b"x"})}), "zip inside a zip"),
        ("w.zip", b"PK\x01\x02" * 20_001, "too many files"),
        (".ipynb_checkpoints/nb-checkpoint.ipynb", b"x", "no notebook"),
    ],
)
def test_each_problem_is_a_named_fault(one, name, data, fault):
    got = one({name: data})
    assert (got.fault, got.notebook) == (fault, b"")
    assert fault in FAULTS
    assert got.file


def test_one_student_cannot_use_up_the_batch(one, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_STUDENT", 1000)
    got = one({f"{n}.zip": zipped({f"{n}.txt": os.urandom(400)}) for n in range(3)})
    assert got.fault == "file too large"


def test_extras_over_their_size_and_others_are_flags(one):
    got = one({"nb.ipynb": NOTEBOOK, "model.safetensors": b"x" * 11, "a.pdf": b"x"})
    assert got.extras == {}
    assert got.flags == (
        "not read: model.safetensors (file too large)",
        "ignored: a.pdf",
    )


@pytest.mark.parametrize("name", ["model-1.safetensors", "Model (2).safetensors"])
def test_extras_are_known_in_spite_of_a_browsers_number(one, name):
    got = one({"nb.ipynb": NOTEBOOK, name: b"x"})
    assert got.extras == {"model.safetensors": b"x"}


def test_many_ignored_files_make_few_flags(one):
    got = one({"nb.ipynb": NOTEBOOK} | {f"{n}.txt": b"x" for n in range(10)})
    assert len(got.flags) == 6
    assert got.flags[-1] == "ignored: 5 more files"


def test_names_without_the_utf8_mark_are_read(of):
    data = zipped({"Jörg_1_assignsubmission_file_/nb.ipynb": NOTEBOOK})
    flag = (0x800).to_bytes(2, "little")
    (got,) = of(data.replace(flag, b"\0\0"))
    assert got.student == "Jörg"


def test_folders_are_read_like_zips_and_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(b"secret")
    batch = tmp_path / "batch"
    for name in ("ada", "bob", "cyd"):
        (batch / name).mkdir(parents=True)
    (batch / "ada" / "nb.ipynb").write_bytes(NOTEBOOK)
    (batch / "bob" / "nb.ipynb").symlink_to(secret)
    (batch / "cyd" / "folder").symlink_to(tmp_path)
    os.mkfifo(batch / "dan.ipynb")
    found = {s.key: (s.notebook, s.fault) for s in collect(batch)}
    assert found == {
        "ada": (NOTEBOOK, ""),
        "bob": (b"", "symbolic link"),
        "cyd": (b"", "symbolic link"),
        "dan": (b"", "not an ordinary file"),
    }


@pytest.mark.parametrize(
    ("data", "names", "message"),
    [
        (b"no zip", "auto", "is not a zip that can be read"),
        (zipped({}), "auto", "holds no files"),
        (zipped({"__MACOSX/a": b"x"}), "auto", "holds no files"),
        (zipped({"a.ipynb": b"x"}), "moodle", "no file is named as moodle does"),
        (zipped({"a.ipynb": b"x"}), "nbgrader", "names 'nbgrader' is none of"),
    ],
)
def test_a_batch_that_cannot_be_read_says_what_to_do(of, data, names, message):
    with pytest.raises(CollectError, match=message):
        of(data, names)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(CollectError, match="there is no folder or zip"):
        collect(tmp_path / "nowhere.zip")


def test_too_many_files_are_refused(of, monkeypatch):
    monkeypatch.setattr(entries, "MOST_ENTRIES", 3)
    with pytest.raises(CollectError, match="more than 3 files"):
        of({f"{n}.ipynb": b"x" for n in range(4)})


def test_too_many_bytes_are_refused(of, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_BATCH", 3)
    with pytest.raises(CollectError, match="more than 2 GiB"):
        of({f"{n}.ipynb": b"x" for n in range(4)})


@pytest.mark.parametrize("name", ["007", "1e5", "12345", "1-2"])
def test_key_is_nothing_that_a_spreadsheet_takes_for_a_number(of, name):
    [got] = of({f"{name}.ipynb": NOTEBOOK})
    assert got.key.startswith(f"{name}-")
    assert got.student == name
