"""How the page reads a number that somebody typed as the answer to a question."""

import json
import subprocess

import pytest

from companion.site.frontend import NODE, ROOT

READINGS = {
    "0.5": [0.5],
    " 0,5 ": [0.5],
    "−0.5": [-0.5],
    "1/2": [0.5],
    "-1 / 4": [-0.25],
    "50%": [50],
    "99,5 %": [99.5],
    "1e3": [1000],
    "61,100,840": [61_100_840],
    "61.100.840": [61_100_840],
    "1,281": [1.281, 1281],
    "37.8 million": [37.8, 37_800_000],
    "37,8 millions": [37.8, 37_800_000],
    "√2": [2**0.5],
    "-sqrt(2)": [-(2**0.5)],
    "1/√2": [0.5**0.5],
    "27*64^2": [110_592],
    "27 · 64²": [110_592],
    "27×64**2": [110_592],
    "2^16": [65_536],
    "-2^2": [-4],
    "6.94·10^−3": [0.00694],
    "10⁻³": [0.001],
    "0,5^2": [0.25],
    "7^2 / 3": [49 / 3],
    "√-1": [],
    "2^": [],
    "2^3^2": [],
    "*2": [],
    "sqrt()": [],
    "": [],
    "%": [],
    "a half": [],
    "1/0": [],
    "1/2/3": [],
    "1,2,3": [],
    "<b>1</b>": [],
}


@pytest.fixture(scope="module")
def read() -> dict[str, list[float]]:
    module = (ROOT / "companion" / "site" / "js" / "activities" / "numbers.js").as_uri()
    code = (
        f"import {{ readings }} from '{module}';"
        f"const texts = {json.dumps([*READINGS])};"
        "console.log(JSON.stringify(Object.fromEntries(texts.map((t) => [t, readings(t)]))));"
    )
    command = [str(NODE), "--input-type=module", "--eval", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("text", READINGS)
def test_what_a_typed_number_may_mean(read: dict[str, list[float]], text: str) -> None:
    assert sorted(set(read[text])) == pytest.approx(READINGS[text])
