"""The engine of a page, in a real Chromium: any tensors, a worker, turns, parts, faults."""

import base64
import gzip
import hashlib
import itertools
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch import nn

from companion.export import export_model
from companion.site.extension import SECURITY_POLICY
from support.engine_page import served_folder, write_engine_page
from support.pages import visit

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("own_cache")]


class Conditional(nn.Module):
    """Several inputs and outputs of several kinds."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.fc = nn.Linear(6, 3)

    def forward(self, z, label, temperature, keep):
        h = self.fc(torch.cat([z, self.embed(label)], 1)) / temperature
        return {"logits": h, "best": h.argmax(1), "any": keep & (h > 0).any(1)}


INPUTS = (
    torch.randn(5, 2, generator=torch.Generator().manual_seed(0)),
    torch.arange(5) * 2,
    torch.tensor(0.5),
    torch.tensor([True, False, True, True, False]),
)


@pytest.fixture(scope="module")
def conditional():
    torch.manual_seed(0)
    return export_model(Conditional(), INPUTS)


@pytest.fixture(scope="module")
def linear():
    torch.manual_seed(1)
    return export_model(nn.Linear(2, 4), torch.randn(2, 2))


class Deep(nn.Module):
    """About 10 MB, and far more than 300 ms in one thread."""

    def __init__(self):
        super().__init__()
        widths = [3, 64, 192, 256, 256, 256]
        layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths)]
        layers.append(nn.Conv2d(256, 256, 3, padding=1))
        self.body = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))

    def forward(self, image):
        return self.body(image).mean((2, 3))


@pytest.fixture(scope="module")
def deep():
    torch.manual_seed(2)
    return export_model(Deep(), torch.rand(1, 3, 64, 64))


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a page with these exported files: `visit`'s account of it."""
    with ExitStack() as stack:

        def start(*exports, served=False, folder="with space", prepare=lambda folder: None, **page):
            path = write_engine_page(tmp_path / folder, [e.path for e in exports], **page)
            prepare(path.parent)
            address = path.as_uri()
            if served:
                root = stack.enter_context(served_folder(path.parent))
                address = f"{root}/page.html"
            return stack.enter_context(visit(browser, address))

        yield start


def as_js(tensor):
    """A tensor as JSON holds it."""
    return {"data": tensor.flatten().tolist(), "dims": list(tensor.shape)}


# Makes tensors of numbers, and numbers of tensors.
SETUP = """() => {
    globalThis.tensor = ({data, dims}, Kind = Float32Array) =>
        ({data: Kind.from(data, Number), dims});
    globalThis.plain = (tensors) => tensors && Object.fromEntries(Object.entries(tensors).map(
        ([name, {data, dims}]) => [name, {data: Array.from(data, Number), dims: [...dims]}]));
    globalThis.rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
}"""


def evaluate(seen, script, *arguments):
    seen.page.evaluate(SETUP)
    return seen.page.evaluate(script, list(arguments))


RUN_ALL_KINDS = """async ([name, [z, label, temperature, keep]]) => {
    const session = await openModel(name);
    const inputs = () => ({z: tensor(z), label: tensor(label, Int32Array),
        temperature: tensor(temperature), keep: tensor(keep, Uint8Array)});
    const first = plain(await session.run(inputs()));
    const handed = {...inputs(), label: tensor(label, Float32Array)};
    handed.label.data = BigInt64Array.from(label.data, BigInt);
    const second = plain(await session.run(handed, {transfer: true}));
    return {first, second, left: handed.z.data.length, inputs: session.inputs,
        outputs: session.outputs, inWorker: (await page.engine).inWorker};
}"""

NO_WORKER = SECURITY_POLICY.replace("worker-src blob:", "worker-src 'none'")


@pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
@pytest.mark.parametrize("policy", [SECURITY_POLICY, NO_WORKER], ids=["worker", "no worker"])
def test_any_tensors_in_and_out(opened, conditional, served, policy):
    seen = opened(conditional, served=served, policy=policy)
    got = evaluate(seen, RUN_ALL_KINDS, conditional.sha256, [as_js(t) for t in INPUTS])
    expected = conditional(*INPUTS)
    for answer in (got["first"], got["second"]):
        assert list(answer) == list(expected)
        for name, tensor in expected.items():
            assert answer[name]["dims"] == list(tensor.shape)
            np.testing.assert_allclose(answer[name]["data"], tensor.flatten(), atol=1e-5)
    assert got["inWorker"] == (policy == SECURITY_POLICY)
    assert got["left"] == (0 if got["inWorker"] else 10)
    assert [(slot["name"], slot["type"], slot["shape"]) for slot in got["inputs"]] == [
        ("z", "float32", ["N", 2]), ("label", "int64", ["N"]),
        ("temperature", "float32", []), ("keep", "bool", ["N"]),
    ]  # fmt: skip
    assert [slot["name"] for slot in got["outputs"]] == list(expected)
    assert seen.strangers == []
    if policy == SECURITY_POLICY:
        assert seen.errors == []


def test_of_many_calls_the_newest_wins_and_two_sessions_are_independent(opened, linear):
    seen = opened(linear)
    got = evaluate(
        seen,
        """async ([name]) => {
            const [one, two] = await Promise.all([openModel(name), openModel(name)]);
            const ask = (session, k) => session.run({input: tensor({data: [k, -k], dims: [1, 2]})});
            const many = [...Array(20).keys()].map((k) => ask(one, k));
            const other = ask(two, 100);
            return {many: (await Promise.all(many)).map(plain), other: plain(await other),
                sessions: page.sessions.size};
        }""",
        linear.sha256,
    )
    answered = [k for k, answer in enumerate(got["many"]) if answer]
    assert answered in ([0, 19], [19])
    for k, answer in ((19.0, got["many"][19]), (100.0, got["other"])):
        expected = linear(torch.tensor([[k, -k]]))["output"][0]
        np.testing.assert_allclose(answer["output"]["data"], expected, rtol=1e-5, atol=1e-5)
    assert got["sessions"] == 1


@pytest.mark.parametrize("policy", [SECURITY_POLICY, NO_WORKER], ids=["worker", "no worker"])
def test_what_can_wait_waits_and_can_be_called_off(opened, linear, policy):
    seen = opened(linear, policy=policy)
    got = evaluate(
        seen,
        """async ([name]) => {
            const session = await openModel(name);
            const input = {input: tensor({data: [1, 2], dims: [1, 2]})};
            const order = [];
            const note = (what) => (answer) => order.push(answer ? what : `no ${what}`);
            const first = [0, 1, 2].map((k) =>
                session.whenIdle(input, () => true).then(note(`idle ${k}`)));
            const urgent = session.run(input).then(note("urgent"));
            await Promise.all([...first, urgent]);
            let done = 0;
            const count = (answer) => { if (answer) done += 1; };
            const long = [...Array(50).keys()].map(() =>
                session.whenIdle(input, () => done < 7).then(count));
            await Promise.all(long);
            return {order, done};
        }""",
        linear.sha256,
    )
    # One that has begun can't be overtaken; all others can.
    assert got["order"].index("urgent") <= 1
    assert [what for what in got["order"] if what != "urgent"] == ["idle 0", "idle 1", "idle 2"]
    assert got["done"] == 7


def test_two_models_side_by_side(opened, linear, conditional):
    seen = opened(linear, conditional)
    got = evaluate(
        seen,
        """async ([first, second, z, label, temperature, keep]) => {
            const [one, two] = await Promise.all([openModel(first), openModel(second)]);
            const runs = [];
            for (let k = 0; k < 10; k += 1) {
                runs.push(one.whenIdle({input: tensor(z)}, () => true));
                runs.push(two.whenIdle({z: tensor(z), label: tensor(label, Int32Array),
                    temperature: tensor(temperature), keep: tensor(keep, Uint8Array)}, () => true));
            }
            return (await Promise.all(runs)).map(plain);
        }""",
        linear.sha256, conditional.sha256, *map(as_js, INPUTS),
    )  # fmt: skip
    for k, answer in enumerate(got):
        expected = conditional(*INPUTS)["logits"] if k % 2 else linear(INPUTS[0])["output"]
        found = answer["logits" if k % 2 else "output"]["data"]
        np.testing.assert_allclose(found, expected.flatten(), atol=1e-5)
    assert seen.errors == []


FAULTS = """async ([name, calls]) => {
    const session = await openModel(name);
    const said = [];
    for (const inputs of calls) {
        const tensors = Object.fromEntries(Object.entries(inputs).map(([k, t]) => [k, tensor(t)]));
        said.push(await session.run(tensors).then(() => "no error", (error) => error.message));
    }
    const good = plain(await session.run({input: tensor({data: [1, 2], dims: [1, 2]})}));
    return {said, good};
}"""


@pytest.mark.parametrize("policy", [SECURITY_POLICY, NO_WORKER], ids=["worker", "no worker"])
def test_an_error_is_one_sentence_and_the_session_goes_on(opened, linear, policy):
    seen = opened(linear, policy=policy)
    calls = [
        {"input": {"data": [1, 2, 3], "dims": [1, 3]}},
        {"input": {"data": [1, 2, 3], "dims": [2, 2]}},
        {},
        {"z": {"data": [1, 2], "dims": [1, 2]}},
    ]
    got = evaluate(seen, FAULTS, linear.sha256, calls)
    for said, words in zip(got["said"], ["invalid dim", "size", "missing", "missing"], strict=True):
        assert words in said.lower()
        assert "\n" not in said
        assert "ERROR_CODE" not in said
    expected = linear(torch.tensor([[1.0, 2.0]]))["output"][0]
    np.testing.assert_allclose(got["good"]["output"]["data"], expected, atol=1e-5)


def test_files_that_are_missing_or_damaged_are_one_sentence_and_no_end(opened, linear, conditional):
    def prepare(folder):
        models = folder / "companion" / "models"
        (models / f"{conditional.sha256}.js").unlink()
        for name, content in {"damaged": b"half of it", "text": gzip.compress(b"text")}.items():
            code = base64.b64encode(content).decode()
            (models / f"{name}.js").write_text(f'companionAsset("{name}","{code}",1,9);')
        (models / "other.js").write_text("0;")

    seen = opened(linear, conditional, prepare=prepare)
    got = evaluate(
        seen,
        """async ([good, ...bad]) => {
            const said = [];
            const why = ({message}) => message;
            for (const name of bad) said.push(await openModel(name).catch(why));
            const session = await openModel(good);
            const answer = await session.run({input: tensor({data: [1, 2], dims: [1, 2]})});
            return {said, runs: answer !== null, sessions: [...page.sessions.keys()]};
        }""",
        linear.sha256, conditional.sha256, "damaged", "text", "other",
    )  # fmt: skip
    missing, damaged, text, other = got["said"]
    assert missing.endswith(f"{conditional.sha256}.js did not load")
    assert damaged == "the file damaged… is damaged"
    assert "protobuf" in text
    assert other.endswith("other.js does not hold other")
    assert all("\n" not in said for said in got["said"])
    assert got["runs"]
    assert got["sessions"] == [linear.sha256]


def test_an_engine_that_stops_says_so_and_can_be_started_again(opened, linear):
    broken = b"onmessage=()=>{throw new Error('boom')};postMessage({id:0})"
    code = base64.b64encode(gzip.compress(broken)).decode()

    def prepare(folder):
        engine = folder / "companion" / "engine.js"
        good = engine.read_text()
        engine.unlink()
        engine.write_text(f'companionAsset("engine",...(globalThis.once?[]:["{code}",1,9]));'
                          f"if(globalThis.once){{{good}}}globalThis.once=1")  # fmt: skip

    seen = opened(linear, prepare=prepare)
    got = evaluate(
        seen,
        """async ([name]) => {
            const said = await openModel(name).catch((error) => error.message);
            return {said, again: (await openModel(name)).inputs[0].name};
        }""",
        linear.sha256,
    )
    assert got["said"].startswith("the engine stopped: ")
    assert "boom" in got["said"]
    assert got["again"] == "input"


def test_a_released_session_frees_the_model_and_answers_nothing(opened, linear):
    seen = opened(linear)
    asked = []
    seen.page.on("request", lambda request: asked.append(request.url.split("/")[-1].split("?")[0]))
    got = evaluate(
        seen,
        """async ([name]) => {
            const input = {input: tensor({data: [1, 2], dims: [1, 2]})};
            const [one, two] = await Promise.all([openModel(name), openModel(name)]);
            one.release();
            one.release();
            const after = await one.run(input);
            const other = await two.run(input) !== null;
            const running = two.run(input);
            const waiting = two.whenIdle(input, () => true);
            two.release();
            await running;
            const sessions = page.sessions.size;
            const third = await openModel(name);
            return {after, other, waiting: await waiting, sessions,
                third: await third.run(input) !== null};
        }""",
        linear.sha256,
    )
    assert got == {"after": None, "other": True, "waiting": None, "sessions": 0, "third": True}
    assert asked.count(f"{linear.sha256}.js") == 2
    assert asked.count("engine-wasm.js") == 1


@pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
def test_a_large_file_comes_in_parts_with_progress(opened, deep, served):
    size = len(gzip.compress(deep.path.read_bytes(), 9, mtime=0))
    assert size > 8e6
    seen = opened(deep, served=served)
    got = evaluate(
        seen,
        """async ([name]) => {
            const heard = [];
            const bytes = await fileBytes(name, (...progress) => heard.push(progress));
            const late = [];
            const onProgress = (...progress) => late.push(progress);
            await Promise.all([openModel(name), openModel(name, {onProgress})]);
            const during = late.length;
            await openModel(name, {onProgress});
            let text = "";
            for (const byte of bytes) text += String.fromCharCode(byte);
            return {heard, late: late.slice(during - 1), bytes: btoa(text)};
        }""",
        deep.sha256,
    )
    loaded = [progress[0] for progress in got["heard"]]
    assert loaded == sorted(set(loaded))
    assert len(loaded) >= 8
    assert {progress[1] for progress in got["heard"]} == {size}
    assert loaded[-1] == size
    assert got["late"] == [[size, size], [size, size]]
    assert hashlib.sha256(base64.b64decode(got["bytes"])).hexdigest() == deep.sha256
    assert seen.errors == []


def test_a_long_run_leaves_the_page_its_frames(opened, deep):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = opened(deep)
    got = evaluate(
        seen,
        """async ([name, image]) => {
            const session = await openModel(name);
            const times = [];
            let on = true;
            const frame = (now) => { times.push(now); if (on) requestAnimationFrame(frame); };
            const inputs = {image: tensor(image)};
            await session.run(inputs); // the first compiles
            requestAnimationFrame(frame);
            const start = performance.now();
            const answer = plain(await session.run(inputs));
            const took = performance.now() - start;
            on = false;
            const gaps = times.slice(1).map((time, k) => time - times[k]);
            return {answer, took, frames: times.length, longest: Math.max(...gaps)};
        }""",
        deep.sha256, as_js(image),
    )  # fmt: skip
    np.testing.assert_allclose(got["answer"]["output"]["data"], deep(image)["output"][0], atol=1e-4)
    assert got["took"] > 300
    # However busy the machine: nothing like the run's length passes between two frames.
    assert got["frames"] > 5
    assert got["longest"] < got["took"] / 2
