"""Trainings in a page, in a real Chromium: the same weights as torch, faults, fairness, the end."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from companion.site.extension import SECURITY_POLICY
from companion.site.frontend import build_frontend
from companion.widgets.noise import batch_rows, permutation, step_noise
from support import trainings
from support.engine_page import served_folder, write_engine_page
from support.pages import visit

NO_WORKER = SECURITY_POLICY.replace("worker-src blob:", "worker-src 'none'")


class TestRandomNumbers:
    def test_an_epoch_takes_every_row_once(self):
        rows = torch.cat([batch_rows(3, step, 100, 20) for step in range(5)])
        assert rows.sort().values.tolist() == list(range(100))
        other = torch.cat([batch_rows(3, step, 100, 20) for step in range(5, 10)])
        assert rows.tolist() != other.tolist()
        assert not torch.equal(rows, torch.cat([batch_rows(4, step, 100, 20) for step in range(5)]))

    def test_what_is_left_over_is_not_used_and_all_rows_keep_their_order(self):
        rows = [set(batch_rows(0, step, 10, 4).tolist()) for step in range(2)]
        assert len(rows[0] | rows[1]) == 8
        assert batch_rows(5, 7, 10, 10).tolist() == list(range(10))

    def test_orders_are_equally_likely(self):
        first = torch.stack([permutation(seed, 6) for seed in range(3000)])[:, 0].bincount()
        assert (first - 500).abs().max() < 5 * np.sqrt(500)

    def test_uniform_noise_stays_below_1_in_float32(self):
        noise = step_noise(1, 2, 0, "uniform", (50, 40))
        assert noise.dtype == torch.float32
        assert noise.shape == (50, 40)
        assert noise.min() >= 0
        assert noise.max() < 1
        assert torch.equal((noise * 2**24).round(), noise * 2**24)
        assert not torch.equal(noise, step_noise(1, 3, 0, "uniform", (50, 40)))
        assert not torch.equal(noise, step_noise(1, 2, 1, "uniform", (50, 40)))


# Starts a training and takes steps: {losses, weights} after them, or {failed}.
SETUP = """() => {
    globalThis.start = (spec, {seed = 0, numbers, step = 0}) => {
        const seen = {losses: [], steps: 0, states: [], wait: () => {}};
        const settings = {seed, numbers: {...spec.numbers, ...numbers}, step};
        const player = trainer({spec, settings: () => settings,
            onSteps: (taken) => {
                seen.losses.push(...taken.losses);
                seen.steps = taken.steps;
                seen.wait();
            },
            onState: (state, why) => {
                seen.states.push(why ? `${state}: ${why.message}` : state);
                seen.wait();
            }});
        seen.until = (holds) => new Promise((resolve) => {
            seen.wait = () => holds(seen) && resolve(seen);
            seen.wait();
        });
        return {player, seen, settings};
    };
    globalThis.weightsOf = async (player, size) =>
        Array.from((await player.look({functions: {}, weights: [[0, size]]})).weights[0]);
}"""

FIFTY = """async ([spec, options, size]) => {
    const {player, seen} = start(spec, options);
    player.play(20);
    await seen.until(({steps, states}) => steps === 20 && states.at(-1) === "paused");
    player.play(30);
    await seen.until(({steps, states}) => steps === 50 && states.at(-1) === "paused");
    const weights = await weightsOf(player, size);
    const first = seen.losses.slice();
    await player.reset();
    const back = await weightsOf(player, size);
    [seen.losses, seen.steps] = [[], 0];
    player.play(50);
    await seen.until(({steps, states}) => steps === 50 && states.at(-1) === "paused");
    const same = String(seen.losses) === String(first);
    const inWorker = (await page.engine).inWorker;
    player.stop();
    return {weights, losses: first, back, same, inWorker};
}"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def live(cache):
    """A function: the widget of that kind, made once."""
    made = {}

    def make(kind):
        if kind not in made:
            made[kind] = trainings.widget(kind)
        return made[kind]

    return make


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a page with these widgets' files: `visit`'s account of it."""
    build_frontend(quiet=True)
    with ExitStack() as stack:

        def start(*widgets, served=False, **page):
            files = {path.stem: path for each in widgets for path in each._models.values()}
            path = write_engine_page(tmp_path / "with space", list(files.values()), **page)
            address = path.as_uri()
            if served:
                root = stack.enter_context(served_folder(path.parent))
                address = f"{root}/page.html"
            seen = stack.enter_context(visit(browser, address))
            seen.page.evaluate(SETUP)
            return seen

        yield start


def start_weights(widget):
    return np.frombuffer(widget._models[widget.training["weights"]].read_bytes(), "<f4")


@pytest.mark.browser
class TestInABrowser:
    @pytest.mark.parametrize("kind", ["softmax", "cnn", "vae"])
    @pytest.mark.parametrize(
        ("served", "policy"),
        [(True, SECURITY_POLICY), (False, SECURITY_POLICY), (True, NO_WORKER)],
        ids=["served", "file", "no worker"],
    )
    def test_fifty_steps_equal_torchs(self, opened, live, kind, served, policy):
        widget = live(kind)
        inputs = {"beta": 4.0} if kind == "vae" else {}
        first = start_weights(widget)
        seen = opened(widget, served=served, policy=policy)
        options = {"seed": widget.seed, "numbers": {**widget.numbers, **inputs}}
        got = seen.page.evaluate(FIFTY, [widget.training, options, len(first)])
        model, losses = trainings.trained(kind, widget, 50, **inputs)
        found = widget.state_dict(torch.tensor(got["weights"]))
        expected = dict(model.named_parameters()) | dict(model.named_buffers())
        for name, tensor in found.items():
            wanted = expected[name].detach()
            assert (tensor - wanted).abs().max() <= 1e-4 * wanted.abs().max(), name
        names = widget.training["losses"]
        rows = np.array(got["losses"]).reshape(50, len(names))
        wanted_rows = np.array([[entries[name] for name in names] for entries in losses])
        np.testing.assert_allclose(rows, wanted_rows, rtol=1e-4, atol=1e-5)
        assert np.array_equal(np.float32(got["back"]), first)
        assert got["same"], "after a reset the curve is the very same"
        assert got["inWorker"] == (policy == SECURITY_POLICY)
        assert seen.strangers == []
        if policy == SECURITY_POLICY:
            assert seen.errors == []
