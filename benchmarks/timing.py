"""What the benchmarks share: timing in turns, and saying where and when.

All contestants of a row run in one process, in turn, several rounds. "relative" is the
median over rounds of the ratio within a round, "fastest" the ratio of the best rounds,
which a busy neighbour disturbs least. Only ratios travel between machines.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Callable[[], object]]


def seconds(work: Callable[[], object]) -> float:
    """Time one call, waiting for the GPU where there is one.

    On one CPU thread this is the time of the processor, so that what a neighbour takes
    does not count.
    """
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    clock = time.process_time if alone else time.perf_counter
    start = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def measure(row: Row, base: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return milliseconds and times relative to `base` of each contestant."""
    for work in row.values():
        work()
    names = list(row)
    times = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 else reversed(names):
            times[name].append(seconds(row[name]))
    return {
        name: {
            "milliseconds": 1e3 * statistics.median(spent),
            "relative": statistics.median(
                mine / theirs for mine, theirs in zip(spent, times[base], strict=True)
            ),
            "fastest": min(spent) / min(times[base]),
        }
        for name, spent in times.items()
    }


def machine(device: torch.device) -> dict[str, object]:
    """Say where and when: without it, a time means nothing."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"{platform.machine()} CPU",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def show(title: str, row: dict[str, dict[str, float]]) -> None:
    """Print one row of a report."""
    print(title)
    for name, got in row.items():
        print(
            f"  {name:24}{got['milliseconds']:9.1f} ms"
            f"{got['relative']:8.2f} ×{got['fastest']:8.2f} ×",
            flush=True,
        )


def store(name: str, report: dict) -> None:
    """Write a report under `benchmarks/results/`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(f"stored {path}")
