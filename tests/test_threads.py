"""No more threads than processors: quotas of containers, and numbers that the user chose."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from companion import recipes, threads
from companion.datasets import load_images
from companion.threads import allowed_processors, limit_threads
from companion.training import fit

Machine = Callable[..., Path]


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with 8 processors on 4 cores, on which PyTorch has taken as many threads."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CPU_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_left", None)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A function that writes the files of a machine: its root."""

    def write(groups: str = "0::/\n", **files: str) -> Path:
        names = {"max": "cpu.max", "quota": "cpu.cfs_quota_us", "period": "cpu.cfs_period_us"}
        for place, content in ({"proc/self/cgroup": groups} | files).items():
            folder, _, name = place.rpartition("/")
            path = tmp_path / folder / names.get(name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        for index in range(8):
            path = tmp_path / f"sys/devices/system/cpu/cpu{index}/topology/thread_siblings_list"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{index % 4},{index % 4 + 4}\n")
        return tmp_path

    return write


V1 = "5:cpuset:/\n4:cpu,cpuacct:/docker/abc\n0::/\n"
TOP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {f"{TOP}/max": "max 100000\n"}, 8),
        ("0::/\n", {f"{TOP}/max": "200000 100000\n"}, 2),
        ("0::/\n", {f"{TOP}/max": "150000 100000\n"}, 1),
        ("0::/\n", {f"{TOP}/max": "50000 100000\n"}, 1),
        ("0::/\n", {f"{TOP}/max": "6400000 100000\n"}, 8),
        ("0::/a/b\n", {f"{TOP}/a/max": "300000 100000\n", f"{TOP}/a/b/max": "max 100000\n"}, 3),
        ("0::/known/outside/only\n", {f"{TOP}/max": "200000 100000\n"}, 2),
        (V1, {f"{TOP}/cpu/quota": "-1\n", f"{TOP}/cpu/period": "100000\n"}, 8),
        (V1, {f"{TOP}/cpu/quota": "200000\n", f"{TOP}/cpu/period": "100000\n"}, 2),
        (
            V1,
            {
                f"{TOP}/cpu,cpuacct/docker/abc/quota": "100000\n",
                f"{TOP}/cpu,cpuacct/docker/abc/period": "50000\n",
            },
            2,
        ),
    ],
)
def test_quotas_of_control_groups(
    groups: str, files: dict[str, str], expected: int, machine: Machine
) -> None:
    root = machine(groups, **files)
    assert allowed_processors(root) == expected
    limit_threads(root)
    assert torch.get_num_threads() == expected


@pytest.mark.parametrize(
    ("limit", "expected"), [("2", 2), ("1.0", 1), ("0.5", 1), ("", 8), ("0", 8), ("none", 8)]
)
def test_jupyterhubs_limit(
    limit: str, expected: int, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPU_LIMIT", limit)
    assert allowed_processors(machine()) == expected


def test_the_affinity_mask(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6}, raising=False)
    assert allowed_processors(machine(**{f"{TOP}/max": "400000 100000\n"})) == 3


def test_systems_without_these_files(tmp_path: Path) -> None:
    assert allowed_processors(tmp_path) == 8
    limit_threads(tmp_path)
    assert torch.get_num_threads() == 8


TWO = {f"{TOP}/max": "200000 100000\n"}


@pytest.mark.parametrize("chosen", [1, 3, 16])
def test_a_number_that_was_set_stays(chosen: int, machine: Machine) -> None:
    torch.set_num_threads(chosen)
    limit_threads(machine(**TWO))
    assert torch.get_num_threads() == chosen


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_in_the_environment_stays(
    name: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "8")
    limit_threads(machine(**TWO))
    assert torch.get_num_threads() == 8


def test_a_number_that_is_set_later_stays(machine: Machine) -> None:
    root = machine(**TWO)
    limit_threads(root)
    torch.set_num_threads(8)
    limit_threads(root)
    assert torch.get_num_threads() == 8


def test_one_thread_for_each_core_is_pytorchs_own_choice(machine: Machine) -> None:
    torch.set_num_threads(4)
    limit_threads(machine(**TWO))
    assert torch.get_num_threads() == 2


WORK = {
    "fit": lambda: fit(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 1)),
        torch.zeros(4, 1, 2, 2, dtype=torch.uint8),
        lambda model, images, labels: model(images).mean(),
        epochs=1, device="cpu", progress=False,
    ),
    "load_images": lambda: load_images("digits", size=1),
    "load": lambda: recipes.load("vae-digits"),
}  # fmt: skip


@pytest.mark.parametrize("work", WORK)
def test_it_is_done_before_the_work(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPU_LIMIT", "1")
    WORK[work]()
    assert torch.get_num_threads() == 1
