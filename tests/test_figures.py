"""Figures: what is drawn, and that nobody forgets the alt text."""

import base64
import io
import re

import numpy as np
import plotly.io
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from plotly.offline import get_plotlyjs

from companion import figures

ALT = "An alt text that says what there is to see."


def pictures(picture):
    """(alt, pixels) of each <img> in the HTML of a Picture."""
    found = re.findall(
        r'<img src="data:image/(?:png|webp);base64,([^"]+)" alt="([^"]*)"', picture._repr_html_()
    )
    return [
        (alt, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")))
        for data, alt in found
    ]


@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_picture_is_kept_without_loss(height, width, grey, seed):
    shape = (height, width) if grey else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    kept = Image.open(io.BytesIO(figures.encode_image(pixels))).convert("L" if grey else "RGB")
    assert np.array_equal(np.asarray(kept), pixels)


def test_only_photographs_lose_something_and_little_of_it():
    smooth = np.linspace(0, 255, 160)
    red, green = np.meshgrid(smooth, smooth)
    noise = np.random.default_rng(0).normal(0, 12, (3, 160, 160))
    photo = np.clip(np.stack([red, green, 255 - red]) + noise, 0, 255).astype(np.uint8)
    few = (photo // 64) * 64
    for pixels, is_exact in ((photo, False), (few, True)):
        picture = figures.image_grid(pixels[None], alt="Many colours or few of them.")
        file = picture.rows[""]
        shown = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(shown, pixels) == is_exact
        assert np.abs(shown.astype(int) - pixels).mean() < 8
        whole = figures.encode_image(pixels.transpose(1, 2, 0))
        assert (len(file) < len(whole) / 2) == (not is_exact)


def test_a_picture_that_is_too_tall_for_webp_is_kept_too():
    pixels = np.zeros((20_000, 2), np.uint8)
    assert Image.open(io.BytesIO(figures.encode_image(pixels))).size == (2, 20_000)


def test_grid_puts_each_pixel_in_its_place():
    images = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).view(5, 3, 2, 2)
    ((alt, pixels),) = pictures(figures.image_grid(images, alt=ALT, columns=3, gap=1))
    assert alt == ALT
    assert pixels.shape == (5, 8, 3)
    for number, image in enumerate(images):
        top, left = 3 * (number // 3), 3 * (number % 3)
        tile = pixels[top : top + 2, left : left + 2]
        assert np.array_equal(tile, image.permute(1, 2, 0).numpy())


def test_floats_are_scaled_clipped_and_rounded():
    images = torch.tensor([[-0.5, 0.0, 0.5, 1.0, 2.0]]).view(1, 1, 1, 5)
    assert figures.to_uint8(images)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 2, 2), 200), "got int64: convert whole numbers"),
        (np.full((1, 1, 2, 2), 200, np.uint16), "got uint16: convert whole numbers"),
        (np.ones((1, 1, 2, 2), complex), "got complex128"),
        (torch.tensor([[[[0.0, 255.0]]]]), "values from 0 to 255: divide"),
        (torch.tensor([[[[-127.0, 127.0]]]]), "values from -127 to 127: divide"),
        (torch.tensor([[[[0.0, torch.nan]]]]), "values from nan to nan"),
        (torch.tensor([[[[0.0, torch.inf]]]]), "values from 0 to inf"),
        (torch.zeros(0, 3, 8, 8), r"at least one image; got an array of shape \(0, 3, 8, 8\)"),
        (torch.zeros(1, 3, 0, 8), "at least one image"),
    ],
)
def test_numbers_that_are_no_pixels(images, message):
    for show in (figures.to_uint8, lambda x: figures.image_grid(x, alt=ALT)):
        with pytest.raises(ValueError, match=message):
            show(images)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.bool])
def test_other_kinds_of_numbers(dtype):
    images = torch.tensor([0.0, 1.0]).to(dtype).view(2, 1, 1, 1)
    assert figures.to_uint8(images)[:, 0, 0, 0].tolist() == [0, 255]
    assert figures.diverging(images).shape == (2, 3, 1, 1)
    with pytest.raises(ValueError, match="columns must be 1 or more, got 0"):
        figures.image_grid(images, alt=ALT, columns=0)


def test_rows_have_labels_and_one_alt_text():
    rows = {"<b>first</b>": torch.zeros(3, 1, 2, 2), "second": torch.ones(3, 1, 2, 2)}
    picture = figures.image_rows(rows, alt=ALT, caption="A & B")
    (first, black), (second, white) = pictures(picture)
    assert (first, second) == (ALT, "")
    assert black[:, :2].max() == 0
    assert white[:, :2].min() == 255
    html = picture._repr_html_()
    assert "&lt;b&gt;first&lt;/b&gt;" in html
    assert "A &amp; B" in html


def test_images_of_a_grid_may_have_labels_of_their_own():
    images = np.stack([np.full((1, 4, 6), value, np.uint8) for value in (10, 20, 30)])
    names = ["a < b", "b", "c"]
    picture = figures.image_grid(images, alt=ALT, columns=2, zoom=3, labels=names)
    html = picture._repr_html_()
    assert re.findall(r"em\">([^<>]+)</div><img", html) == ["a &lt; b", "b", "c"]
    shown = pictures(picture)
    assert [alt for alt, _ in shown] == [ALT, "", ""]
    for (_, pixels), value in zip(shown, (10, 20, 30), strict=True):
        assert pixels.shape == (4, 6, 3)
        assert (pixels == value).all()
    assert "repeat(2,minmax(0,1fr))" in html
    assert "max-width:44px" in html  # 2 · 6 · 3 and a gap of 8
    for wrong in (["a", "b"], ["a", "a", "b"]):
        with pytest.raises(ValueError, match="expected 3 different labels"):
            figures.image_grid(images, alt=ALT, labels=wrong)


@pytest.mark.parametrize(("count", "parts"), [(5, 1), (9, 1), (12, 2), (14, 1), (24, 4)])
def test_long_rows_go_on_below_where_the_screen_is_narrow(count, parts):
    images = torch.arange(count).view(count, 1, 1, 1).expand(count, 1, 2, 2).to(torch.uint8)
    picture = figures.image_rows({"row": images}, alt=ALT, gap=0)
    shown = pictures(picture)
    assert [alt for alt, _ in shown] == [ALT] + [""] * (parts - 1)
    whole = np.concatenate([pixels for _, pixels in shown], axis=1)
    assert whole[0, ::2, 0].tolist() == list(range(count))


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 4, 8, 8), (2, 2, 3, 8, 8)])
def test_shapes_that_are_no_images(shape):
    with pytest.raises(ValueError, match="N×1×H×W or N×3×H×W"):
        figures.image_grid(torch.zeros(shape), alt=ALT)


@pytest.mark.parametrize("alt", ["", "image", "   a plot      ", None])
def test_alt_text_is_needed(alt):
    with pytest.raises(ValueError, match="alt text"):
        figures.image_grid(torch.zeros(1, 1, 2, 2), alt=alt)
    with pytest.raises(ValueError, match="alt text"):
        figures.lines({"a": [1, 2]}, x="x", y="y", alt=alt)


def test_plots_carry_data_labels_and_alt_text():
    plot = figures.lines({"loss": [3, 2, 1], "KL": [0, 1, 2]}, x="epoch", y="nats", alt=ALT)
    assert plot.layout.meta == {"alt": ALT}
    assert plot.layout.xaxis.title.text == "epoch"
    assert list(plot.data[0].x) == [1, 2, 3]
    assert list(plot.data[1].y) == [0, 1, 2]
    assert plot.data[0].line.dash != plot.data[1].line.dash, "colour is not the only difference"

    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    plot = figures.scatter(points, [0, 1, 0], ["cat", "dog"], x="a", y="b", alt=ALT)
    assert [list(trace.x) for trace in plot.data] == [[0.0, 4.0], [2.0]]
    assert plot.data[0].marker.symbol != plot.data[1].marker.symbol

    plot = figures.heatmap(
        [[0.1, 0.9]], rows=["hue"], columns=["z1", "z2"], x="latent", y="factor", alt=ALT
    )
    assert plot.data[0].z.tolist() == [[0.1, 0.9]]


NOTEBOOK = """
from companion.figures import lines
lines({"a": [1, 2, 3]}, x="x", y="y", alt="a line that rises & <falls>")
"""


def test_planes_show_each_point_in_its_place_and_name_each_class():
    corners = np.array([[0, 0], [0, 2], [4, 0], [4, 2.0]])
    made = figures.planes(
        {"PCA": corners, "<UMAP>": -corners}, np.array([0, 0, 1, 1]), ["a", "b", "none"], alt=ALT
    )
    html = made._repr_html_()
    assert html.count("<svg") == 2
    assert f'aria-label="{ALT}"' in html
    assert "&lt;UMAP&gt;" in html
    first = made.drawings["PCA"]
    # 4 units are 316 of 340 wide: 79 a unit, both ways; y points upwards.
    assert re.findall(r'd="([^"]+)"', first) == ["M12 249h0M12 91h0", "M328 249h0M328 91h0"]
    assert re.findall(r'<text x="(\d+)" y="(\d+)"[^>]*>(\w+)<', first) == [
        ("12", "170", "a"), ("328", "170", "b"),
    ]  # fmt: skip
    assert re.findall(r'd="([^"]+)"', made.drawings["<UMAP>"])[0] == "M328 91h0M328 249h0"
    with pytest.raises(ValueError, match="expected points N×2"):
        figures.planes({"PCA": corners}, np.arange(3), ["a"], alt=ALT)
    with pytest.raises(ValueError, match="alt text"):
        figures.planes({"PCA": corners}, np.zeros(4), ["a"], alt="")


def test_planes_with_ends_share_them_with_what_fills_them():
    made = figures.planes(
        {"codes": np.array([[0, 0], [2, -2.0]])}, np.array([0, 0]), ["a"], alt=ALT,
        limits={"codes": 4.0}, filled={"decoded": torch.zeros(9, 1, 2, 2)},
    )  # fmt: skip
    # ±4 are 316 of 340: 39.5 a unit from the middle, 170.
    assert 'd="M170 170h0M249 249h0"' in made.drawings["codes"]
    assert "(−4, −4)" in made.drawings["codes"]
    assert "(4, 4)" in made.drawings["codes"]
    assert made.drawings["decoded"].startswith("<img")
    with pytest.raises(ValueError, match="fill a square; got 8"):
        figures.planes({}, np.array([]), [], alt=ALT, filled={"decoded": torch.zeros(8, 1, 2, 2)})


@pytest.fixture(scope="module")
def exported():
    """A notebook with a figure, executed and exported to HTML, and the output's mime bundle."""
    notebook = new_notebook(cells=[new_code_cell(NOTEBOOK)])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLOTLY_RENDERER", raising=False)
        NotebookClient(notebook, kernel_name="python3").execute()
    html, _ = HTMLExporter().from_notebook_node(notebook)
    return html, notebook.cells[0].outputs[0].data


def test_a_figure_survives_its_export_with_its_alt_text(exported):
    html, bundle = exported
    assert bundle["application/vnd.plotly.v1+json"]["data"][0]["y"]
    assert bundle["text/plain"] == "Figure: a line that rises & <falls>"
    assert 'aria-label="a line that rises &amp; &lt;falls&gt;" role="img"' in html
    assert "a line that rises &amp; &lt;falls&gt;</figcaption>" in html


@pytest.mark.browser
def test_an_exported_figure_is_drawn(exported, browser):
    page = browser.new_page()

    def answer(route):
        if "plotly" in route.request.url:
            headers = {"Access-Control-Allow-Origin": "*"}
            route.fulfill(body=get_plotlyjs(), content_type="text/javascript", headers=headers)
        else:  # MathJax and the like
            route.abort()

    page.route(re.compile("^https:"), answer)
    page.set_content(exported[0], wait_until="domcontentloaded")
    page.wait_for_selector("figure [role=img] svg .trace path.js-line")
    page.close()


def test_the_renderer_that_is_set_decides(monkeypatch):
    plot = figures.lines({"a": [1, 2]}, x="x", y="y", alt=ALT)
    monkeypatch.setattr(plotly.io.renderers, "default", "plotly_mimetype")
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    plot.update_layout(meta=None)
    assert set(plot._repr_mimebundle_()) == {
        "application/vnd.plotly.v1+json", "text/html", "text/plain",
    }  # fmt: skip
    monkeypatch.setenv("PLOTLY_RENDERER", "plotly_mimetype")  # as in the book's build
    assert set(plot._repr_mimebundle_()) == {"application/vnd.plotly.v1+json"}


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="N×2"):
        figures.scatter(np.zeros((3, 3)), [0, 0, 0], ["a"], x="a", y="b", alt=ALT)
    with pytest.raises(ValueError, match="1×2 table"):
        figures.heatmap([[1.0]], rows=["a"], columns=["b", "c"], x="a", y="b", alt=ALT)
    with pytest.raises(ValueError, match="at least one row"):
        figures.image_rows({}, alt=ALT)


def test_diverging_colours_tell_sign_and_size():
    values = np.array([[[[-2.0, -1.0, 0.0, 1.0, 2.0, 9.0]]]])
    colours = figures.diverging(values, limit=2)
    assert colours.dtype == np.uint8
    assert colours.shape == (1, 3, 1, 6)
    red, _, blue = colours[0, :, 0].astype(int)
    assert (blue[:2] > red[:2]).all()
    assert (red[3:] > blue[3:]).all()
    assert abs(red[2] - blue[2]) < 5
    assert (colours[..., 4] == colours[..., 5]).all(), "beyond the limit colours are full"
    assert np.array_equal(figures.diverging(values / 9), figures.diverging(values, limit=9))
    assert len(np.unique(figures.diverging(np.zeros((1, 1, 4, 4))))) <= 3, "all zero is no division"


def test_diverging_refuses_what_it_cannot_show():
    with pytest.raises(ValueError, match="N×1×H×W"):
        figures.diverging(np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="limit must be positive"):
        figures.diverging(np.zeros((1, 1, 4, 4)), limit=0)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["NEC-UIUC", "XRCE"], True),
        (["a. none", "b. flip", ""], True),
        ([28.2, 3], False),
        (["1,234", "−5 %", "< 0.1", ""], False),
        (["55×55×96", "4096"], False),
        (["12", "none", "3"], False),
        (["", ""], False),
    ],
)
def test_words_are_aligned_at_their_start_and_numbers_at_their_end(column, words):
    html = figures.table(["<i>", "n"], [[value, 1] for value in column])._repr_html_()
    cells = re.findall(r"<t[hd]([^>]*)>([^<]*)</t[hd]>", html)
    assert len(cells) == 2 * len(column) + 2
    assert all(("text-align:start" in style) == words for style, _ in cells[::2])
    assert not any("text-align" in style for style, _ in cells[1::2])
    assert cells[0][1] == "&lt;i&gt;"


def test_a_table_may_be_empty():
    html = figures.table(["a", "b"], [])._repr_html_()
    assert html.count("<th scope") == 2
