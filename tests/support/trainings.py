"""Small models on the digits, as the chapters train them in a page, and their training in torch."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.datasets import load_images
from companion.export.graph import replayed
from companion.training.losses import classification_loss
from companion.training.objective import entries_of
from companion.widgets import LiveTraining
from companion.widgets.noise import batch_rows, step_noise

FEW = 320  # images to train with


class TinyVAE(nn.Module):
    """Two latents, dense layers."""

    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh())
        self.mu, self.log_var = nn.Linear(32, 2), nn.Linear(32, 2)
        self.decoder = nn.Sequential(
            nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 64), nn.Unflatten(1, (1, 8, 8))
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(images)
        return self.mu(h), self.log_var(h)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(z))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.encode(images)
        return self.decoder(mu + torch.exp(log_var / 2) * torch.randn_like(mu)), mu, log_var


def elbo(model: nn.Module, images: Tensor, labels: Tensor, beta: Tensor) -> dict[str, Tensor]:
    logits, mu, log_var = model(images)
    misfit = F.binary_cross_entropy_with_logits(logits, images, reduction="none")
    kl = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum(1).mean()
    reconstruction = misfit.flatten(1).sum(1).mean()
    return {"loss": reconstruction + beta * kl, "reconstruction": reconstruction, "kl": kl}


def reconstruct(model: nn.Module, images: Tensor) -> Tensor:
    return model.decode(model.encode(images)[0])


def softmax_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def cnn_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(32, 10),
    )  # fmt: skip


def vae_model() -> nn.Module:
    torch.manual_seed(0)
    return TinyVAE()


MODELS = {"softmax": softmax_model, "cnn": cnn_model, "vae": vae_model}
LOSSES = {"softmax": classification_loss(), "cnn": classification_loss(), "vae": elbo}
OPTIMIZERS = {"softmax": torch.optim.SGD, "cnn": torch.optim.Adam, "vae": torch.optim.Adam}


@cache
def data(split: str):
    return load_images("digits", split, size=FEW if split == "train" else 100)


def widget(kind: str, **changes) -> LiveTraining:
    """The widget that trains a "softmax" classifier, a "cnn" or a "vae"."""
    options = {
        "softmax": {
            "batch_size": (32, "all"), "lr": (0.5, 1e-3, 1e4), "show": ["filters", "predictions"],
        },
        "cnn": {"lr": (3e-3, 1e-4, 0.1), "show": ["filters", "predictions", "feature maps"]},
        "vae": {
            "lr": (3e-3, 1e-4, 0.1), "inputs": {"beta": (1.0, 0.0, 50.0)},
            "show": {"code": None, "grid": None, "reconstructions": reconstruct},
        },
    }[kind]  # fmt: skip
    return LiveTraining(
        MODELS[kind](), LOSSES[kind], data("train"), data("test"),
        **{"optimizer": OPTIMIZERS[kind], "batch_size": 32, **options, **changes},
    )  # fmt: skip


def trained(kind: str, live: LiveTraining, steps: int, **inputs: float):
    """The model after these steps of the plain loop of PyTorch, on the page's batches and noise;
    and the loss at each of them."""
    model, images, labels = MODELS[kind](), data("train").images, data("train").labels
    optimizer = OPTIMIZERS[kind](model.parameters(), lr=live.numbers["lr"])
    noise = live.step.noise
    losses = []
    model.train()
    for step in range(steps):
        rows = batch_rows(live.seed, step, len(images), live.batch_size)
        draws = {
            each.name: step_noise(live.seed, step, k, each.distribution, each.shape)
            for k, each in enumerate(noise)
        }
        extra = {name: torch.tensor(value) for name, value in inputs.items()}
        with replayed(noise, draws):
            value = LOSSES[kind](model, images[rows].float() / 255, labels[rows], **extra)
        entries = entries_of(value)
        optimizer.zero_grad()
        entries["loss"].backward()
        optimizer.step()
        losses.append({name: float(entry.detach()) for name, entry in entries.items()})
    return model, losses
