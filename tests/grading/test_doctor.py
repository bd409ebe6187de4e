"""Canaries: held in every sandbox, out where there is none, never harmful."""

import time

import pytest

from attnbook.grading.boxes import doctor, sandbox
from attnbook.grading.boxes.doctor import JUDGES, Canary, describe, examine
from attnbook.grading.boxes.sandbox import BACKENDS


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "unsafe"])
def test_every_canary_is_held(name):
    if trouble := sandbox.trouble(name):
        pytest.skip(trouble)
    start = time.monotonic()
    canaries = examine(BACKENDS[name])
    assert [canary for canary in canaries if not canary.ok] == []
    assert [canary.name for canary in canaries] == list(JUDGES)
    assert time.monotonic() - start < 10


def test_canaries_get_out_without_a_sandbox():
    held = {canary.name for canary in examine(BACKENDS["unsafe"]) if canary.ok}
    assert held <= {"knows no variable of yours", "memory is limited"} | {
        "writes in its scratch only",
        "has no network",
    }


def test_dead_canary_does_not_count_as_held():
    found = {"after": [False, False], "files": {"broke": "no"}}
    for name, judge in JUDGES.items():
        canary = doctor._judged(name, judge, found, {"private": [], "scratch": {}})
        assert not canary.ok, name


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("reads no file of yours", {"files": ["/root/secret"]}),
        ("cannot import attnbook", {"package": "/src/attnbook/__init__.py"}),
        ("writes in its scratch only", {"writing": ["/tmp", "/tmpfs"]}),
        ("scratch is bounded", {"scratch": {"/tmp": [24, ""]}}),
        ("scratch is bounded", {"scratch": {"/tmp": [20, "ENOSPC"]}}),
        ("has no network", {"network": ["vsock"]}),
        ("sees no process of yours", {"processes": ["pid:[1]", 90]}),
        ("knows no variable of yours", {"environment": True}),
        ("memory is limited", {"memory": True}),
        ("processes are limited", {"forks": 34}),
        ("processes are limited", {"forks": 0}),
        ("cannot become root in a namespace", {"namespaces": True}),
        ("leaves no process behind", {"orphans": True, "after": [False, True]}),
        ("leaves no process behind", {"orphans": False, "after": [True, False]}),
    ],
)
def test_canary_that_is_out_is_named(name, found):
    bait = {"private": [], "scratch": {"/tmp": 16}}
    assert not doctor._judged(name, JUDGES[name], found, bait).ok


@pytest.mark.parametrize(
    "change", [{"Uid": "0 0 0 0"}, {"CapBnd": "00000000a80425fb"}, {"NoNewPrivs": "0"}]
)
def test_rights_are_all_looked_at(change):
    none = {name: "0" * 16 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd")}
    rights = {"Uid": "7 7 7 7", "Gid": "7 7 7 7", **none, "NoNewPrivs": "1"}
    judge = JUDGES["is nobody, without rights"]
    assert judge({"rights": rights}, {})[0]
    assert not judge({"rights": rights | change}, {})[0]


def test_describe_counts_those_that_got_out():
    text = describe([Canary("a", True, "held"), Canary("bb", False, "out")])
    lines = text.splitlines()
    assert lines[0] == "ok    a   held"
    assert lines[1] == "FAIL  bb  out"
    assert lines[2].startswith("1 of 2 got out")
