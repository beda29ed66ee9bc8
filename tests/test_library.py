"""torchvision can be imported beside a torch that its wheel was not built for."""

import subprocess
import sys
from types import ModuleType

import pytest
import torch

from companion import library as under_test
from companion.library import import_torchvision


@pytest.mark.slow
def test_in_a_fresh_process_even_after_an_import_that_failed() -> None:
    program = """
try:
    import torchvision
except RuntimeError:
    pass
from companion.library import import_torchvision
found = import_torchvision()
import torchvision
from torchvision.transforms import v2
assert found is torchvision is import_torchvision()
import torch
image = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
assert v2.functional.horizontal_flip(image)[0].tolist() == [[1, 0], [3, 2]]
try:
    print(torchvision.ops.nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), 0.5).tolist())
except RuntimeError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[0]" or run.stdout.startswith("Couldn't load custom C++ ops")


def test_a_torchvision_that_matches_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torchvision")
    monkeypatch.setattr(under_test, "import_module", lambda name: module)
    monkeypatch.setattr(torch.library, "define", lambda *args: pytest.fail("defined an operator"))
    assert import_torchvision() is module


def test_missing_torchvision_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(under_test, "import_module", missing)
    with pytest.raises(ImportError, match=r"^torchvision is not installed: pip install"):
        import_torchvision()


@pytest.mark.parametrize(
    "trouble",
    [
        RuntimeError("PyTorch and torchvision were compiled with different CUDA major versions."),
        ModuleNotFoundError("No module named 'PIL'", name="PIL"),
    ],
)
def test_other_trouble_is_passed_on(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    def fails(name: str) -> ModuleType:
        raise trouble

    monkeypatch.setattr(under_test, "import_module", fails)
    with pytest.raises(type(trouble)) as caught:
        import_torchvision()
    assert caught.value is trouble
