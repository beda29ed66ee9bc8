"""The exercises of chapter 12, the variational autoencoder."""

import math

import torch
from torch import Tensor

from companion.exercises import Answer, Hint, agree, exercise, shape


def _posterior(n: int = 4, d: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """μ, σ > 0 and ε, each N×d."""
    generator = torch.Generator().manual_seed(12)
    mu, noise = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    sigma = 0.3 + 1.5 * torch.rand(n, d, generator=generator, dtype=torch.float64)
    return mu, sigma, noise


@exercise("This is the term that pulls every posterior towards the prior, in nats.")
def kl(answer: Answer) -> None:
    """`kl(mu, sigma)`: closed form of KL[N(μ, σ²) ‖ N(0, I)] for each example."""
    mu, sigma, _ = _posterior()
    n, d = mu.shape
    got = answer.tensor(mu, sigma)
    if got.shape == (n, d):
        raise Hint(
            f"There is one value for each latent dimension, {n}×{d}. The dimensions are "
            "independent, so an example's KL is their sum."
        )
    if got.ndim == 0:
        raise Hint(f"One number came back, but each of the {n} examples should keep its own KL.")
    shape(got, (n,), "One value for each example is expected: sum over the latent dimensions only.")
    log = sigma.log()
    terms = 0.5 * (mu**2 + sigma**2 - 2 * log - 1)
    right = terms.sum(1)
    agree(
        got,
        right,
        {
            "Every value is twice the right one: look at the factor in front.": 2 * right,
            "The sign is turned round: a KL divergence is never negative.": -right,
            "The dimensions are averaged; for independent dimensions the KLs add up.": right / d,
            "These are bits: with the natural logarithm the unit is the nat.": right / math.log(2),
            "The formula has log σ², the log of the variance; yours seems to take log σ.": (
                0.5 * (mu**2 + sigma**2 - log - 1).sum(1)
            ),
            "The formula has the variance σ² beside μ²; yours seems to take σ.": (
                0.5 * (mu**2 + sigma - 2 * log - 1).sum(1)
            ),
            "The second argument is σ itself; yours seems to treat it as log σ².": (
                0.5 * (mu**2 + sigma.exp() - sigma - 1).sum(1)
            ),
            "The second argument is σ itself; yours seems to treat it as the variance.": (
                0.5 * (mu**2 + sigma - log - 1).sum(1)
            ),
            "This is KL[prior ‖ posterior], the other way round.": (
                log + (1 + mu**2) / (2 * sigma**2) - 0.5
            ).sum(1),
            "With μ = 0 and σ = 1 the posterior is the prior and the KL must be 0; yours is not.": (
                (terms + 0.5).sum(1)
            ),
        },
        "For μ = 1 and σ = 1 a dimension costs 0.5 nats, for μ = 0 and σ = 2 it costs 0.807; "
        "try yours on these.",
    )


@exercise("With μ_p = 0 and σ_p = 1 it is the VAE's term; with a learnt prior one needs the whole.")
def kl_between(answer: Answer) -> None:
    """`kl_between(mu_q, sigma_q, mu_p, sigma_p)`: KL of two Gaussians, all N×d."""
    mu, sigma, _ = _posterior()
    other, wide = mu.flip(0) + 0.5, sigma.flip(1) + 0.2
    got = answer.tensor(mu, sigma, other, wide)
    if got.shape == (len(mu),):
        raise Hint("Here one value for each pair of Gaussians is wanted: don't sum.")
    shape(got, tuple(mu.shape), "One value for each pair of Gaussians is expected.")

    def between(m: Tensor, s: Tensor, n: Tensor, t: Tensor) -> Tensor:
        return torch.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5

    right = between(mu, sigma, other, wide)
    agree(
        got,
        right,
        {
            "This is the divergence the other way round, from p to q.": between(
                other, wide, mu, sigma
            ),
            "This is the divergence from N(0, 1): p's own mean and width are left out.": between(
                mu, sigma, torch.zeros_like(mu), torch.ones_like(mu)
            ),
            "It is 0 where the two are equal; yours is not: a ½ is missing.": right + 0.5,
            "The logarithm of the ratio of the widths has the wrong sign.": right
            - 2 * torch.log(wide / sigma),
            "The mean distance is measured in units of p's width; yours is not.": torch.log(
                wide / sigma
            )
            + (sigma**2 / wide**2 + (mu - other) ** 2) / 2
            - 0.5,
            "Every value is twice the right one: look at the factor in front.": 2 * right,
        },
        "Take the two logarithms as in the text, with μ_p and σ_p in place of 0 and 1; "
        "E[(z − μ_p)²] = σ_q² + (μ_q − μ_p)².",
    )


@exercise("All randomness sits in ε, so the encoder can learn from what the decoder made of z.")
def reparameterise(answer: Answer) -> None:
    """`reparameterise(mu, sigma, eps)`: z, a differentiable function of μ and σ."""
    mu, sigma, eps = _posterior()
    mu.requires_grad_()
    sigma.requires_grad_()
    z, again = answer.tensor(mu, sigma, eps), answer.tensor(mu, sigma, eps)
    shape(z, tuple(mu.shape), "z has as many entries as μ.")
    if not torch.equal(z.detach(), again.detach()):
        raise Hint(
            "Called twice with the same ε it gave two different z: all noise must come from the "
            "third argument, none from inside."
        )
    agree(
        z,
        mu + sigma * eps,
        {
            "σ is a standard deviation; yours seems to scale ε with σ².": mu + sigma**2 * eps,
            "σ is a standard deviation; yours seems to scale ε with √σ.": mu + sigma.sqrt() * eps,
            "The second argument is σ itself; yours seems to treat it as log σ².": (
                mu + torch.exp(sigma / 2) * eps
            ),
            "The second argument is σ itself; yours seems to treat it as log σ.": (
                mu + torch.exp(sigma) * eps
            ),
            "The spread is always 1: σ has no influence.": mu + eps,
            "The draw is always centred on 0: μ has no influence.": sigma * eps,
            "This is the mean, without any noise.": mu,
            "μ shifts and σ scales; yours has them swapped.": sigma + mu * eps,
        },
        "With ε = 0 the result is μ, and with ε = 1 it lies one standard deviation above; "
        "try yours on these.",
    )
    if not z.requires_grad:
        raise Hint(
            "The numbers are right, but no gradient can flow back from z: it was cut off on the "
            "way (detach, no_grad, .data or a new tensor made from the values)."
        )
    to_mu, to_sigma = torch.autograd.grad(z.sum(), (mu, sigma), allow_unused=True)
    for symbol, came, expected in (("μ", to_mu, torch.ones_like(eps)), ("σ", to_sigma, eps)):
        if came is None or not torch.allclose(came, expected):
            raise Hint(f"The numbers are right, but the gradient does not reach {symbol}.")


@exercise("C is no knob without meaning: it says how exactly the model is meant to hit each pixel.")
def C_from_sigma(answer: Answer) -> None:
    """The C that belongs to pixel noise σ = 0.1, as a number or as a function of σ."""
    for sigma in (0.1, 0.4) if callable(answer.value) else (0.1,):
        agree(
            answer.number(sigma),
            1 / (2 * sigma**2),
            {
                "The Gaussian's exponent has another factor besides σ².": 1 / sigma**2,
                "The density falls with the square of the distance in units of σ.": 1 / (2 * sigma),
                "Look again at the Gaussian's exponent: both a square and a factor are missing.": (
                    1 / sigma
                ),
                "Upside down: a smaller σ means a stricter, larger C.": 2 * sigma**2,
                "Upside down: the smaller σ, the larger C must be.": sigma**2 / 2,
                "The factor stands in the denominator, beside σ².": 2 / sigma**2,
            },
            f"Write down −log of the Gaussian density with σ = {sigma} and read off what stands "
            "before (x − x̂)².",
        )


@exercise("In a smooth latent space most points of this line decode to a plausible image.")
def interpolate(answer: Answer) -> None:
    """`interpolate(z_a, z_b, steps)`: steps×d, a straight line that includes both ends."""
    for steps in (5, 2):
        z_a, z_b = torch.tensor([[0.0, -1.0, 2.0], [4.0, 1.0, 1.0]])
        line = answer.tensor(z_a, z_b, steps)
        if line.shape == (3, steps):
            raise Hint("Rows and columns are swapped: each row should be one code.")
        shape(
            line, (steps, 3), f"For steps = {steps}, {steps} codes are expected, one in each row."
        )

        def along(t: Tensor, a: Tensor = z_a, b: Tensor = z_b) -> Tensor:
            return a + t.double()[:, None] * (b - a)

        right = along(torch.linspace(0, 1, steps))
        missing = "the line should include both ends."
        agree(
            line,
            right,
            {
                "The line runs backwards: it should start at z_a.": right.flip(0),
                f"It starts at z_a but stops before z_b; {missing}": along(
                    torch.arange(steps) / steps
                ),
                f"It ends at z_b but leaves out z_a; {missing}": along(
                    torch.arange(1, steps + 1) / steps
                ),
                f"Both ends are left out; {missing}": along(
                    torch.arange(1, steps + 1) / (steps + 1)
                ),
                "This is the way from 0 to z_b − z_a; it should start at z_a.": right - z_a,
            },
            "Both ends are there, but between them the codes are not equally spaced on a straight "
            "line."
            if torch.allclose(line[[0, -1]].detach(), right[[0, -1]])
            else "The first row should be z_a and the last z_b, with equal steps between.",
        )


@exercise("What is below the threshold says next to nothing about the image.")
def active_units(answer: Answer) -> None:
    """`active_units(kl_per_dim, threshold)`: indices of active dimensions, by decreasing KL."""
    kl_per_dim = torch.tensor([0.02, 3.1, 0.0, 1.2, 2.5, 0.3])
    for threshold, expected in ((0.1, [1, 4, 3, 5]), (2.0, [1, 4]), (2.5, [1]), (9.0, [])):
        result = answer(kl_per_dim, threshold)
        try:
            indices = torch.as_tensor(result)
        except (TypeError, ValueError, RuntimeError) as error:
            raise Hint("A list or a tensor of indices is expected.") from error
        if indices.dtype == torch.bool:
            raise Hint("This is a mask of True and False; the indices of the True ones are wanted.")
        if indices.ndim != 1:
            raise Hint(
                f"A list of indices is expected (one axis), got the shape {tuple(indices.shape)}."
            )
        if indices.is_floating_point() and len(indices):
            raise Hint("These are numbers with a fraction, KL values perhaps; indices are wanted.")
        found = indices.tolist()
        if found == expected:
            continue
        if found == expected[::-1]:
            raise Hint("The right dimensions in the wrong order: the largest KL comes first.")
        if sorted(found) == sorted(expected):
            raise Hint("The right dimensions, but not in the order of decreasing KL.")
        if set(found) > set(expected):
            raise Hint(
                f"With threshold = {threshold} nats dimensions are in it that do not carry more."
            )
        if sorted(found) == list(range(len(expected))):
            raise Hint(
                "These are positions among the active dimensions; the positions among all "
                "dimensions are wanted."
            )
        raise Hint(
            f"For kl_per_dim = {[round(k, 2) for k in kl_per_dim.tolist()]} and threshold = "
            f"{threshold} there should be {len(expected)} active dimensions, got {found}."
        )
