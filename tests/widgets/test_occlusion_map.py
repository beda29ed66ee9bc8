"""The occlusion widget: its numbers are Python's; keys, cancelling, pictures of all kinds."""

import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from companion.datasets import load_images, read_photograph
from companion.explain.occlusion import FILLS, filling, occlusion_map, places
from companion.models.classifier import Standardise
from companion.models.pretrained import pretrained
from companion.widgets import OcclusionMap
from companion.widgets.noise import uniform
from conftest import BROWSER_OPTIONS, chromium
from support.front_end import HOSTILE, settle, shown_numbers
from support.pages import visit

SIDE = 32


pytestmark = pytest.mark.usefixtures("own_cache")


def network(channels=3, classes=20, side=SIDE):
    torch.manual_seed(0)
    width = (side - 3) // 2 + 1
    model = nn.Sequential(
        nn.Conv2d(channels, 8, 5, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * width**2, classes)
    )
    with torch.no_grad():
        model[-1].weight *= 4  # probabilities that differ
    return model


def pictures(count=2, channels=3, side=SIDE):
    generator = torch.Generator().manual_seed(1)
    shape = (count, channels, side, side)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def widget(**changes):
    arguments = {"model": network(), "image": pictures(), "patch": 8, "stride": 4, "tolerance": 0}
    return OcclusionMap(**arguments | changes)


class TestPython:
    def test_what_it_says_is_what_the_library_says(self):
        made = widget(fill="blur")
        image = pictures()[0].float() / 255
        probabilities = network()(image[None]).softmax(1)[0]
        assert made.target == int(probabilities.argmax())
        assert made.probability_whole == pytest.approx(float(probabilities.max()), abs=1e-6)
        expected = occlusion_map(network(), image, made.target, patch=8, stride=4, fill="blur")
        torch.testing.assert_close(made.map().drops, expected.drops, rtol=0, atol=1e-6)
        np.testing.assert_allclose(made.known["drops"], expected.drops.flatten(), atol=1e-6)
        made.place = [4, 8]
        row_of, column_of = 1, 2
        drop = made.probability_whole - made.probability
        assert drop == pytest.approx(float(expected.drops[row_of, column_of]), abs=1e-6)
        assert re.fullmatch(r"OcclusionMap: \d+ in picture 1 0\.\d+, under the .*", repr(made))

    def test_what_standardises_may_stand_before_the_model(self):
        mean, std = [0.5] * 3, [0.25] * 3
        before = widget(preprocess=Standardise(mean, std))
        inside = widget(model=nn.Sequential(Standardise(mean, std), network()))
        by_function = widget(preprocess=lambda x: (x - 0.5) / 0.25)
        assert before.known == inside.known
        assert before.network["model"] == inside.network["model"]  # one file for both in a page
        assert before.known["drops"] == pytest.approx(by_function.known["drops"], abs=1e-6)

    def test_a_smaller_patch_takes_the_stride_with_it(self):
        made = widget()
        made.place = [24, 0]
        made.patch = 2
        assert made.stride == 2
        made.patch = 16
        assert made.place == [16, 0]
        with pytest.raises(ValueError, match="stride must be a whole number from 1 to 16, not 17"):
            made.stride = 17

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"image": torch.zeros(2, SIDE, SIDE)}, "C 1 or 3, got 2×32×32"),
            (
                {"image": torch.full((3, SIDE, SIDE), -1.0)},
                "floats in .0, 1., got -1 to -1: give w",
            ),
            ({"image": pictures().long()}, "expected uint8 or floats in .*, got torch.int64"),
            ({"model": print}, "expected a torch.nn.Module as model, not builtin_function"),
            ({"model": nn.Conv2d(3, 4, 3)}, r"to logits N×K, this one gives \(2, 4, 30, 30\)"),
            ({"model": nn.Linear(5, 5)}, "the model fails on image of shape"),
            ({"class_names": ["a"]}, "expected 20 class_names, one a logit, got 1"),
            ({"captions": ["a"]}, "expected 2 captions, one an image, got 1"),
            ({"target": 20}, "target must be a whole number from 0 to 19, not 20"),
            ({"patch": 40}, "patch must be a whole number from 1 to 32, not 40"),
            ({"stride": 9}, "stride must be a whole number from 1 to 8, not 9"),
            ({"fill": "red"}, "fill must be one of 'grey', .*, not 'red'"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, changes, words):
        with pytest.raises(ValueError, match=words):
            widget(**changes)


@pytest.mark.browser
class TestMaths:
    @pytest.mark.parametrize("shape", [(3, 12, 17), (1, 9, 9)])
    @pytest.mark.parametrize("fill", FILLS)
    def test_fills_are_pythons(self, page, fill, shape):
        image = torch.rand(shape, generator=torch.Generator().manual_seed(2))
        for patch in (1, 4, 5, 9):
            found = page().evaluate(
                """async ([image, shape, options]) => {
                    const { filling } = await import("/maths/occlusion.js");
                    return [...filling(Float32Array.from(image), shape, options)];
                }""",
                [image.flatten().tolist(), shape, {"fill": fill, "patch": patch, "seed": 7}],
            )
            expected = uniform(7, image.numel()) if fill == "noise" else filling(
                image, fill, patch=patch
            ).flatten()  # fmt: skip
            np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_places_and_pixels_are_pythons(self, page):
        tab = page()
        model, image = network(side=21), torch.rand(3, 21, 21)
        for patch, stride in ((21, 3), (5, 5), (6, 4), (4, 1), (1, 1)):
            expected = occlusion_map(model, image, 3, patch=patch, stride=stride)
            found = tab.evaluate(
                """async ([drops, shape, patch, stride]) => {
                    const maths = await import("/maths/occlusion.js");
                    const { places } = maths.gridOf(shape, patch, stride);
                    const each = places.map((place, i) => [place, drops[i]]);
                    return [maths.places(shape[1], patch, stride),
                            [...maths.onPixels(each, shape, patch)]];
                }""",
                [expected.drops.flatten().tolist(), [3, 21, 21], patch, stride],
            )
            assert found[0] == places(21, patch, stride)
            np.testing.assert_allclose(found[1], expected.on_pixels().flatten(), atol=1e-6)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("wide", "high", "size"),
    [(97, 60, (24, 24)), (31, 80, (32, 32)), (9, 11, (20, 10)), (8, 8, (8, 8))],
)
def test_pictures_are_scaled_as_pillow_does(page, wide, high, size):
    # Within these values nothing overshoots, so that the order of the two passes, which differs
    # between Pillow's versions, plays no part.
    pixels = np.random.default_rng(4).integers(80, 176, (high, wide, 3), dtype=np.uint8)
    fitted = ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.LANCZOS)
    scale = min(wide / size[0], high / size[1])
    w, t = size[0] * scale, size[1] * scale
    found = page().evaluate(
        """async ([data, width, height, box, size]) => {
            const { resized } = await import("/maths/resize.js");
            return [...resized({data, width, height}, box, ...size)];
        }""",
        [
            np.dstack([pixels, np.full((high, wide), 255)]).flatten().tolist(),
            wide, high, {"x": (wide - w) / 2, "y": (high - t) / 2, "w": w, "t": t}, size,
        ],
    )  # fmt: skip
    rgb = np.reshape(found, (size[1], size[0], 4))[..., :3]
    assert np.abs(rgb - np.asarray(fitted).astype(int)).max() <= 1


LIVE = ".companion-live .occlusion-map"


def load(seen):
    """Load the network and wait until it has answered."""
    seen.page.evaluate(
        """() => { window.answers = 0; window.maps = 0;
            addEventListener("companion-answered", () => { answers += 1; });
            addEventListener("companion-mapped", ({detail}) => {
                maps += 1;
                window.drops = detail.drops.map(([, drop]) => drop);
            }); }"""
    )
    seen.page.get_by_role("button", name="Load the network").click()
    seen.page.wait_for_function(
        """() => document.querySelector(".companion-live [data-wakes]")
            ?.closest(".companion-panel").hidden && answers > 0"""
    )
    wait_for_whole(seen)


def wait_for_whole(seen):
    seen.page.wait_for_function(
        """() => ["probability_whole", "probability"].every((name) => document.querySelector(
            `.companion-live [data-quantity=${name}]`).dataset.value !== "null")"""
    )


def numbers(seen):
    return shown_numbers(seen.page)


def run_map(seen):
    before = seen.page.evaluate("maps")
    seen.page.locator(LIVE).get_by_role("button", name="Run the map").click()
    seen.page.wait_for_function(f"maps > {before}")


def drops_of(found):
    drops = found.drops
    return {"largest_drop": float(drops.max()), "smallest_drop": float(drops.min())}


@pytest.mark.browser
class TestInThePage:
    @pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
    def test_before_the_network_there_is_pythons_map_and_nothing_is_loaded(
        self, browser, stage, served
    ):
        made, asked = widget(), []
        with visit(browser, stage(made, served=served), scripts=True) as seen:
            seen.page.on("request", lambda request: asked.append(request.url))
            text = re.sub(r"\s+", " ", seen.page.inner_text("main"))
            assert f"{made.probability_whole:.3f} → {made.probability:.3f}" in text
            assert "49 places." in text
            load(seen)
            assert any(made.network["model"] in url for url in asked)
            got = numbers(seen)
            assert got["probability"] == pytest.approx(made.probability, abs=1e-5)
            assert got["probability_whole"] == pytest.approx(made.probability_whole, abs=1e-5)
            assert seen.errors == []

    def test_a_map_that_is_to_be_guessed_first_does_not_come_with_the_page(self, browser, stage):
        made = widget(mapped=False)
        with visit(browser, stage(made)) as seen:
            assert made.known["drops"] == []
            words = seen.page.inner_text("main")
            assert "It maps once the network is loaded." in words
            assert "Lost:" not in words
            load(seen)
            run_map(seen)
            assert numbers(seen)["largest_drop"] >= drops_of(made.map())["largest_drop"] - 1e-5
            assert seen.errors == []

    @pytest.mark.parametrize("fill", FILLS)
    def test_its_map_is_pythons(self, browser, stage, fill):
        made = widget(fill=fill, stride=3, seed=5)
        with visit(browser, stage(made)) as seen:
            load(seen)
            run_map(seen)
            got = numbers(seen)
            # The coarse pass comes first: 6 at a time, then all.
            fine, coarse = places(SIDE, 8, 3), places(SIDE, 8, 6)
            both = {(a, b) for grid in (fine, coarse) for a in grid for b in grid}
            assert got["places"] == len(both)
            found = made.map()
            expected = drops_of(found)
            np.testing.assert_allclose(
                seen.page.evaluate("drops"), found.drops.flatten(), rtol=0, atol=1e-5
            )
            assert got["largest_drop"] >= expected["largest_drop"] - 1e-5
            assert got["smallest_drop"] <= expected["smallest_drop"] + 1e-5
            values = seen.page.locator("canvas.occlusion-over").evaluate(
                """(canvas) => [...canvas.getContext("2d")
                    .getImageData(0, 0, canvas.width, canvas.height).data]"""
            )
            pixels = np.reshape(values, (SIDE, SIDE, 4))
            by_pixel = found.on_pixels().numpy()
            lost = by_pixel > 0.02  # vermilion: more red than blue; and the other way round
            won = by_pixel < -0.02
            assert (pixels[lost][:, 0] > pixels[lost][:, 2]).all()
            assert (pixels[won][:, 0] < pixels[won][:, 2]).all()

    @pytest.mark.slow
    def test_the_imagenet_networks_map_is_pythons(self, browser, stage):
        net = pretrained("efficientnet_lite0")
        photo = load_images("photos", size=1).images
        arguments = {"class_names": net.class_names, "patch": 40, "stride": 40}
        exact = OcclusionMap(net.on_pixels(), photo, tolerance=0, **arguments)
        half = OcclusionMap(net.on_pixels(), photo, tolerance=0.02, **arguments)
        assert half.network["bytes"] < 9e6 < exact.network["bytes"]
        for made, loss in ((exact, 1e-3), (half, 0.02)):
            with visit(browser, stage(made)) as seen:
                load(seen)
                run_map(seen)
                found = seen.page.evaluate("drops")
                np.testing.assert_allclose(found, exact.known["drops"], rtol=0, atol=loss)

    def test_keys_pointer_and_sliders_move_it_and_python_agrees(self, browser, stage):
        made = widget()
        with visit(browser, stage(made)) as seen:
            load(seen)

            def agrees(**changes):
                answered = seen.page.evaluate("answers")
                yield
                seen.page.wait_for_function(f"answers > {answered}")
                with made.hold_trait_notifications():
                    for name, value in changes.items():
                        setattr(made, name, value)
                got = numbers(seen)
                assert got["probability"] == pytest.approx(made.probability, abs=1e-5)

            down = seen.page.get_by_role("slider", name="Patch, up and down")
            for _ in agrees(place=[16, 12]):
                down.press("ArrowDown")
            across = seen.page.get_by_role("slider", name="Patch, left and right")
            for _ in agrees(place=[16, 11]):
                down.press("Shift+ArrowLeft")
            assert across.evaluate("(el) => el === document.activeElement")
            assert across.get_attribute("aria-valuetext") == "column 11, row 16"
            for _ in agrees(place=[0, 24]):
                box = seen.page.locator(".companion-live .occlusion-field").bounding_box()
                seen.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 2)
            size = seen.page.get_by_role("slider", name="Patch", exact=True)
            for _ in agrees(patch=16, place=[0, 16]):
                size.press("End")
            for _ in agrees(patch=2, stride=2, place=[7, 23]):
                size.press("Home")
            assert numbers(seen)["stride"] == 2
            assert numbers(seen)["patch"] == 2

    def test_any_class_and_any_picture(self, browser, stage):
        made = widget(class_names=[f"class {k}" for k in range(20)])
        with visit(browser, stage(made)) as seen:
            load(seen)
            run_map(seen)
            seen.page.get_by_label("Class", exact=True).select_option(label="another …")
            seen.page.get_by_label("Any class").select_option(label="class 7")
            made.target = 7
            settle(seen.page)
            settle(seen.page)
            got = numbers(seen)
            assert got["probability"] == pytest.approx(made.probability, abs=1e-5)
            # The answers of the map are kept: another class needs no other run.
            found = drops_of(made.map())
            assert got["largest_drop"] == pytest.approx(found["largest_drop"], abs=1e-5)
            seen.page.get_by_label("Picture", exact=True).select_option(label="picture 2")
            guess = int(made.probabilities(pictures()[1].float() / 255).argmax())
            seen.page.wait_for_selector(f".companion-live strong:text('class {guess}')")
            wait_for_whole(seen)
            made.chosen, made.target = 1, guess
            settle(seen.page)
            assert numbers(seen)["probability"] == pytest.approx(made.probability, abs=1e-5)
            assert "Nothing is mapped yet" in seen.page.inner_text(LIVE)

    def test_a_map_can_be_stopped_and_goes_on(self, browser, stage):
        side = 80
        made = widget(model=network(side=side), image=pictures(side=side), patch=8, stride=1)
        places = (side - 8 + 1) ** 2
        with visit(browser, stage(made)) as seen:
            load(seen)
            region = seen.page.locator(LIVE)
            # As soon as there is something: a map may be whole before a hand is at the button.
            region.evaluate(
                """async (region) => {
                    const button = (name) => [...region.querySelectorAll("button")]
                        .find((each) => each.innerText === name);
                    button("Run the map").click();
                    const bar = region.querySelector("progress");
                    for (let frames = 0; !(bar.value > 0) && frames < 600; frames += 1)
                        await new Promise(requestAnimationFrame);
                    button("Cancel").click();
                }"""
            )
            stopped = seen.page.wait_for_function(
                f"document.querySelector('{LIVE}').dataset.map === 'stopped'"
            )
            assert stopped
            done = numbers(seen).get("places") or 0
            assert done < places
            region.get_by_role("button", name="Go on").click()
            seen.page.wait_for_function("maps === 1")
            assert numbers(seen)["places"] == places
            # Another patch begins anew.
            seen.page.get_by_role("radio", name="mean").check(force=True)
            settle(seen.page)
            assert "Nothing is mapped yet" in region.inner_text()

    def test_a_grey_digit_of_eight_pixels(self, browser, stage):
        made = OcclusionMap(
            network(1, 10, 8), pictures(1, 1, 8), patch=2, stride=1, tolerance=0,
        )  # fmt: skip
        with visit(browser, stage(made), size="phone") as seen:
            load(seen)
            run_map(seen)
            got = numbers(seen)
            assert got["probability"] == pytest.approx(made.probability, abs=1e-5)
            found = drops_of(made.map())
            assert got["largest_drop"] == pytest.approx(found["largest_drop"], abs=1e-5)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
            seen.switch_theme("dark")
            assert seen.violations() == []

    def test_two_widgets_share_one_network(self, browser, stage):
        asked = []
        with visit(browser, stage(widget(), widget(fill="mean"), served=True)) as seen:
            seen.page.on("request", lambda request: asked.append(request.url))
            for button in seen.page.get_by_role("button", name="Load the network").all():
                button.focus()
            seen.all_alive()
            seen.page.wait_for_function(
                "document.querySelectorAll('.companion-live [data-wakes]').length === 2"
            )
            for button in seen.page.get_by_role("button", name="Load the network").all():
                button.click()
            seen.page.wait_for_function(
                """() => [...document.querySelectorAll(".companion-live [data-wakes]")]
                    .every((el) => el.closest(".companion-panel").hidden)"""
            )
            models = [url for url in asked if "/models/" in url]
            assert len(models) == len(set(models))

    def test_a_network_that_does_not_come_is_said(self, browser, stage, tmp_path):
        address = stage(widget())
        for file in (tmp_path / "deep er" / "companion" / "models").iterdir():
            file.unlink()
        with visit(browser, address) as seen:
            seen.page.get_by_role("button", name="Load the network").click()
            seen.page.get_by_text("The network could not be loaded:").wait_for()
            assert seen.page.get_by_role("button", name="Try again").is_enabled()

    def test_ends(self, page):
        tab = page(widget())
        assert tab.evaluate("model.listening()") > 0
        tab.evaluate("stop()")
        assert tab.evaluate("model.listening()") == 0


@pytest.mark.browser
class TestOwnPicture:
    @pytest.fixture(scope="class")
    def made(self):
        return widget(class_names=[HOSTILE, *map(str, range(1, 20))])

    def open(self, seen, path):
        before = seen.page.evaluate("answers")
        seen.page.locator(".companion-live input[type=file]").set_input_files(path)
        seen.page.wait_for_function(f"answers > {before}")
        wait_for_whole(seen)
        settle(seen.page)

    def whole(self, made, image):
        return float(made.probabilities(image.float() / 255).max())

    def test_all_kinds_as_in_python(self, browser, stage, made, tmp_path):
        rng = np.random.default_rng(3)
        save = {"exact <img src=x onerror=hurt=1>.png": pictures()[1].permute(1, 2, 0).numpy()}
        flat = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((48, 48, 1))).astype(np.uint8)
        save |= {"large.png": flat, "grey.png": flat[..., 0], "wide.png": np.tile(flat, (1, 2, 1))}
        paths = []
        for name, pixels in save.items():
            Image.fromarray(pixels).save(tmp_path / name)
            paths.append(tmp_path / name)
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(flat).save(tmp_path / "turned.jpg", exif=exif, quality=98, subsampling=0)
        clear = np.dstack([flat, np.full(flat.shape[:2], 255, np.uint8)])
        clear[:96, :, 3] = 0
        Image.fromarray(clear).save(tmp_path / "alpha.png")
        paths += [tmp_path / "turned.jpg", tmp_path / "alpha.png"]
        with visit(browser, stage(made)) as seen:
            load(seen)
            for path in paths:
                self.open(seen, path)
                got = numbers(seen)["probability_whole"]
                expected = self.whole(made, read_photograph(path, SIDE))
                loose = {"exact": 1e-5, "turned": 0.05}.get(path.stem.split()[0], 0.01)
                assert got == pytest.approx(expected, abs=loose), path.name
                option = seen.page.get_by_label("Picture", exact=True).locator("option").last
                assert option.inner_text() == path.name
            assert seen.page.evaluate("window.hurt") is None
            assert seen.page.locator("main :is(b, img[src=x])").count() == 0

    def test_what_is_no_picture_is_refused_and_the_old_one_stays(
        self, browser, stage, made, tmp_path
    ):
        (tmp_path / "text <b>.png").write_text("no picture")
        with visit(browser, stage(made)) as seen:
            load(seen)
            before = numbers(seen)["probability_whole"]
            chooser = seen.page.locator(".companion-live input[type=file]")
            chooser.set_input_files(tmp_path / "text <b>.png")
            seen.page.get_by_text("text <b>.png could not be read as a picture.").wait_for()
            assert numbers(seen)["probability_whole"] == before
            Image.new("L", (12_000, 10_000)).save(tmp_path / "huge.png")
            chooser.set_input_files(tmp_path / "huge.png")
            seen.page.get_by_text("it has 120 million pixels").wait_for()

    def test_forty_megapixels(self, browser, stage, made, tmp_path):
        Image.new("RGB", (8000, 5000), (200, 40, 90)).save(tmp_path / "large.jpg")
        with visit(browser, stage(made)) as seen:
            load(seen)
            self.open(seen, tmp_path / "large.jpg")
            expected = self.whole(made, read_photograph(tmp_path / "large.jpg", SIDE))
            assert numbers(seen)["probability_whole"] == pytest.approx(expected, abs=0.05)

    @pytest.mark.parametrize("way", ["drop", "paste"])
    def test_dropped_and_pasted(self, browser, stage, made, tmp_path, way):
        Image.fromarray(pictures()[1].permute(1, 2, 0).numpy()).save(tmp_path / "own.png")
        with visit(browser, stage(made)) as seen:
            load(seen)
            before = seen.page.evaluate("answers")
            seen.page.hover(".companion-live .companion-title, .companion-live .companion-lead")
            seen.page.evaluate(
                """([bytes, way]) => {
                    const root = document.querySelector(".companion-live .companion");
                    const data = new DataTransfer();
                    data.items.add(new File([Uint8Array.from(bytes)], "own.png",
                        {type: "image/png"}));
                    const more = {bubbles: true, cancelable: true};
                    root.dispatchEvent(way === "drop"
                        ? new DragEvent("drop", {dataTransfer: data, ...more})
                        : new ClipboardEvent("paste", {clipboardData: data, ...more}));
                }""",
                [list((tmp_path / "own.png").read_bytes()), way],
            )
            seen.page.wait_for_function(f"answers > {before}")
            wait_for_whole(seen)
            settle(seen.page)
            expected = self.whole(made, pictures()[1])
            assert numbers(seen)["probability_whole"] == pytest.approx(expected, abs=1e-5)

    def test_one_still_of_the_camera_where_a_page_may_ask_for_it(self, browser, stage, made):
        fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        options = {"executable_path": chromium()} if chromium() else {}
        own = browser.browser_type.launch(args=[*BROWSER_OPTIONS, *fake], **options)
        with visit(own, stage(made)) as seen:
            load(seen)
            assert seen.page.get_by_role("button", name="Camera").count() == 0
        with visit(own, stage(made, served=True)) as seen:
            load(seen)
            before = seen.page.evaluate("answers")
            seen.page.get_by_role("button", name="Camera").click()
            video = "document.querySelector('.companion-live video')"
            seen.page.wait_for_function(f"{video}.videoWidth > 0")
            seen.page.get_by_role("button", name="Take the picture").click()
            seen.page.wait_for_function(f"answers > {before}")
            assert seen.page.evaluate(f"{video}.srcObject === null")
            option = seen.page.get_by_label("Picture", exact=True).locator("option").last
            assert option.inner_text() == "your camera's picture"
        own.close()
