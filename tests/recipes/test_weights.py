"""Weights on disk: what is loaded is what was saved, and nothing damaged is ever loaded."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from companion.recipes import weights
from companion.recipes.weights import Card, WeightsError

CARD = Card(
    recipe="tiny",
    description="A tiny network.",
    command="companion train tiny",
    data="none",
    seed=3,
    settings={"fit": {"epochs": 2, "lr": 1e-3}, "model": {"image_shape": (1, 2, 3)}},
    hardware="an abacus",
    seconds=12.5,
    figures={"negative_elbo": 12.25, "kl_per_dim": [0.5, 2.0]},
    history={"loss": [3.0, 2.0]},
)


def network(seed: int = 0, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    weights.save(network(), path, CARD)
    return path


def test_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model, other = network(), network(1)
    model(torch.randn(8, 3))  # running statistics and their counter are state, too
    path = tmp_path / "new" / "tiny.safetensors"
    card = weights.save(model, path, CARD)
    assert weights.load(other, path) == card
    assert same(state(model), state(other))
    assert card.parameters == 3 * 4 + 4 + 2 * 4 + 4 * 2 + 2
    assert card.versions["torch"] == torch.__version__
    assert card.figures == CARD.figures
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "tiny.json",
        "tiny.safetensors",
    ]


def test_half_precision_is_half_the_size_and_exact_once_rounded(tmp_path: Path) -> None:
    wide = nn.Linear(100, 100)
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    weights.save(wide, full, CARD)
    weights.round_to(wide, "float16")
    assert weights.save(wide, half, CARD, dtype="float16").dtype == "float16"
    assert half.stat().st_size < 0.51 * full.stat().st_size
    other = nn.Linear(100, 100)
    weights.load(other, half)
    assert other.weight.dtype == torch.float32
    assert same(state(wide), state(other))


def test_rounding_loses_little(tmp_path: Path) -> None:
    model, rounded = network(), network()
    weights.round_to(rounded, "float16")
    assert not same(state(model), state(rounded))
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(rounded.state_dict()[name], tensor, rtol=1e-3, atol=1e-6)


def test_channels_last_and_shared_tensors(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(4, 4), nn.Linear(4, 4))
    model[2].weight = model[1].weight
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = tmp_path / "tied.safetensors"
    weights.save(model, path, CARD)
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(4, 4), nn.Linear(4, 4))
    weights.load(other, path)
    assert same(state(model), state(other))


def test_the_card_in_words(saved: Path) -> None:
    text = weights.read_card(saved).summary()
    assert "tiny: A tiny network." in text
    assert "companion train tiny (seed 3) in 12 s on an abacus" in text
    assert "parameters: 34, stored as float32" in text
    assert "reaches: negative_elbo 12.25" in text


# ---- damage


def attempt(path: Path) -> str:
    """Load; the message if it is refused. The model must be untouched then."""
    model = network(9)
    before = state(model)
    with pytest.raises(WeightsError) as caught:
        weights.load(model, path)
    assert same(before, state(model))
    message = str(caught.value)
    assert str(path.parent) in message
    assert "\n" not in message
    return message


def damages(content: bytes) -> st.SearchStrategy[tuple[int, int, bytes]]:
    """Where something is wrong, how many bytes are gone there, what stands in their place."""
    lengths = st.one_of(st.integers(0, 1), st.integers(2, 64), st.just(len(content)))
    return st.tuples(st.integers(0, len(content) - 1), lengths, st.binary(max_size=64))


def damaged(content: bytes, at: int, gone: int, new: bytes) -> bytes:
    result = content[:at] + new + content[at + gone :]
    assume(result != content)
    return result


def test_corruption_of_the_weights_is_refused(saved: Path) -> None:
    content = saved.read_bytes()

    @settings(max_examples=500)
    @given(damages(content))
    def refused(damage: tuple[int, int, bytes]) -> None:
        saved.write_bytes(damaged(content, *damage))
        message = attempt(saved)
        assert re.search("is damaged: its card expects SHA-256 .*; fetch it anew", message)

    refused()


def test_corruption_of_the_card_is_refused_or_changes_nothing(saved: Path) -> None:
    card_file = saved.with_suffix(".json")
    card, content = weights.read_card(saved), card_file.read_bytes()

    @settings(max_examples=300)
    @given(damages(content))
    @example((content.index(b" "), 0, b" "))  # white space says nothing
    def refused(damage: tuple[int, int, bytes]) -> None:
        wrong = damaged(content, *damage)
        card_file.write_bytes(wrong)
        try:
            unchanged = json.loads(wrong) == json.loads(content)
        except (ValueError, RecursionError):
            unchanged = False
        if unchanged:
            assert weights.read_card(saved) == card
        else:
            attempt(saved)

    refused()


def test_an_edited_figure_is_noticed(saved: Path) -> None:
    card_file = saved.with_suffix(".json")
    card_file.write_text(card_file.read_text().replace("12.25", "11.25"))
    assert "changed after it was written" in attempt(saved)


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", "3", '"card"', 9999 * "["])
def test_other_files_are_no_cards(saved: Path, content: str) -> None:
    saved.with_suffix(".json").write_text(content)
    assert "is no card" in attempt(saved)


def test_missing_files(saved: Path) -> None:
    saved.unlink()
    message = attempt(saved)
    assert "tiny.safetensors cannot be read (No such file" in message
    assert "`companion train tiny`" in message
    saved.with_suffix(".json").unlink()
    assert "tiny.json cannot be read" in attempt(saved)


def test_a_folder_in_place_of_the_file(saved: Path) -> None:
    saved.unlink()
    saved.mkdir()
    assert "cannot be read" in attempt(saved)


def seal(path: Path, content: bytes) -> None:
    """Write content as weights, with a card that vouches for it."""
    path.write_bytes(content)
    card = weights.read_card(path)
    entries = weights.asdict(replace(card, sha256=weights.hashlib.sha256(content).hexdigest()))
    entries["card_sha256"] = weights._digest(entries)
    path.with_suffix(".json").write_text(json.dumps(entries))


def test_what_is_no_safetensors_file_is_refused_even_if_vouched_for(saved: Path) -> None:
    seal(saved, b"not weights at all")
    assert "no safetensors file" in attempt(saved)


def test_a_card_of_another_version(saved: Path) -> None:
    entries = json.loads(saved.with_suffix(".json").read_text())
    del entries["card_sha256"]
    entries["novelty"] = 1
    entries["card_sha256"] = weights._digest(entries)
    saved.with_suffix(".json").write_text(json.dumps(entries))
    assert "another version" in attempt(saved)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(width=5), r"0\.weight is expected with shape \(5, 3\), but came with \(4, 3\)"),
        (network()[:2], r"2\.(weight|bias) came, but is not expected"),
        (nn.Sequential(*network(), nn.Linear(2, 2)), r"3\.weight of shape \(2, 2\).*missing"),
    ],
)
def test_another_models_weights(saved: Path, model: nn.Module, words: str) -> None:
    before = state(model)
    with pytest.raises(WeightsError, match=words):
        weights.load(model, saved)
    assert same(before, state(model))


# ---- saving


def test_saving_replaces_in_one_move(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        weights.save(network(1), saved, CARD)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 2
    weights.save(network(1), saved, CARD)
    other = network()
    weights.load(other, saved)
    assert same(state(other), state(network(1)))


def test_useless_weights_are_not_saved(tmp_path: Path) -> None:
    model = network()
    with torch.no_grad():
        model[0].weight[0, 0] = 1e6  # too large for half precision
    path = tmp_path / "tiny.safetensors"
    with pytest.raises(ValueError, match=r"0\.weight has values .* as float16"):
        weights.save(model, path, CARD, dtype="float16")
    assert not path.exists()


def test_a_card_that_cannot_be_written_spoils_nothing(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="card of tiny has a number that is NaN"):
        weights.save(network(1), saved, replace(CARD, figures={"negative_elbo": float("nan")}))
    assert saved.read_bytes() == before
    weights.load(network(), saved)


class Extra(nn.Module):
    """A network whose state is more than parameters and buffers."""

    def __init__(self, extra: Any) -> None:
        super().__init__()
        self.layer, self.extra = nn.Linear(2, 1), extra

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


def test_extra_state_that_is_a_tensor_is_saved_and_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "extra.safetensors"
    weights.save(Extra(torch.tensor([3, 4])), path, CARD)
    other = Extra(torch.tensor([0, 0]))
    weights.load(other, path)
    assert other.extra.tolist() == [3, 4]
    before = path.read_bytes()
    counting = Extra({"calls": 3})
    words = r"the model's _extra_state is dict: leave get_extra_state out, or give it a tensor"
    with pytest.raises(ValueError, match=words):
        weights.save(counting, path, CARD)
    with pytest.raises(ValueError, match=words):
        weights.load(counting, path)
    assert path.read_bytes() == before
    assert counting.extra == {"calls": 3}


def test_bad_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'int8'"):
        weights.save(network(), tmp_path / "a.safetensors", CARD, dtype="int8")
    with pytest.raises(ValueError, match=r"'a\.pt'"):
        weights.save(network(), tmp_path / "a.pt", CARD)
    with pytest.raises(ValueError, match=r"'a\.pt'"):
        weights.load(network(), tmp_path / "a.pt")
