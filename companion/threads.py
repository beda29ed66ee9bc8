"""How many threads PyTorch computes with: no more than the processors that this process may use.

PyTorch starts a thread for each processor that it sees. A container often has a share of two out of
many; its threads then wait for one another, spinning, instead of computing: two epochs of a small
network took 0.5 s with 2 threads on 2 processors, and 7.3 s with 8.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch

_left: int | None = None  # the number of threads at the end of the last `limit_threads`


def limit_threads(root: Path = Path("/")) -> None:
    """Have PyTorch use no more threads than `allowed_processors`; called before parallel work.

    A number that the user chose stays: OMP_NUM_THREADS or MKL_NUM_THREADS in the environment, or
    `torch.set_num_threads`, which is recognised by a number that PyTorch would not have taken.
    """
    global _left
    now = torch.get_num_threads()
    if os.environ.get("OMP_NUM_THREADS") or os.environ.get("MKL_NUM_THREADS"):
        return
    if now not in (_defaults(root) if _left is None else {_left}):
        return
    if (allowed := allowed_processors(root)) < now:
        torch.set_num_threads(allowed)
    _left = min(now, allowed)


@contextlib.contextmanager
def keep_threads() -> Iterator[None]:
    """PyTorch has as many threads after the block as before it.

    numba starts its OpenMP threads by setting a number that PyTorch shares: a UMAP that runs on one
    thread leaves PyTorch with as many as the machine has processors.
    """
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def allowed_processors(root: Path = Path("/")) -> int:
    """How many processors this process may keep busy, at least 1.

    The smallest of: those that the system has, the affinity mask, the limit that JupyterHub names
    in CPU_LIMIT, and the quota of its control group or of one above (Linux's cgroup v2 or v1). A
    part of a processor is rounded down. `root` is where /proc and /sys are found.
    """
    limits = [float(len(_affinity())), *_quotas(root)]
    with contextlib.suppress(ValueError):  # not set, or not a number
        limits.append(float(os.environ.get("CPU_LIMIT", "")))
    return max(1, math.floor(min(limit for limit in limits if limit > 0)))


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas(root: Path) -> Iterator[float]:
    """Processors that each control group around this process is limited to."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # another system than Linux
        return
    for line in groups:
        number, controllers, name = line.split(":", 2)
        if number == "0":  # version 2
            tops = [root / "sys/fs/cgroup"]
        elif "cpu" in controllers.split(","):
            tops = [root / "sys/fs/cgroup/cpu", root / "sys/fs/cgroup" / controllers]
        else:
            continue
        for top in tops:
            group = top / name.lstrip("/")
            # Within a container the name may be one that only the machine outside knows.
            for folder in (group, *group.parents):
                if folder.is_relative_to(top):
                    yield from _quota(folder)


def _quota(group: Path) -> Iterator[float]:
    try:
        quota, period = (group / "cpu.max").read_text().split()  # "200000 100000", "max 100000"
    except OSError:
        try:
            quota = (group / "cpu.cfs_quota_us").read_text()  # -1: none
            period = (group / "cpu.cfs_period_us").read_text()
        except OSError:
            return
    if quota != "max" and int(quota) > 0:
        yield int(quota) / int(period)


def _defaults(root: Path) -> set[int]:
    """The numbers of threads that PyTorch may have taken by itself: of processors, or of cores."""
    allowed, count = _affinity(), os.cpu_count() or 1
    numbers = {count, len(allowed)}
    for processors in (range(count), allowed):
        files = [
            root / f"sys/devices/system/cpu/cpu{index}/topology/thread_siblings_list"
            for index in processors
        ]
        numbers.add(len({file.read_text() for file in files if file.exists()}))
    return numbers
