"""Exported training steps against plain torch loops: weights, losses, layers; what is refused."""

import gzip
import hashlib
import json
import random
from functools import partial

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from companion.export import gradients, optimizers
from companion.export.training import export_training
from companion.models import DCGAN, ConvVAE, DenseAutoencoder, discriminator_loss, generator_loss
from companion.training.losses import classification_loss, negative_elbo

Adam, AdamW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks, and tests beside each other
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """One for the module: a step that two tests use is exported once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANION_CACHE_DIR", str(folder))
        yield folder


class Page:
    """Runs an exported step as a page does: what comes out goes in again."""

    def __init__(self, exported):
        self.exported = exported
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more would wait for each other
        self.session = onnxruntime.InferenceSession(exported.step.path.read_bytes(), options)
        self.feeds = {name: tensor.numpy() for name, tensor in exported.start().items()}
        self.outputs = [port.name for port in exported.step.outputs]

    def step(self, **tensors):
        feeds = self.feeds | {name: np.asarray(value) for name, value in tensors.items()}
        wanted = {port.name: feeds[port.name] for port in self.exported.step.inputs}
        results = dict(zip(self.outputs, self.session.run(None, wanted), strict=True))
        for name in self.exported.state:
            self.feeds[name] = results[f"new_{name}"]
        return {name: float(results[name]) for name in self.exported.losses}

    @property
    def weights(self):
        return torch.from_numpy(self.feeds["weights"])


def worst(page, model):
    """The largest difference of a parameter or buffer, relative to its largest value."""
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    trained = page.exported.state_dict(page.weights)
    assert set(trained) == {name for name in state if "num_batches" not in name}
    with torch.no_grad():
        return max(
            float((trained[name] - value).abs().max() / value.abs().max().clamp(min=1e-3))
            for name, value in state.items()
            if name in trained
        )


def digits(count, seed=0, side=8):
    """Pictures with something to learn in them: a bright square, and where it is."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    images = torch.randint(0, 60, (count, 1, side, side), generator=generator, dtype=torch.uint8)
    half = side // 2
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = label // 2 * half, label % 2 * half
        image[0, row : row + half, column : column + half] += 150
    return images, labels


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))


def small():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.LeakyReLU(0.1), nn.Flatten(),
        nn.Linear(36, 4),
    )  # fmt: skip


def cnn():
    """Strides, groups, poolings, norms and activations of the book."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 2, stride=2),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 12, bias=False),
        nn.BatchNorm1d(12),
        nn.LeakyReLU(0.1),
        nn.LayerNorm(12),
        nn.Linear(12, 4),
    )


def conv_autoencoder():
    return nn.Sequential(
        nn.Conv2d(1, 6, 4, 2, 1), nn.ELU(), nn.Conv2d(6, 8, 4, 2, 1), nn.Tanh(),
        nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.Softplus(), nn.ConvTranspose2d(6, 1, 4, 2, 1),
        nn.Sigmoid(),
    )  # fmt: skip


def cross_entropy(model, images, labels):
    return F.cross_entropy(model(images), labels)


def squared_error(model, images, labels):
    return {"loss": F.mse_loss(model(images), images), "l1": F.l1_loss(model(images), images)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "loss", "optimizer", "lr"),
    [
        (linear, classification_loss(0.1), SGD, 0.3),
        (linear, classification_loss(), partial(SGD, momentum=0.9, weight_decay=0.01), 0.1),
        (linear, classification_loss(), partial(SGD, momentum=0.8, nesterov=True), 0.1),
        (linear, classification_loss(), partial(Adam, weight_decay=0.1), 1e-2),
        (linear, classification_loss(), partial(AdamW, betas=(0.5, 0.99), eps=1e-6), 1e-2),
        (cnn, classification_loss(), Adam, 1e-3),
        (conv_autoencoder, squared_error, partial(SGD, momentum=0.9), 0.1),
        (partial(DenseAutoencoder, (1, 8, 8), 2, (16,), tied=True), squared_error, Adam, 3e-3),
    ],
    ids=["linear-sgd", "linear-momentum", "linear-nesterov", "linear-adam", "linear-adamw",
         "cnn-adam", "autoencoder-momentum", "tied-adam"],
)  # fmt: skip
def test_fifty_steps_equal_torchs(make, loss, optimizer, lr):
    torch.manual_seed(0)
    model = make()
    images, labels = digits(320)
    page = Page(export_training(model, loss, images[:32], labels[:32], optimizer=optimizer, lr=lr))
    model.train()
    optim = optimizer(model.parameters(), lr=lr)
    for step in range(50):
        rows = torch.arange(32) * 7 + step
        x, y = images[rows % 320], labels[rows % 320]
        value = loss(model, x / 255, y)
        entries = page.step(images=x, labels=y.int())
        for name, entry in value.items():
            assert entries[name] == pytest.approx(float(entry.detach()), rel=1e-4, abs=1e-5)
        optim.zero_grad()
        value["loss"].backward()
        optim.step()
    assert worst(page, model) <= 1e-4


@pytest.mark.parametrize("scale", [1, 20, 300])
def test_a_sigmoids_logarithm_is_right_far_out(scale):
    """In a page the logarithm of a sigmoid near 0 would be NaN, in onnxruntime just wrong."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(scale * torch.diag(torch.linspace(-1, 1, 64)))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def loss(model, images, labels):
        z = model(images)
        return F.binary_cross_entropy_with_logits(z, images.flatten(1)) - F.logsigmoid(z).mean()

    exported = export_training(model, loss, images, optimizer=SGD, lr=0.1)
    found = Page(exported).step(images=images)
    with torch.no_grad():
        assert found["loss"] == pytest.approx(float(loss(model, images, None)), rel=1e-6)


class DenseVAE(nn.Module):
    """As a reader would type it."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU())
        self.mu, self.log_var = nn.Linear(32, 2), nn.Linear(32, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 64))

    def forward(self, x):
        h = self.body(x)
        mu, log_var = self.mu(h), self.log_var(h)
        return self.decoder(mu + torch.exp(log_var / 2) * torch.randn_like(mu)), mu, log_var


def bernoulli_elbo(model, images, labels, beta):
    logits, mu, log_var = model(images)
    misfit = F.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="none")
    kl = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum(1).mean()
    return {"loss": misfit.sum(1).mean() + beta * kl, "kl": kl}


@pytest.mark.slow
def test_a_vae_with_its_own_noise_and_a_beta_that_moves():
    torch.manual_seed(0)
    model = DenseVAE()
    images, _ = digits(32)
    exported = export_training(
        model, bernoulli_elbo, images, inputs={"beta": 1.0},
        functions={
            "encode": lambda model, images: {"mu": model.mu(model.body(images))},
            "decode": (lambda model, z: torch.sigmoid(model.decoder(z)), torch.zeros(9, 2)),
        },
    )  # fmt: skip
    (noise,) = exported.step.noise
    assert (noise.shape, noise.distribution, noise.layer) == ((32, 2), "normal", "")
    page, optim = Page(exported), Adam(model.parameters(), lr=1e-3)
    for step in range(50):
        beta = 4.0 if step % 2 else 0.5
        torch.manual_seed(step)
        value = bernoulli_elbo(model, images / 255, None, beta)  # draws as torch does
        torch.manual_seed(step)
        entries = page.step(images=images, beta=np.float32(beta), noise_0=torch.randn(32, 2))
        assert entries["kl"] == pytest.approx(float(value["kl"].detach()), rel=1e-4)
        optim.zero_grad()
        value["loss"].backward()
        optim.step()
    assert worst(page, model) <= 1e-4

    # What a page draws with: the functions, with the weights as they are now.
    model.eval()
    encode, decode = exported.functions["encode"], exported.functions["decode"]
    mu = encode.run({"weights": page.weights, "images": images})["mu"]
    torch.testing.assert_close(mu, model.mu(model.body(images / 255)), rtol=1e-3, atol=1e-4)
    z = torch.randn(9, 2)
    output = decode.run({"weights": page.weights, "z": z})["output"]
    torch.testing.assert_close(output, torch.sigmoid(model.decoder(z)), rtol=1e-3, atol=1e-4)


def test_batch_norms_statistics_and_dropouts_masks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.25),
                          nn.Linear(8, 4))  # fmt: skip
    images, labels = digits(16)
    images = images / 255
    exported = export_training(
        model, cross_entropy, images, labels, optimizer=SGD, lr=0.1,
        functions={"logits": lambda model, images: model(images)},
    )  # fmt: skip
    (noise,) = exported.step.noise
    assert (noise.distribution, noise.layer) == ("uniform", "3")
    page, optim = Page(exported), SGD(model.parameters(), lr=0.1)
    for step in range(5):
        torch.manual_seed(step)
        loss = F.cross_entropy(model(images), labels)
        torch.manual_seed(step)
        kept = F.dropout(torch.ones(16, 8), 0.25) > 0
        page.step(images=images, labels=labels.int(), noise_0=torch.where(kept, 0.7499, 0.75))
        optim.zero_grad()
        loss.backward()
        optim.step()
    assert worst(page, model) <= 1e-5
    logits = exported.functions["logits"].run({"weights": page.weights, "images": images})
    torch.testing.assert_close(logits["output"], model.eval()(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_players_take_turns_over_one_vector_of_weights():
    torch.manual_seed(0)
    model = DCGAN((1, 8, 8), latent_dim=4, width=4)
    images = digits(16)[0]

    def play_discriminator(model, images, labels):
        fake = model.sample(len(images)).detach()
        return discriminator_loss(model.discriminator(images), model.discriminator(fake))

    def play_generator(model, images, labels):
        return generator_loss(model.discriminator(model.sample(16)))

    adam = partial(Adam, betas=(0.5, 0.999))
    players = {"discriminator": play_discriminator, "generator": play_generator}
    optims, pages = {}, {}
    for name, loss in players.items():
        parameters = list(getattr(model, name).parameters())
        exported = export_training(
            model, loss, images if name == "discriminator" else None, optimizer=adam, lr=2e-4,
            parameters=parameters,
        )  # fmt: skip
        optims[name], pages[name] = adam(parameters, lr=2e-4), Page(exported)
        trained = {piece.name.split(".")[0] for piece in exported.layout if piece.trained}
        assert trained == {name}
    assert len({page.exported.weights for page in pages.values()}) == 1
    weights = pages["generator"].feeds["weights"]
    for step in range(10):
        for name, loss in players.items():
            torch.manual_seed(step)
            value = loss(model, images / 255, None)
            torch.manual_seed(step)
            pages[name].feeds["weights"] = weights
            entries = pages[name].step(images=images, noise_0=torch.randn(16, 4))
            weights = pages[name].feeds["weights"]
            assert entries["loss"] == pytest.approx(float(value.detach()), rel=1e-4)
            optims[name].zero_grad()
            value.backward()
            optims[name].step()
    assert worst(pages["generator"], model) <= 1e-4


@pytest.mark.slow
def test_gradients_of_the_input():
    torch.manual_seed(0)
    model = small()
    images, labels = digits(4)
    pixels = images / 255

    def saliency(model, x):
        best = model(x.requires_grad_()).max(1).values
        return {"saliency": torch.autograd.grad(best.sum(), x)[0]}

    exported = export_training(
        model, cross_entropy, pixels, labels, functions={"saliency": (saliency, pixels[:1])}
    )
    graph = exported.functions["saliency"]
    assert [port.name for port in graph.inputs] == ["weights", "x"]
    found = graph.run({"weights": exported.start()["weights"], "x": pixels[1:2]})["saliency"]
    x = pixels[1:2].clone().requires_grad_()
    model.eval()(x).max().backward()
    torch.testing.assert_close(found, x.grad, rtol=1e-3, atol=1e-6)


class Picture(nn.Module):
    """Activation maximisation: what is trained is the image."""

    def __init__(self, network):
        super().__init__()
        self.pixels = nn.Parameter(torch.full((1, 1, 8, 8), 0.5))
        self.network = network.eval().requires_grad_(False)

    def forward(self):
        return self.network(self.pixels)


@pytest.mark.slow
def test_an_image_is_trained_for_a_frozen_network():
    torch.manual_seed(0)
    model = Picture(small())
    frozen = {name: value.clone() for name, value in model.network.state_dict().items()}

    def unlike_class_2(model, images, labels, decay):
        return -model()[0, 2] + decay * model.pixels.square().sum()

    exported = export_training(model, unlike_class_2, inputs={"decay": 0.1}, optimizer=SGD, lr=0.1)
    assert {port.name for port in exported.step.inputs} == {
        "weights", "momentum_buffer", "decay", "lr", "momentum", "weight_decay"
    }  # fmt: skip
    page = Page(exported)
    first = page.step()["loss"]
    for _ in range(20):
        last = page.step()["loss"]
    assert last < first
    trained = exported.state_dict(page.weights)
    for name, value in frozen.items():
        if "num_batches" not in name:  # batch norm's statistics stood still, too
            assert torch.equal(trained[f"network.{name}"], value)


# Every kind of layer alone, with shapes, strides, paddings, dilations and groups as they come. Many
# go into one step, since an export takes seconds.

sizes = st.integers(1, 3)


@st.composite
def convolutions(draw):
    groups, per_group = draw(st.sampled_from([1, 1, 2, 3])), draw(sizes)
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    common = {
        "stride": (draw(sizes), draw(sizes)), "padding": (draw(st.integers(0, 2)), draw(sizes)),
        "dilation": (draw(st.integers(1, 2)), draw(st.integers(1, 2))), "groups": groups,
        "bias": draw(st.booleans()),
    }  # fmt: skip
    channels = groups * per_group, groups * draw(sizes)
    if draw(st.booleans()):
        largest = [max(s, d) - 1 for s, d in zip(common["stride"], common["dilation"], strict=True)]
        extra = tuple(draw(st.integers(0, most)) for most in largest)
        return channels[0], nn.ConvTranspose2d(*channels, kernel, output_padding=extra, **common)
    return channels[0], nn.Conv2d(*channels, kernel, **common)


@st.composite
def poolings(draw):
    channels, kernel = draw(sizes), draw(st.integers(2, 3))
    common = {
        "stride": draw(sizes), "padding": draw(st.integers(0, 1)), "ceil_mode": draw(st.booleans())
    }  # fmt: skip
    return channels, draw(
        st.sampled_from(
            [
                nn.MaxPool2d(kernel, dilation=draw(st.integers(1, 2)), **common),
                nn.AvgPool2d(kernel, count_include_pad=draw(st.booleans()), **common),
                nn.AdaptiveAvgPool2d((draw(sizes), draw(sizes))),
                nn.AdaptiveMaxPool2d(1),
                nn.Upsample(scale_factor=draw(st.integers(2, 3))),
                nn.Upsample(size=(draw(st.integers(5, 15)), 9), mode="bilinear"),
            ]
        )
    )


@st.composite
def pointwise(draw):
    channels = draw(sizes)
    layers = [
        nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.GELU(),
        nn.GELU("tanh"), nn.Softplus(), nn.ReLU6(), nn.Hardswish(), nn.PReLU(), nn.LogSigmoid(),
        nn.Softmax(1), nn.LogSoftmax(1), nn.Softmax(-1), nn.PixelShuffle(1), nn.ZeroPad2d(1),
        nn.ReflectionPad2d(2), nn.BatchNorm2d(channels), nn.BatchNorm2d(channels, affine=False),
        nn.BatchNorm2d(channels, track_running_stats=False, momentum=0.3),
        nn.BatchNorm2d(channels).eval(), nn.GroupNorm(1, channels), nn.InstanceNorm2d(channels),
        nn.LayerNorm(9), nn.Linear(9, 4), nn.Flatten(), nn.LocalResponseNorm(3),
    ]  # fmt: skip
    return channels, draw(st.sampled_from(layers))


class SideBySide(nn.Module):
    """Layers, each on an image of its own, which is trained as well: its gradient shows."""

    def __init__(self, layers, height, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList(layer for _, layer in layers)
        self.images = nn.ParameterList(
            torch.randn(2, channels, height, 9) for channels, _ in layers
        )

    def forward(self):
        return [layer(image) for layer, image in zip(self.layers, self.images, strict=True)]


def weighted_sum(model, images, labels):
    return weighted(model())


def weighted(maps):
    total = torch.zeros(())
    for y in maps:
        pattern = torch.sin(torch.arange(y.numel(), dtype=torch.float32)).view(y.shape)
        total = total + (pattern * (y + 0.1 * y * y)).sum()
    return total


@pytest.mark.slow
@settings(max_examples=4)
@given(
    st.lists(convolutions(), min_size=3, max_size=3),
    st.lists(poolings(), min_size=2, max_size=2),
    st.lists(pointwise(), min_size=4, max_size=4),
    st.integers(7, 10),
    st.integers(0, 9),
)
def test_every_layer_and_its_gradient(convolutions, poolings, pointwise, height, seed):
    model = SideBySide([*convolutions, *poolings, *pointwise], height, seed)
    page = Page(export_training(model, weighted_sum, optimizer=SGD, lr=1.0))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    entries = page.step()
    maps = model()  # once: batch norms count every call
    value = weighted(maps)
    value.backward()
    scale = sum(float(y.detach().abs().sum()) for y in maps)
    assert entries["loss"] == pytest.approx(float(value.detach()), abs=1e-5 * scale)
    after = page.exported.state_dict(page.weights)
    for name, parameter in model.named_parameters():
        found, expected = before[name] - after[name], parameter.grad
        largest = float(expected.abs().max().clamp(min=float(before[name].abs().max())))
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-5 * largest)
    for name, buffer in model.named_buffers():
        if "num_batches" not in name:
            torch.testing.assert_close(after[name], buffer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        # The last window would begin after the image: along rows, along columns, along none.
        nn.MaxPool2d(2, 3, 1, ceil_mode=True),
        nn.MaxPool2d((3, 2), (2, 3), (0, 1), (2, 1), ceil_mode=True),
        nn.AvgPool2d(2, 3, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d((3, 2), (2, 3), 1, ceil_mode=True),
        # As many rows added as the stride, or more.
        nn.ConvTranspose2d(2, 4, 3, 1, 2, output_padding=2, dilation=3, groups=2),
        nn.ConvTranspose2d(2, 1, 1, (1, 2), (0, 2), output_padding=(1, 0), dilation=2, bias=False),
    ],
    ids=str,
)
def test_layers_that_onnx_has_otherwise(layer):
    model = SideBySide([(2, layer)], 8, 0)
    page = Page(export_training(model, weighted_sum, optimizer=SGD, lr=1.0))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    entries = page.step()
    value = weighted(model())
    value.backward()
    assert entries["loss"] == pytest.approx(float(value.detach()), rel=1e-5)
    after = page.exported.state_dict(page.weights)
    for name, parameter in model.named_parameters():
        found = before[name] - after[name]
        torch.testing.assert_close(found, parameter.grad, rtol=0, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=2)
@given(st.integers(2, 6), st.integers(2, 5), st.sampled_from(["mean", "sum"]))
def test_every_loss(count, classes, reduction):
    torch.manual_seed(count)
    labels = torch.randint(0, classes, (count,))
    targets = torch.rand(count, classes)

    def losses(model, images, labels, targets):
        logits, kind = model(images), {"reduction": reduction}
        parts = {
            "cross_entropy": F.cross_entropy(logits, labels, label_smoothing=0.1, **kind),
            "nll": F.nll_loss(F.log_softmax(logits, 1), labels, **kind),
            "bce_logits": F.binary_cross_entropy_with_logits(logits, targets, **kind),
            # Of a saturated sigmoid, 1 − p has few digits left, in torch as in the page.
            "bce": F.binary_cross_entropy(torch.sigmoid(logits / 4), targets, **kind),
            "mse": F.mse_loss(logits, targets, **kind),
            "l1": F.l1_loss(logits, targets, **kind),
            "huber": F.smooth_l1_loss(logits, targets, **kind),
            "kl": F.kl_div(F.log_softmax(logits, 1), targets, reduction=reduction),
        }
        return {"loss": sum(parts.values()), **parts}

    model, images = nn.Linear(6, classes), torch.randn(count, 6)
    page = Page(
        export_training(
            model, losses, images, labels, inputs={"targets": targets}, optimizer=SGD, lr=0.1
        )
    )
    entries = page.step(images=images, labels=labels.int(), targets=targets)
    value = losses(model, images, labels, targets)
    assert entries == pytest.approx(
        {name: float(x.detach()) for name, x in value.items()}, rel=1e-4
    )
    value["loss"].backward()
    SGD(model.parameters(), lr=0.1).step()
    assert worst(page, model) <= 1e-5


def test_what_is_drawn_has_torchs_distributions():
    class Drawing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self):
            p = torch.full((4000,), 0.3)
            return {
                "rand": torch.rand(4000),
                "uniform": torch.empty(4000).uniform_(-2, 2),
                "normal": torch.normal(3.0, 2.0, (4000,)),
                "normal_": torch.empty(4000).normal_(1, 0.5),
                "bernoulli": torch.bernoulli(p),
                "randint": torch.randint(3, 8, (4000,)).float(),
                "exponential": torch.empty(4000).exponential_(0.5),
                "dropout": F.dropout(torch.ones(4000), 0.2),
                "permutation": torch.randperm(4000)[:2000].float() / 4000,
            }

    def moments(model, images, labels):
        parts = {
            f"{name}_{moment}": getattr(values, moment)()
            for name, values in model().items()
            for moment in ("mean", "std", "min", "max")
        }
        return {"loss": model.weight * sum(parts.values()), **parts}

    exported = export_training(Drawing(), moments, optimizer=SGD, lr=0.0)
    generator = torch.Generator().manual_seed(0)
    found = Page(exported).step(**{n.name: n.draw(generator) for n in exported.step.noise})
    torch.manual_seed(0)
    expected = moments(Drawing(), None, None)
    for name in exported.losses[1:]:
        tolerance = {"exponential_max": 8, "normal_min": 2, "normal_max": 2}.get(name, 0.2)
        tolerance = 1 if name in ("normal__min", "normal__max") else tolerance
        assert found[name] == pytest.approx(float(expected[name].detach()), abs=tolerance), name


class Applied(nn.Module):
    """A linear classifier of f(w·x)."""

    def __init__(self, f):
        super().__init__()
        self.f, self.weight, self.last = f, nn.Parameter(torch.ones(1)), nn.LazyLinear(4)

    def forward(self, x):
        return self.last(self.f(x * self.weight).flatten(1))


def applied(f):
    model = Applied(f)
    model(torch.rand(2, 1, 8, 8))
    return model


class Own(nn.Module):
    def forward(self, x):
        return x * x.mean().item()


def remembers():
    calls = []
    return lambda x: (calls.append(0), x * len(calls))[1]


beside = linear()


@pytest.mark.parametrize(
    ("make", "loss", "options", "message"),
    [
        (lambda: applied(Own()), cross_entropy, {},
         r"the training step can't be exported: in layer f \(Own\) it asks for the value of a te"),
        (lambda: nn.Sequential(nn.BatchNorm2d(1, momentum=None), *linear()), cross_entropy, {},
         r"in layer 0 \(BatchNorm2d\) it asks for the value"),
        (lambda: applied(nn.AdaptiveMaxPool2d(3)), cross_entropy, {},
         r"no operator for aten.adaptive_max_pool2d, in layer f \(AdaptiveMaxPool2d\)"),
        (lambda: applied(nn.RReLU()), cross_entropy, {},
         r"the loss failed on images uint8 of .*, in layer f \(RReLU\): it draws at random by rr"),
        (lambda: applied(lambda x: x * random.random()), cross_entropy, {}, "another one when"),
        (lambda: applied(remembers()), cross_entropy, {}, "another one when it is called again"),
        (lambda: nn.Sequential(nn.MaxPool2d(2), *linear()), cross_entropy, {},
         r"in layer 2 \(Linear\): mat1 and mat2"),
        (lambda: beside, lambda model, x, y: cross_entropy(beside, x, y), {},
         "weights of the model itself"),
        (linear, lambda model, x, y: x.mean(), {}, "the loss does not depend on the parameters"),
        (linear, lambda model, x, y: float("nan") * model(x).mean(), {}, "the loss is nan"),
        (linear, lambda model, x, y: model(x), {}, r"scalar tensors, but 'loss' is \(8, 4\)"),
        (linear, lambda model, x, y: {"a": model(x).mean()}, {}, r"only \['a'\]"),
        (linear, cross_entropy, {"inputs": {"beta": 1.0}}, "unexpected keyword argument 'beta'"),
        (linear, lambda model, x, y, beta: cross_entropy(model, x, y), {"inputs": {"beta": 1.0}},
         "makes no use of 'beta': nothing depends on it"),
        (linear, lambda model, x, y, lr: lr * cross_entropy(model, x, y), {"inputs": {"lr": 1.0}},
         "'lr' names two things"),
        (linear, lambda model, x, y, b: cross_entropy(model, x, y), {"inputs": {"b": "1"}},
         "'b' must be a number or a tensor, got '1'"),
        (linear, cross_entropy, {"optimizer": torch.optim.RMSprop}, "SGD of torch.optim.* RMSprop"),
        (linear, cross_entropy, {"optimizer": partial(Adam, amsgrad=True)}, "with amsgrad=True"),
        (linear, cross_entropy, {"optimizer": SGD(beside.parameters())}, "an SGD that is made"),
        (linear, cross_entropy, {"parameters": beside.parameters()}, "2 of the parameters do not"),
        (linear, cross_entropy, {"functions": {"look": 3}}, "function 'look' must be a function"),
        (linear, cross_entropy, {"functions": {"look": lambda model, x: model(x[:, :, :3])}},
         r"'look' failed on x uint8 of shape \(8, 1, 8, 8\), in layer 1 \(Linear\)"),
        (lambda: nn.LazyLinear(3), cross_entropy, {}, "has no weights yet"),
        (lambda: torch.relu, cross_entropy, {}, "expected a torch.nn.Module"),
    ],
)  # fmt: skip
def test_what_is_refused(make, loss, options, message):
    images, labels = digits(8)
    with pytest.raises((ValueError, TypeError), match=message) as error:
        export_training(make(), loss, images, labels, **options)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["gradient", "optimizer"])
def test_a_step_that_computes_otherwise_than_torch_is_refused(wrong, monkeypatch):
    if wrong == "gradient":
        right = gradients._convolution_backward

        def rule(*arguments):
            of_x, of_weight, of_bias = right(*arguments)
            return of_x, 1.02 * of_weight, of_bias

        monkeypatch.setattr(gradients, "_convolution_backward", rule)
        message = r"another gradient than torch for 0\.weight of layer 0 \(Conv2d\)"
    else:
        update = optimizers._Adam.__call__

        def step(self, weights, gradient, tensors):
            after, state = update(self, weights, gradient, tensors)
            return weights + 1.02 * (after - weights), state

        monkeypatch.setattr(optimizers._Adam, "__call__", step)
        message = "moves the weights otherwise than Adam"
    with pytest.raises(ValueError, match=message):
        export_training(small(), cross_entropy, *digits(8))


def test_small_constants_stay():
    model = applied(lambda x: torch.log(torch.relu(x - 1) + 1e-9) * 1.000005)
    images = torch.rand(2, 1, 8, 8)  # log 1e-9 everywhere
    page = Page(export_training(model, lambda model, x, y: model(x).square().mean(), images))
    found = page.step(images=images)["loss"]
    assert found == pytest.approx(float(model(images).detach().square().mean()), rel=1e-6)


@pytest.mark.slow
def test_exports_once_and_small(monkeypatch, cache):
    torch.manual_seed(0)
    model, (images, labels) = small(), digits(8)
    export = partial(export_training, model, classification_loss(), images, labels,
                     functions={"logits": lambda model, images: model(images)})  # fmt: skip
    first = export()
    for path in first.files:
        data = path.read_bytes()
        assert path.parent == cache / "models"
        assert hashlib.sha256(data).hexdigest() == path.stem
    assert len(gzip.compress(first.step.path.read_bytes(), mtime=0)) < 10_000
    assert first.weights.stat().st_size == 4 * sum(piece.size for piece in first.layout)
    with monkeypatch.context() as patch:
        patch.setattr(torch.onnx, "export", lambda *a, **k: pytest.fail("exported again"))
        assert export() == first
        with torch.no_grad():
            model[0].weight.add_(0.1)
        again = export()  # other weights to start from, the same step
    assert again.step == first.step
    assert again.weights != first.weights
    model[2].negative_slope = 0.3  # neither text nor state need show what a forward does
    assert export().step.sha256 != first.step.sha256


def test_model_is_left_as_it_was(capfd):
    model, (images, labels) = nn.Sequential(nn.BatchNorm2d(1), *small()), digits(8)
    model(images / 255).sum().backward()
    model[1].requires_grad_(False)
    model[0].eval()
    modes = [module.training for module in model.modules()]
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    capfd.readouterr()
    exported = export_training(model, classification_loss(), images, labels)
    assert capfd.readouterr() == ("", "")
    assert [module.training for module in model.modules()] == modes
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        assert grad is None or torch.equal(parameter.grad, grad)
    assert torch.equal(torch.get_rng_state(), random_state)
    trained = {piece.name for piece in exported.layout if piece.trained}
    assert trained == {name for name, p in model.named_parameters() if p.requires_grad}
    page = Page(exported)
    page.step(images=images, labels=labels.int())
    after = exported.state_dict(page.weights)
    assert torch.equal(after["0.running_mean"], state["0.running_mean"])  # in evaluation mode
    assert not torch.equal(after["2.running_mean"], state["2.running_mean"])


def test_what_a_page_is_told():
    images, labels = digits(8)
    exported = export_training(
        nn.Sequential(nn.Dropout(0.5), linear()), classification_loss(), images, labels,
        functions={"probabilities": lambda model, images: model(images).softmax(1)},
    )  # fmt: skip
    told = json.loads(json.dumps(exported.describe()))
    assert told["step"]["model"] == exported.step.sha256
    assert told["step"]["inputs"] == {
        "weights": {"type": "float32", "shape": [260]},
        "exp_avg": {"type": "float32", "shape": [260]},
        "exp_avg_sq": {"type": "float32", "shape": [260]},
        "step": {"type": "float32", "shape": []},
        "images": {"type": "uint8", "shape": [8, 1, 8, 8]},
        "labels": {"type": "int32", "shape": [8]},
        **{
            name: {"type": "float32", "shape": []}
            for name in ("lr", "beta1", "beta2", "eps", "weight_decay")
        },
        "noise_0": {"type": "float32", "shape": [8, 1, 8, 8], "draw": "uniform"},
    }
    assert told["state"] == ["weights", "exp_avg", "exp_avg_sq", "step"]
    assert told["losses"] == ["loss", "error"]
    assert told["numbers"] == {
        "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0
    }  # fmt: skip
    assert set(told["step"]["outputs"]) == {
        "loss", "error", *(f"new_{name}" for name in told["state"])
    }  # fmt: skip
    assert told["layout"] == {
        "1.1.weight": {"shape": [4, 64], "offset": 0, "trained": True},
        "1.1.bias": {"shape": [4], "offset": 256, "trained": True},
    }
    function = told["functions"]["probabilities"]
    assert list(function["inputs"]) == ["weights", "images"]
    assert function["outputs"] == {"output": [8, 4]}
    start = torch.frombuffer(bytearray(exported.weights.read_bytes()), dtype=torch.float32)
    assert torch.equal(start, exported.start()["weights"])


@pytest.mark.slow
def test_the_books_vae_and_its_loss():
    torch.manual_seed(0)
    model = ConvVAE((1, 8, 8), latent_dim=2, widths=(8,), hidden=16)
    images = digits(16)[0]

    def loss(model, images, labels, beta):
        return negative_elbo(beta=beta, likelihood="bernoulli")(model, images, labels)

    exported = export_training(
        model, loss, images, inputs={"beta": 1.0}, optimizer=partial(SGD, momentum=0.9), lr=1e-4,
        functions={"encode": ConvVAE.encode, "decode": (ConvVAE.decode, torch.zeros(4, 2))},
    )  # fmt: skip
    page = Page(exported)
    optim = SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for step in range(20):
        torch.manual_seed(step)
        value = loss(model.train(), images / 255, None, beta=2.0)
        torch.manual_seed(step)
        entries = page.step(images=images, beta=np.float32(2), noise_0=torch.randn(16, 2))
        assert entries == pytest.approx({k: float(v.detach()) for k, v in value.items()}, rel=1e-4)
        optim.zero_grad()
        value["loss"].backward()
        optim.step()
    assert worst(page, model) <= 1e-4
    assert [port.name for port in exported.functions["encode"].outputs] == ["output0", "output1"]
