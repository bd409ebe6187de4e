"""Boxes: they start, are measured, and end with everything in them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attnbook.grading.assignments import Limits
from attnbook.grading.boxes import bubblewrap, containers, host, launch, sandbox
from attnbook.grading.boxes.box import Box, NoSandbox, spawn, tree
from attnbook.grading.boxes.sandbox import BACKENDS, choose

ROOT = Path(__file__).parents[2]
LIMITS = Limits(memory_mib=512, scratch_mib=8, processes=16, total_seconds=20)
OBEY = """
import os, sys, time
for line in sys.stdin:
    try:
        exec(line)
    except BaseException as error:
        print(repr(error))
    print("done", flush=True)
"""


@pytest.fixture(params=[name for name in BACKENDS if name != "unsafe"])
def backend(request):
    if trouble := sandbox.trouble(request.param):
        pytest.skip(trouble)
    return BACKENDS[request.param]


@pytest.fixture
def box(backend):
    box = backend.start(OBEY, LIMITS)
    say(box, "pass")
    yield box
    box.kill()


def say(box, line):
    box.process.stdin.write(line.encode() + b"\n")
    box.process.stdin.flush()
    return b"".join(iter(box.process.stdout.readline, b"done\n")).decode().strip()


def gone(pid):
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def soon(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_box_runs_the_program_in_its_scratch_folder(box):
    assert say(box, "print(os.getcwd(), open('note', 'w').write('12'))") == (
        "/home/student 2"
    )


@pytest.mark.parametrize("name", ["bubblewrap", "util-linux"])
def test_box_has_the_packages_of_the_grader(name):
    if trouble := sandbox.trouble(name):
        pytest.skip(trouble)
    box = BACKENDS[name].start(OBEY, LIMITS)
    said = [say(box, "import numpy; print(numpy.ones(2))")]
    said += [say(box, "import importlib.util as u; print(u.find_spec('torch').name)")]
    box.kill()
    assert said == ["[1. 1.]", "torch"]


def test_usage_counts_memory_while_it_is_held(box):
    before = box.usage().memory_mib
    say(box, "held = bytearray(100 * 2**20)")
    held = box.usage().memory_mib - before
    say(box, "del held")
    assert held == pytest.approx(100, abs=5)
    assert box.usage().memory_mib - before < 10


def test_usage_counts_files_and_empty_ones(box):
    before = box.usage().memory_mib
    say(box, "open('big', 'wb').write(bytes(4 * 2**20))")
    assert box.usage().memory_mib - before == pytest.approx(4, abs=1)
    say(box, "for n in range(3000): open(f'empty{n}', 'w').close()")
    assert box.usage().memory_mib - before > 5


def test_usage_counts_the_time_of_ended_children(box):
    work = "import time\\nwhile time.process_time() < 0.3: pass"
    say(box, f"import subprocess; subprocess.run([sys.executable, '-c', '{work}'])")
    assert box.usage().cpu_seconds >= 0.25


def test_usage_keeps_the_time_of_an_ended_box(box):
    say(box, "while time.process_time() < 0.3: pass")
    used = box.usage()
    box.kill()
    after = box.usage()
    assert after.cpu_seconds >= used.cpu_seconds >= 0.25
    assert (after.memory_mib, after.processes) == (0, 0)


def test_usage_is_cheap(box):
    start = time.process_time()
    for _ in range(20):
        box.usage()
    assert (time.process_time() - start) / 20 < 0.02


def test_kill_ends_every_process_and_closes_the_pipes(box):
    say(box, "for n in range(5): os.fork() or (os.setsid(), time.sleep(60))")
    pids = list(tree(box._first))
    assert len(pids) == box.usage().processes >= 6
    box.kill()
    assert [pid for pid in pids if not gone(pid)] == []
    assert box.process.stdin.closed
    assert box.process.stdout.closed


def test_kill_may_be_repeated_from_several_threads(box):
    threads = [threading.Thread(target=box.kill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    box.kill()
    assert box.process.returncode is not None


def test_kill_removes_once():
    pipe, calls = subprocess.PIPE, []
    process = subprocess.Popen(["cat"], stdin=pipe, stdout=pipe)
    box = Box(process, process.pid, lambda: calls.append("removed"))
    box.kill()
    box.kill()
    assert calls == ["removed"]


def test_boxes_leave_no_descriptor_behind(backend):
    backend.start("", LIMITS).kill()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        backend.start(OBEY, LIMITS).kill()
    assert len(os.listdir("/proc/self/fd")) == before


def test_box_ends_when_its_program_does(box):
    box.process.stdin.close()
    assert soon(lambda: box.usage().processes == 0)


@pytest.mark.parametrize("name", ["bubblewrap", "util-linux"])
def test_box_ends_when_the_grader_is_killed(name):
    if trouble := sandbox.trouble(name):
        pytest.skip(trouble)
    code = f"""
import time
from attnbook.grading.boxes.sandbox import BACKENDS
from attnbook.grading.assignments import Limits
box = BACKENDS[{name!r}].start("import time; time.sleep(30)", Limits())
print(*open(f"/proc/{{box.process.pid}}/task/{{box.process.pid}}/children"), flush=True)
time.sleep(30)"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as mine:
        first = int(mine.stdout.readline())
        assert not gone(first)
        mine.kill()
    assert soon(lambda: gone(first))


def test_boxes_count_their_processes_apart(backend):
    boxes = [backend.start(OBEY, LIMITS) for _ in range(3)]
    fork = "print(sum(os.fork() > 0 or time.sleep(60) or 1 for n in range(8)))"
    said = [say(box, fork) for box in boxes]
    for box in boxes:
        box.kill()
    assert said == ["8", "8", "8"]


def test_filter_leaves_what_ordinary_code_needs(box):
    thread = "import threading as t; a = t.Thread(target=print, args='t'); a.start()"
    assert say(box, f"{thread}; a.join()") == "t"
    child = "import subprocess as s; a = s.run([sys.executable, '-c', ''])"
    assert say(box, f"{child}; print(a.returncode)") == "0"
    pool = "import multiprocessing.pool as p; a = p.Pool(2)"
    assert say(box, f"{pool}; print(a.map(abs, [-1, 2])); a.terminate()") == "[1, 2]"


@pytest.mark.skipif(os.geteuid() != 0, reason="a user may have leave for one only")
def test_for_root_one_works_as_well_as_the_other():
    """Else a broken back-end would only be skipped above."""
    tools = {"bubblewrap": "bwrap", "util-linux": "unshare"}
    here = [name for name, tool in tools.items() if shutil.which(tool)]
    assert len({sandbox.trouble(name) == "" for name in here}) <= 1


# what the filter says to a call: runs the program as the kernel would


def answer(machine, number, argument=0, architecture=None):
    data = {0: number, 4: architecture or launch.MACHINES[machine][0], 16: argument}
    program, at, value = launch.instructions(machine), 0, 0
    while True:
        code, yes, no, k = program[at]
        tests = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}
        if code == 0x06:
            return k
        if code == 0x20:
            value = data[k]
        at += 1 + ((yes if tests[code] else no) if code in tests else 0)


@pytest.mark.parametrize("machine", launch.MACHINES)
def test_filter_denies_what_reaches_past_the_box(machine):
    column = list(launch.MACHINES).index(machine)
    for name, numbers in launch.DENIED.items():
        assert answer(machine, numbers[column]) == launch.ERRNO | launch.EPERM, name
    assert answer(machine, 435) == launch.ERRNO | launch.ENOSYS
    assert answer(machine, 0, architecture=0x40000003) == launch.KILL


@pytest.mark.parametrize("machine", launch.MACHINES)
def test_filter_looks_at_clone_and_socket(machine):
    _, socket, clone = launch.MACHINES[machine]
    assert answer(machine, clone, 0x10000000) == launch.ERRNO | launch.EPERM
    assert answer(machine, clone, signal.SIGCHLD) == launch.ALLOW
    families = {n: answer(machine, socket, n) == launch.ALLOW for n in range(50)}
    assert [n for n, allowed in families.items() if allowed] == [1, 2, 10]


# the choice


def test_choose_takes_the_first_that_works(monkeypatch):
    monkeypatch.setattr(sandbox, "trouble", lambda name: "no" * (name != "podman"))
    assert choose().name == "podman"


def test_choose_says_what_was_tried_and_what_to_do(monkeypatch):
    monkeypatch.setattr(sandbox, "trouble", lambda name: f"no {name} today")
    with pytest.raises(NoSandbox) as caught:
        choose()
    text = str(caught.value)
    assert re.findall("no (.*) today", text) == [n for n in BACKENDS if n != "unsafe"]
    for word in ("apt install", "dnf", "AppArmor", "macOS", "WSL2"):
        assert word in text or word.lower() in text


def test_choose_refuses_a_name_that_does_not_work(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sandbox, "trouble", sandbox.trouble.__wrapped__)
    bubblewrap._help.cache_clear()
    for name, tool in {"bubblewrap": "bwrap", "util-linux": "unshare"}.items():
        with pytest.raises(NoSandbox, match=f"{tool}.*not installed"):
            choose(name)
    with pytest.raises(NoSandbox, match="podman is not installed"):
        choose("podman")


def test_choose_knows_its_names():
    with pytest.raises(ValueError, match="'chroot'; known: bubblewrap, util-linux"):
        choose("chroot")
    assert choose("unsafe").name == "unsafe"


def test_old_bubblewrap_is_refused(monkeypatch, tmp_path):
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho --tmpfs DEST\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    bubblewrap._help.cache_clear()
    with pytest.raises(NoSandbox, match="older than 0.7"):
        BACKENDS["bubblewrap"].start("", LIMITS)
    bubblewrap._help.cache_clear()


def test_failed_start_says_why():
    with pytest.raises(NoSandbox, match="sh: it broke"):
        spawn(["sh", "-c", "echo it broke >&2; exit 1"])
    with pytest.raises(NoSandbox, match="ended before it was ready"):
        spawn(["sh", "-c", "echo something else"])


# what is in sight


def test_everything_called_attnbook_is_covered(monkeypatch, tmp_path):
    names = ("attnbook", "attnbook-0.1.dist-info", "__editable__.attnbook.pth", "numpy")
    for name in names:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(host, "_packages", lambda: (str(tmp_path),))
    hidden = {Path(path).name for path in host.tree().hidden if str(tmp_path) in path}
    assert hidden == set(names) - {"numpy"}


@pytest.mark.parametrize("name", ["bubblewrap", "util-linux"])
def test_installed_grader_is_covered(name, monkeypatch, tmp_path):
    if trouble := sandbox.trouble(name):
        pytest.skip(trouble)
    tmp_path.chmod(0o755)
    package, link = tmp_path / "attnbook", tmp_path / "attnbook.pth"
    package.mkdir()
    (package / "secret.py").touch()
    link.write_text("/way/to/it")
    monkeypatch.setattr(host, "_packages", lambda: (str(tmp_path),))
    box = BACKENDS[name].start(OBEY, LIMITS)
    said = say(box, f"print(os.listdir('{package}')); print(open('{link}').read())")
    imported = say(box, "import attnbook")
    box.kill()
    assert said.splitlines()[0] == "[]"
    assert "/way/to/it" not in said
    assert imported.startswith("ModuleNotFoundError")


def test_uids_are_nobody_s_and_differ():
    uids = {host.plain_uid() for _ in range(50)}
    assert len(uids) == 50
    assert min(uids) > 65_535 or max(uids) < 65_536


def test_container_has_every_limit_and_wall():
    words = containers.options(LIMITS)
    walls = {"--network=none", "--read-only", "--cap-drop=ALL", "--pull=never"}
    walls |= {"--memory=512m", "--memory-swap=512m", "--pids-limit=16", "--cpus=1"}
    walls |= {"--security-opt=no-new-privileges", "--log-driver=none"}
    walls |= {"--tmpfs=/home/student:size=8m,mode=1777"}
    assert walls <= set(words)
    user = next(word for word in words if word.startswith("--user="))
    assert re.fullmatch(r"--user=(\d{5}):\1", user)


def test_image_has_the_pinned_versions():
    pins = set(re.findall(r"^\S+==\S+", (ROOT / "requirements.txt").read_text(), re.M))
    text = (ROOT / "assignments/Dockerfile").read_text()
    wanted = set(re.findall(r"\S+==[^\s\\]+", text))
    assert len(wanted) == 7
    assert wanted <= pins


def test_unsafe_takes_its_folder_away():
    box = BACKENDS["unsafe"].start(OBEY, LIMITS)
    folder = Path(say(box, "print(os.getcwd())"))
    assert folder.exists()
    box.kill()
    assert not folder.exists()


def test_unsafe_leaves_no_folder_where_it_cannot_start(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sandbox.sys, "executable", "/bin/false")
    with pytest.raises(NoSandbox):
        BACKENDS["unsafe"].start(OBEY, LIMITS)
    assert not list(tmp_path.iterdir())


def as_nobody(code):
    """Run code by the system's Python as nobody: pyenv's folder may be closed."""
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    words += ["--bounding-set=-all", "--inh-caps=-all", "/usr/bin/python3", "-B", "-c"]
    paths = f"{ROOT / 'src'}:{Path(pytest.__file__).parents[1]}"
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "PYTHONPATH": paths}
    return subprocess.run(
        [*words, code], env=environment, capture_output=True, text=True, cwd="/"
    )


@pytest.mark.parametrize("name", ["bubblewrap", "util-linux"])
def test_ordinary_user_gets_the_same_walls(name):
    if os.geteuid() != 0 or not Path("/usr/bin/python3").exists():
        pytest.skip("needs root, to become somebody else, and a Python for all")
    shown = as_nobody(f"""
from attnbook.grading.boxes.doctor import describe, examine
from attnbook.grading.boxes.sandbox import BACKENDS, trouble
print(trouble({name!r}) or describe(examine(BACKENDS[{name!r}])))""")
    if "All canaries" not in shown.stdout and "got out" not in shown.stdout:
        pytest.skip(f"nobody has no sandbox: {(shown.stdout + shown.stderr)[-200:]}")
    assert "FAIL" not in shown.stdout
