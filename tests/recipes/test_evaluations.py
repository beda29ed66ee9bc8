"""The figures on the cards of autoencoders, GAN and classifiers, against other ways to get them."""

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.functional import one_hot

from companion.by_hand import classification
from companion.datasets import ImageSet, load_images
from companion.models import DCGAN, ConvAutoencoder, DigitCNN, SparseAutoencoder
from companion.recipes import autoencoders, base, classifiers, gans
from companion.training import classification_loss
from companion.training.augmentation import views


def digits(n: int = 60) -> ImageSet:
    return load_images("digits", "test", size=n)


def smooth(n: int = 40) -> ImageSet:
    """Grey blobs of 28×28: something that filters can do well on."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 1, 5, 5, generator=generator)
    images = nn.functional.interpolate(coarse, size=(28, 28), mode="bicubic").clamp(0, 1)
    return ImageSet("blobs", "test", (255 * images).round().to(torch.uint8))


class Oracle(nn.Module):
    """Knows the undamaged images, and is wrong by `error` everywhere."""

    def __init__(self, images: ImageSet, error: float) -> None:
        super().__init__()
        self.answer = (images.pixels() + error)[: autoencoders._COMPARED]

    def forward(self, x: Tensor) -> Tensor:
        return self.answer


def test_classifier_figures() -> None:
    torch.manual_seed(0)
    model = DigitCNN(size=8).eval()
    images = digits()
    figures = classifiers.evaluate_classifier(model, images)
    with torch.no_grad():
        guess = model(images.pixels()).argmax(1)
    assert images.labels is not None
    wrong = sum(a != b for a, b in zip(guess.tolist(), images.labels.tolist(), strict=True))
    assert figures["accuracy"] == pytest.approx(100 * (1 - wrong / 60))
    counts = torch.bincount(images.labels, minlength=10)
    weighted = sum(
        share * count.item()
        for share, count in zip(figures["accuracy_by_class"].values(), counts, strict=True)
    )
    assert weighted / 60 == pytest.approx(figures["accuracy"])
    with pytest.raises(ValueError, match="no labels"):
        classifiers.evaluate_classifier(model, smooth())


def test_two_sides_of_an_image_are_averaged() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images = digits(200)
    figures = classifiers.evaluate_classifier(model, images, mirrored=True)
    with torch.no_grad():
        p = model(views(images.pixels(), "flip").flatten(0, 1)).softmax(1)
    right = p.view(200, 2, 10).mean(1).argmax(1) == images.labels
    assert figures["accuracy_mirrored"] == pytest.approx(100 * right.double().mean().item())
    assert (p.view(200, 2, 10).mean(1).argmax(1) != p[::2].argmax(1)).any()
    del figures["accuracy_mirrored"]
    assert figures == classifiers.evaluate_classifier(model, images)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_smoothed_labels_are_softened_targets(share: float) -> None:
    torch.manual_seed(0)
    model = DigitCNN(size=8).eval()
    images = digits()
    assert images.labels is not None
    value = classification_loss(share)(model, images.pixels(), images.labels)
    with torch.no_grad():
        z = model(images.pixels())
    y = (1 - share) * one_hot(images.labels, 10) + share / 10
    assert value["loss"].item() == pytest.approx(classification.cross_entropy(z, y).mean().item())
    assert value["error"].item() == pytest.approx(
        100 * classification.top_k_error(z, images.labels)
    )


def test_the_autoencoder_is_compared_with_pca() -> None:
    torch.manual_seed(0)
    model = ConvAutoencoder((1, 8, 8), 5, widths=(8,), hidden=8).eval()
    images = digits(200)
    figures = autoencoders.evaluate_autoencoder(model, images)
    flat = images.pixels().flatten(1).double().numpy()
    pca = PCA(5).fit(flat)
    error = ((flat - pca.inverse_transform(pca.transform(flat))) ** 2).sum(1).mean()
    assert figures["pca_squared_error"] == pytest.approx(error, rel=1e-6)


def test_denoising_is_compared_with_the_best_of_each_filter() -> None:
    images = smooth()
    figures = autoencoders.evaluate_denoising(
        Oracle(images, 0.01), images, levels={"gaussian": (0.2,)}
    )
    row = figures["psnr"]["gaussian 0.2"]
    assert row["network"] == pytest.approx(40.0, abs=1e-3)
    # Filters help on smooth images, and the gain is over the better one.
    assert min(row["median"], row["total variation"]) > row["noisy"] + 3
    assert figures["gain"] == pytest.approx(40 - max(row["median"], row["total variation"]))


def test_inpainting_is_compared_with_biharmonic() -> None:
    images = smooth(10)
    figures = autoencoders.evaluate_inpainting(Oracle(images, 0.01), images, sides=(4, 8))
    assert figures["psnr"] == pytest.approx(40.0, abs=1e-3)
    assert figures["biharmonic_psnr"] > 15
    assert figures["gain"] == pytest.approx(figures["psnr"] - figures["biharmonic_psnr"])


def test_figures_on_another_collection_stand_beside_the_first() -> None:
    seen: list[ImageSet] = []

    def brightness(model: object, images: ImageSet) -> dict[str, float]:
        seen.append(images)
        return {"mean": images.pixels().mean().item()}

    images = smooth(5)
    figures = autoencoders.also_on_digits(brightness)(None, images)
    assert figures["mean"] == pytest.approx(images.pixels().mean().item())
    other = next(one for one in seen if one is not images)
    assert other.image_shape == (1, 28, 28)
    assert len(other) == len(load_images("digits", "test"))
    assert figures["digits_mean"] == pytest.approx(other.pixels().mean().item())


def test_sparse_figures() -> None:
    torch.manual_seed(0)
    model = SparseAutoencoder((1, 8, 8), 20)
    figures = autoencoders.evaluate_sparse(model, digits())
    codes = model.encode(digits().pixels())
    assert figures["active"] == pytest.approx(100 * (codes > 0).double().mean().item())
    assert 0 < figures["active"] < 100


class Judge(nn.Module):
    """Certain that an image is of the class that its brightness says: dark 0, bright 9."""

    def forward(self, x: Tensor) -> Tensor:
        brightness = (x.flatten(1).mean(1) * 9.999).long()
        return 20.0 * nn.functional.one_hot(brightness, 10)


def test_gan_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    card = base.record("vae-digits")
    monkeypatch.setattr(gans, "load", lambda name: base.Loaded(Judge(), card))
    torch.manual_seed(0)
    model = DCGAN((1, 8, 8), latent_dim=4, width=4).eval()
    figures = gans.evaluate_gan(model, digits(), judge="anything")
    assert sum(figures["class_shares"]) == pytest.approx(100, abs=1e-3)
    assert figures["smallest_class"] == min(figures["class_shares"]) == 0
    assert figures["confidence"] == pytest.approx(1.0, abs=1e-3)
    assert figures == gans.evaluate_gan(model, digits(), judge="anything")
