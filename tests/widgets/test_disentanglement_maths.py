"""js/maths/disentanglement.js, in node, against companion.disentanglement on the same arrays."""

import json
import subprocess

import numpy as np
import pytest

from companion.disentanglement import (
    dci,
    diagonal_loss,
    entropies,
    factor_vae_score,
    mig,
    mutual_information,
    rotated_kl,
    rotation,
    sap,
)
from companion.site.frontend import NODE
from companion.widgets.noise import noise, uniform
from conftest import ROOT

MATHS = ROOT / "companion" / "widgets" / "js" / "maths"

HEAD = f"""
import {{ readFileSync }} from "node:fs";
const M = await import("{(MATHS / "disentanglement.js").as_uri()}");
const N = await import("{(MATHS / "noise.js").as_uri()}");
const given = JSON.parse(readFileSync(0, "utf8"));
const columns = (given.codes ?? []).map((column) => Float64Array.from(column));
const factors = (given.factors ?? []).map(([values, classes]) =>
  ({{ values: Float64Array.from(values), classes }}));
"""


def node(code: str, **given):
    script = f"{HEAD} process.stdout.write(JSON.stringify((() => {{ {code} }})()));"
    command = [str(NODE), "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sample(seed: int, rows: int = 600) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Factors of both kinds, and codes that follow some of them, with copies and ties."""
    rng = np.random.default_rng(seed)
    factors = {
        "u": rng.uniform(size=rows),
        "kind": rng.integers(3, size=rows),
        "v": rng.normal(size=rows),
        "level": rng.integers(1, 6, size=rows) / 2.0,
    }
    latents = rng.normal(size=(rows, 5))
    latents[:, 0] += 6 * factors["u"]
    latents[:, 1] = factors["v"] + factors["kind"]
    latents[:, 2] = np.round(latents[:, 2] + 2 * factors["level"])
    return factors, np.c_[latents, latents[:, :1]]


def as_json(factors, codes) -> dict:
    classes = {
        name: int(values.max()) + 1 if values.dtype.kind == "i" else 0
        for name, values in factors.items()
    }
    return {
        "factors": [[values.tolist(), classes[name]] for name, values in factors.items()],
        "codes": codes.T.tolist(),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [7, 20])
def test_metrics_are_pythons(seed, bins):
    factors, codes = sample(seed)
    found = node(
        """const scores = M.scorer(factors, given.bins)(columns);
        const vae = M.factorVaeScorer(factors, N.uniform(given.seed, 1600))(columns);
        return { ...scores, vae };""",
        **as_json(factors, codes), bins=bins, seed=seed,
    )  # fmt: skip
    d, c, i, _ = dci(factors, codes)
    table = mutual_information(factors, codes, bins=bins)
    np.testing.assert_allclose(found["table"], table, atol=1e-9)
    shares = table / entropies(factors, bins=bins)[:, None]
    np.testing.assert_allclose(found["shares"], shares, atol=1e-9)
    vae = factor_vae_score(factors, codes, draw=lambda n: uniform(seed, n).numpy())
    np.testing.assert_allclose(
        [found[name] for name in (
            "mig", "sap", "disentanglement", "completeness", "informativeness", "vae",
        )],
        [mig(factors, codes, bins=bins), sap(factors, codes), d, c, i, vae],
        atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 90.0])
def test_rotated_posteriors_are_pythons(angle):
    mu = noise(1, 400).view(100, 4).numpy()
    log_var = 2 * noise(2, 400).view(100, 4).numpy()
    found = node(
        """const logVar = given.logVar.map((column) => Float64Array.from(column));
        return M.rotatedPosterior(columns, logVar, [2, 0], given.angle);""",
        codes=mu.T.tolist(), logVar=log_var.T.tolist(), angle=angle,
    )  # fmt: skip
    turn = rotation(4, (2, 0), angle)
    assert found["kl"] == pytest.approx(rotated_kl(mu, log_var, turn).mean(), abs=1e-9)
    assert found["missed"] == pytest.approx(diagonal_loss(log_var, turn).mean(), abs=1e-9)


def test_turned_columns_are_the_rotations():
    z = noise(3, 60).view(30, 2).numpy()
    found = node(
        "return M.turned(columns[0], columns[1], 33).map((c) => [...c]);", codes=z.T.tolist()
    )
    np.testing.assert_allclose(np.array(found).T, z @ rotation(2, (0, 1), 33).T, atol=1e-12)
