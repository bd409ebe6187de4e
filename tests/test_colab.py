"""Colab runs every chapter as it is, and installing the book changes nothing there.

What proves most at little cost: pip itself, in an environment that holds Colab's
names and versions (as metadata only), is asked what installing the wheel would do.
The few packages that Colab lacks are offered as wheels made from their metadata here.
"""

import ast
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from chapters import NOTEBOOKS, ROOT, code_cells, imported, parse, read, tags
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import attnbook.claims
import attnbook.plotting
import notebooks

SOURCE = sorted((ROOT / "src" / "attnbook").rglob("*.py"))
LIST = Path(__file__).with_name("colab_packages.txt")
FREEZE = ROOT.parent / "shared" / "data" / "colab"
# Gone from Python 3.12 or 3.13 (PEP 594, 632), which is what Colab has.
GONE_NAMES = """
    aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3
    mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu
    xdrlib"""
GONE = set(GONE_NAMES.split())

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_module = pytest.mark.parametrize("path", SOURCE, ids=lambda path: path.stem)


def versions(text):
    """Read `name==version` lines; a wheel's address counts as its version."""
    found = re.findall(r"^([\w.-]+)(?:==| @ .*/[\w.]+-)(\d[\w.]*)", text, re.M)
    return {canonicalize_name(name): version for name, version in found}


COLAB = versions(LIST.read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = [need for extra in PROJECT["optional-dependencies"].values() for need in extra]


# the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "src", folder / "source" / "src")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    pip("wheel", *options, "--wheel-dir", folder / "wheels", folder / "source")
    return next((folder / "wheels").glob("attnbook-*.whl"))


def pip(*arguments):
    """Run pip and return what it prints."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pretend(folder, installed):
    """Make an environment that seems to hold packages, and return its Python."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.check_output([python, "-c", ask], text=True).strip()
    for name, version in installed.items():
        info = Path(site, f"{name.replace('-', '_')}-{version}.dist-info")
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(head)
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text("")
    return python


def offer(folder, name):
    """Make a wheel that holds no more than the metadata of a package used here."""
    here = metadata.distribution(name)
    kind = here.read_text("WHEEL")
    assert "Root-Is-Purelib: true" in kind, f"{name} is not pure Python"
    stem = f"{name.replace('-', '_')}-{here.version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as file:
        file.writestr(f"{stem}.dist-info/METADATA", here.read_text("METADATA"))
        file.writestr(f"{stem}.dist-info/WHEEL", kind)
        file.writestr(f"{stem}.dist-info/RECORD", "")


def absent():
    """Return what the package needs, directly or not, and Colab does not have."""
    found, todo = set(), [Requirement(text) for text in PROJECT["dependencies"]]
    while todo:
        name = canonicalize_name(todo.pop().name)
        if name not in COLAB and name not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or [])
            todo += [
                r for r in needs if not r.marker or r.marker.evaluate({"extra": ""})
            ]
    return found


def test_installing_the_wheel_changes_no_version_on_colab(wheel, tmp_path):
    for name in absent():
        offer(wheel.parent, name)
    python = pretend(tmp_path / "colab", COLAB)
    options = ["--dry-run", "--no-index", "--find-links", wheel.parent, "--quiet"]
    report = tmp_path / "report.json"
    pip("--python", python, "install", *options, "--report", report, wheel)
    plan = json.loads(report.read_text())["install"]
    new = {canonicalize_name(item["metadata"]["name"]) for item in plan}
    assert new == {"attnbook"} | absent()
    assert not new & set(COLAB)


def test_a_pin_that_colab_does_not_meet_would_be_noticed(tmp_path):
    python = pretend(tmp_path / "colab", COLAB)
    with pytest.raises(AssertionError, match="No matching distribution"):
        pip("--python", python, "install", "--dry-run", "--no-index", "numpy>=2.3")


def test_absent_packages_are_few_and_small():
    assert absent() <= {"jaxtyping", "wadler-lindig"}


def test_wheel_holds_every_file_that_the_package_reads(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    kinds = (".py", ".json", ".js", ".css", ".mplstyle")
    wanted = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "attnbook").rglob("*")
        if path.suffix in kinds
    }
    assert wanted <= inside
    assert not [name for name in inside if name.startswith("tests")]


def test_dependencies_are_lower_bounds_that_colab_meets():
    for text in PROJECT["dependencies"] + EXTRAS:
        need = Requirement(text)
        assert {part.operator for part in need.specifier} == {">="}
        if canonicalize_name(need.name) in COLAB:
            assert need.specifier.contains(COLAB[canonicalize_name(need.name)])


@pytest.mark.parametrize("name", ["pip-freeze.txt", "pip-freeze.gpu.txt"])
def test_short_list_agrees_with_what_colab_publishes(name):
    if not FREEZE.exists():
        pytest.skip(f"NO LIST at {FREEZE}: colab_packages.txt not compared")
    published = versions((FREEZE / name).read_text("utf-8"))
    assert {name: published.get(name) for name in COLAB} == COLAB
    assert not absent() & set(published)


# what code imports


distributions = cache(metadata.packages_distributions)


@cache
def allowed():
    """Return the modules that are there on Colab once the package is installed."""
    ours = {canonicalize_name(Requirement(d).name) for d in PROJECT["dependencies"]}
    modules = {
        module
        for module, names in distributions().items()
        if {canonicalize_name(name) for name in names} & (ours | set(COLAB))
    }
    return (modules | {"attnbook"} | sys.stdlib_module_names) - GONE - {"IPython"}


@each_module
def test_module_imports_only_what_it_declares(path):
    wanted = PROJECT["dependencies"] + EXTRAS
    declared = {canonicalize_name(Requirement(text).name) for text in wanted}
    ours = distributions()
    for module in imported(ast.parse(path.read_text("utf-8"))):
        names = {canonicalize_name(name) for name in ours.get(module, [])}
        standard = module in sys.stdlib_module_names - GONE
        assert standard or module == "attnbook" or names & declared, module


@each_notebook
def test_notebook_imports_only_what_colab_has(path):
    for cell in code_cells(read(path)):
        assert imported(parse(cell.source)) <= allowed()


@each_notebook
def test_notebook_uses_no_magic_but_the_setup(path):
    for cell in code_cells(read(path)):
        if "setup" not in tags(cell):
            assert not re.search(r"^\s*[%!]|get_ipython", cell.source, re.M)


@each_module
def test_module_is_written_for_python_3_11(path):
    assert ast.parse(path.read_text("utf-8"), feature_version=(3, 11)).body


@each_notebook
def test_notebook_is_written_for_python_3_11(path):
    for cell in code_cells(read(path)):
        assert parse(cell.source).body  # with the grammar of 3.11


# IPython 7.34


@each_module
def test_module_displays_in_the_way_of_ipython_7(path):
    tree = ast.parse(path.read_text("utf-8"))
    names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    shown = {name for name in names if name.startswith(("_repr_", "_ipython_"))}
    assert shown <= {"_repr_html_", "_repr_mimebundle_"}


@pytest.mark.parametrize("shown", [attnbook.claims.Claim, attnbook.plotting.Figure])
def test_mimebundle_takes_the_arguments_ipython_7_gives(shown):
    arguments = inspect.signature(shown._repr_mimebundle_).parameters
    assert list(arguments) == ["self", "include", "exclude"]


# the first cell and the link


@each_notebook
def test_setup_cell_is_the_stamped_one_and_comes_first(path):
    cells = code_cells(read(path))
    wanted = notebooks.SETUP.format(repository=notebooks.repository()["url"]).rstrip()
    assert cells[0].source == wanted
    assert [tags(cell).count("setup") for cell in cells] == [1] + [0] * (len(cells) - 1)


@each_notebook
def test_colab_link_opens_the_notebook_itself(path):
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    place = config["repository"]["url"].removeprefix("https://github.com/")
    colab = config["launch_buttons"]["colab_url"]
    page = f"{place}/blob/{config['repository']['branch']}/notebooks/{path.name}"
    found = re.findall(r"\]\((https://colab[^)]*)\)", read(path).cells[0].source)
    assert found == [f"{colab}/github/{page}"]
