"""The page to draw on: it computes what TensorFlow does, needs no network, and answers as `predict` in a browser."""

import base64
import json
import pathlib
import re
import shutil
import subprocess

import drawings
import numpy as np
import playwright
import pytest
from helpers import make_arrays, needs_mnist, prepared_mnist

from mlp_tf import data, draw, loop, runs
from mlp_tf.config import Config
from mlp_tf.data.augmentation import deskew
from mlp_tf.handwriting import images as user_images
from mlp_tf.model import init_params, normalize
from mlp_tf.runs.identity import Data, Description, InkStyle
from mlp_tf.runs.trained import TrainedRun

NODE = pathlib.Path(playwright.__file__).parent / "driver/node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def untrained(shape=(28, 28), names=tuple("0123456789"), ink_style=None, **settings):
    """A run that still has its initial weights, with biases that are not 0."""
    raw = Data("mnist_sample", 100, 10, 10, shape, "uint8", len(names), names, "", 1)
    description = Description(Config(**settings), raw, {}, ink_style=ink_style)
    weights, biases = init_params(description.sizes, seed=3)
    biases = {name: value.numpy() + 0.1 for name, value in biases.items()}
    weights = {name: value.numpy() for name, value in weights.items()}
    return TrainedRun(pathlib.Path("a<b"), description, (weights, biases))


def logits_of(run, images):
    """By TensorFlow, float32 `[N, classes]`."""
    images = deskew(images) if run.config.deskew else images
    x = normalize(images if run.config.scaling == "auto" else images.astype(np.float32))
    return loop.model_function(run.config)(x, run.weights, run.biases).numpy()


@pytest.fixture
def evaluated(tmp_path):
    """Evaluates an expression of `given` by the scripts of a page, except the last one, which needs a browser."""

    def evaluate(page, expression, given):
        *scripts, _ = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
        scripts.append(
            f"const given = JSON.parse(require('fs').readFileSync(0)); console.log(JSON.stringify({expression}))"
        )
        (tmp_path / "page.js").write_text("\n".join(scripts))
        words = [NODE, tmp_path / "page.js"]
        done = subprocess.run(words, input=json.dumps(given), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return evaluate


LOGITS = "given.map((image) => Array.from(perceptron.forward(Uint8Array.from(image)).logits))"
SEEN = "given.map((image) => Array.from(perceptron.forward(Uint8Array.from(image)).seen))"


def assert_same_logits(got, expected):
    """Within 1e-4 of the largest, and the largest of each image in the same place."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(np.argmax(got, axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": (16, 8)},
        {"hidden": (5,), "activation": "sigmoid", "deskew": True},
        {"hidden": (9, 8, 7, 6), "activation": "tanh"},
        {"hidden": (), "scaling": "none"},
        {"hidden": (8, 4), "activation": "elu"},
        {"hidden": (8, 4), "activation": "gelu"},
        {"hidden": (8, 4), "activation": "leaky_relu"},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(28, 28), (9, 14)])
def test_the_page_computes_the_logits_of_tensorflow(evaluated, settings, shape):
    run = untrained(shape, names=("0", "1", "2"), **settings)
    images = np.random.default_rng(0).integers(0, 256, (50, *shape), np.uint8)
    images[:10, :, shape[1] // 2 :] = 0  # of which some lean far, and one is empty
    images[0] = 0
    page = draw.page(run, data.Split(images, np.arange(50, dtype=np.int32) % 3), 0.5)
    assert_same_logits(evaluated(page, LOGITS, images.reshape(50, -1).tolist()), logits_of(run, images))
    seen = deskew(images).numpy() if run.config.deskew else images
    np.testing.assert_array_equal(evaluated(page, SEEN, images.reshape(50, -1).tolist()), seen.reshape(50, -1))


@pytest.mark.slow
@needs_mnist
def test_a_trained_run_answers_in_the_page_as_in_tensorflow(trained_for_handwriting, evaluated):
    run, test = trained_for_handwriting
    page, images = draw.page(run, test, 0.99), test.images[:1000]
    assert len(page) < 1_600_000
    assert_same_logits(evaluated(page, LOGITS, images.reshape(1000, -1).tolist()), logits_of(run, images))


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page from a file; the list that comes with it holds its requests and its errors."""

    def open_page(text, **screen):
        (tmp_path / "draw.html").write_text(text)
        page, noted = browser.new_page(**screen), []
        page.on("request", lambda request: noted.append(request.url))
        page.on("console", lambda message: noted.append(message.text))
        page.on("pageerror", lambda error: noted.append(str(error)))
        page.goto((tmp_path / "draw.html").as_uri())
        return page, noted

    return open_page


def draw_stroke(page, points):
    """Draws a stroke with the mouse, through points (x, y) of 320."""
    box = page.locator("#drawing").bounding_box()
    places = [(box["x"] + x * box["width"] / 320, box["y"] + y * box["height"] / 320) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def places_of(page):
    """Where everything is that must not move."""
    return page.evaluate(
        """[...document.querySelectorAll("h2, h3, button, canvas, progress, details")].map((element) => {
          const { x, y, width, height } = element.getBoundingClientRect();
          return [x, y, width, height];
        })"""
    )


def png_of(page):
    """The drawing as a PNG file's content."""
    url = page.evaluate("drawing.toDataURL()")
    return base64.b64decode(url.removeprefix("data:image/png;base64,"))


PAINT = """(given) => {
  const pixels = pen.createImageData(320, 320);
  const words = new Uint32Array(pixels.data.buffer);
  Array.from(atob(given), (gray, i) => (words[i] = 0xff000000 + 0x010101 * gray.charCodeAt(0)));
  pen.putImageData(pixels, 0, 0);
}"""
TRACE = """(lines) => {
  pen.fillRect(0, 0, 320, 320);
  for (const points of lines) pen.stroke(new Path2D("M" + points.map((point) => point.join(" ")).join("L")));
}"""
LOOK = """() => {
  const { image, warnings } = ink.prepare(drawing);
  const { logits } = perceptron.forward(image);
  return { image: Array.from(image), warnings, answer: MODEL.classes[logits.indexOf(Math.max(...logits))] };
}"""


def paint(page, given):
    """Puts a drawing, uint8 `[320, 320]`, into the drawing area."""
    page.evaluate(PAINT, base64.b64encode(given.tobytes()).decode())


needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")


@pytest.fixture
def untrained_page(opened):
    """The page of a run that knows ten digits by name only."""
    page, _ = opened(draw.page(untrained(hidden=(4,)), data.Split(np.zeros((2, 28, 28), np.uint8), np.arange(2)), 0.1))
    return page


@needs_chromium
@pytest.mark.parametrize(
    "screen",
    [
        {"viewport": {"width": 360, "height": 700}, "color_scheme": "dark"},
        {"viewport": {"width": 390, "height": 844}},
        {"viewport": {"width": 1280, "height": 800}},
    ],
    ids=["small-phone", "phone", "desk"],
)
def test_the_page_shows_nothing_until_something_is_drawn_and_asks_nobody(opened, screen):
    run = untrained(hidden=(256, 256, 8), names=("0", "1", "2"))
    images = np.zeros((3, 28, 28), np.uint8)
    images[1, 5:20, 14] = 255
    page, noted = opened(draw.page(run, data.Split(images, np.arange(3, dtype=np.int32)), 0.5), **screen)
    assert page.inner_text("#answer") == ""
    assert page.inner_text("#hint").startswith("Draw a digit here")
    assert page.locator("#undo").is_disabled()
    places = [places_of(page)]
    draw_stroke(page, drawings.seven(80, 80, 180))
    places.append(places_of(page))
    assert page.inner_text("#answer") in {"0", "1", "2"}
    assert page.locator("#hint").is_hidden()
    assert page.locator("#bars li").count() == 3
    assert re.fullmatch(r"Hidden layer 1: 256 units, \d+ on", page.inner_text("#layers h3 >> nth=0"))
    page.click("#undo")
    assert page.inner_text("#answer") == ""
    assert page.locator("#clear").is_disabled()
    assert page.locator("#hint").is_visible()
    page.focus("#gallery button >> nth=1")
    page.keyboard.press("Enter")
    answer = logits_of(run, images[1:2]).argmax()
    assert page.inner_text("#answer") == str(answer)
    assert page.locator("#hint").is_hidden()
    page.click("#clear")
    assert page.inner_text("#answer") == ""
    assert len(noted) == 1  # the page itself
    assert noted[0].startswith("file:")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert places[0] == places[1]  # nothing moves
    assert "a<b: 784-256-256-8-3" in page.inner_text("#title")


@needs_chromium
def test_control_z_undoes_a_stroke_or_the_choice_of_a_test_image(untrained_page):
    page = untrained_page
    seen = [png_of(page)]
    for left in (60, 180):
        draw_stroke(page, [(left, 60), (left, 260)])
        seen.append(png_of(page))
    page.click("#gallery button >> nth=0")
    assert png_of(page) not in seen[1:]
    for each in (seen[2], seen[1], seen[0], seen[0]):
        page.keyboard.press("Control+z")
        assert png_of(page) == each
    assert page.locator("#undo").is_disabled()


@needs_chromium
def test_nothing_goes_wrong_or_moves_when_buttons_and_strokes_meet(opened):
    names = ("a name of a class that is far too long for a telephone " * 3, "b", "c")
    run = untrained((9, 14), names=names, hidden=(4,))
    page, noted = opened(
        draw.page(run, data.Split(np.full((3, 9, 14), 200, np.uint8), np.arange(3)), 0.5),
        viewport={"width": 360, "height": 700},
    )
    assert page.inner_text("#hint") == "Draw here"  # as these classes are not digits
    height = page.evaluate("document.documentElement.scrollHeight")
    draw_stroke(page, drawings.seven(30, 80, 180))
    draw_stroke(page, drawings.seven(190, 80, 180))
    assert page.inner_text("#doubts").count(";") >= 1
    assert page.evaluate("document.documentElement.scrollHeight") == height
    box = page.locator("#drawing").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.evaluate("document.getElementById('clear').click()")  # as by another finger, in the middle of a stroke
    page.mouse.move(box["x"] + 90, box["y"] + 90)
    page.mouse.up()
    assert page.inner_text("#answer") == ""
    shape = page.locator("#seen").bounding_box()
    assert shape["width"] / shape["height"] == pytest.approx(14 / 9, rel=0.05)
    assert len(noted) == 1  # the page itself
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


SEVERAL = "several pieces of ink"
SCRIBBLE = "like a scribble"


@needs_chromium
@pytest.mark.parametrize(
    ("strokes", "warning"),
    [
        pytest.param([[(160, 160)]], "hardly any ink", id="tap"),
        pytest.param([[(150, 150), (170, 165), (155, 170)]], "hardly any ink", id="dot"),
        pytest.param([drawings.spiral(2)], SCRIBBLE, id="spiral-of-2-turns"),
        pytest.param([drawings.spiral(4)], SCRIBBLE, id="spiral-of-4-turns"),
        pytest.param([drawings.random_line(40)], SCRIBBLE, id="random-line"),
        pytest.param([[(x, y) for x in range(90, 220, 15) for y in (90, 210)]], SCRIBBLE, id="filled-square"),
        pytest.param([drawings.seven(40, 90, 120), drawings.seven(180, 80, 130)], SEVERAL, id="beside"),
        pytest.param([drawings.seven(100, 20, 110), drawings.seven(110, 170, 120)], SEVERAL, id="above"),
        pytest.param([drawings.seven(30, 30, 120), drawings.seven(190, 180, 110)], SEVERAL, id="diagonal"),
        pytest.param([drawings.seven(x, y, 90) for x in (30, 190) for y in (30, 190)], SEVERAL, id="four"),
        pytest.param([drawings.seven(40, 30, 250), drawings.seven(20, 130, 150)], SEVERAL, id="nested"),
        pytest.param([[(40, 160), (280, 170)]], "wider than a digit", id="dash"),
        pytest.param([drawings.seven(80, 80, 240)], "ink at the border", id="cut-off"),
        pytest.param([drawings.FIVE, [(150, 60), (230, 55)]], "", id="5-with-a-loose-bar"),
        pytest.param([drawings.seven(80, 80, 180)], "", id="7"),
        pytest.param([[(160, 60), (160, 260)]], "", id="1"),
    ],
)
def test_the_page_warns_of_ink_that_is_unlike_one_digit_and_of_no_other(untrained_page, strokes, warning):
    for stroke in strokes:
        draw_stroke(untrained_page, stroke)
    warnings = untrained_page.evaluate("ink.prepare(drawing).warnings")
    assert [warning in each for each in warnings] == [True] * bool(warning)
    assert all(each in untrained_page.inner_text("#doubts") for each in warnings)


@needs_chromium
def test_the_page_of_a_run_on_dark_ink_sees_dark_ink(opened):
    style = InkStyle(is_dark=True, is_like_mnist=True, usual_warnings=("several pieces of ink, like several digits",))
    images = np.full((2, 28, 28), 255, np.uint8)
    images[:, 5:20, 14] = 30
    runs_on = [untrained(hidden=(4,), ink_style=each) for each in (None, style)]
    looks = []
    for run in runs_on:
        page, _ = opened(draw.page(run, data.Split(images, np.arange(2)), 0.1))
        looks.append([page.evaluate(LOOK)["image"]])
        assert page.inner_text("#answer") == ""
        draw_stroke(page, drawings.seven(40, 90, 120))
        looks[-1].append(page.evaluate(LOOK)["image"])
        assert page.inner_text("#answer") != ""
        draw_stroke(page, drawings.seven(180, 80, 130))
        assert (SEVERAL in page.inner_text("#doubts")) == (run is runs_on[0])
    np.testing.assert_array_equal(looks[1], 255 - np.array(looks[0]))
    page.click("#gallery button >> nth=0")
    assert page.evaluate("Array.from(pen.getImageData(0, 0, 1, 1).data)") == [255, 255, 255, 255]
    assert page.evaluate("Array.from(pen.getImageData(165, 100, 1, 1).data)") == [30, 30, 30, 255]


@pytest.mark.slow
@needs_chromium
def test_the_page_warns_of_at_most_1_in_100_digits(untrained_page):
    """Measured on 1,000 test images of MNIST: 6 if they are enlarged, 7 if they are traced."""
    rng = np.random.default_rng(0)
    warned = 0
    for i, digit in enumerate(data.load("mnist_sample").train.images[:300]):
        if i % 2:
            paint(untrained_page, drawings.enlarge(rng, digit))
        else:
            untrained_page.evaluate(TRACE, drawings.trace(rng, digit))
        warned += bool(untrained_page.evaluate(LOOK)["warnings"])
    assert warned <= 3


@pytest.fixture(scope="module")
def reader(request, tmp_path_factory):
    """(a run that reads digits, its test split): of full MNIST if that is prepared, else of the sample."""
    if prepared_mnist():
        return request.getfixturevalue("trained_for_handwriting")
    path = tmp_path_factory.mktemp("sample") / "run"
    splits = data.load("mnist_sample")
    with runs.open_run(Config(dataset="mnist_sample", epochs=30, deskew=True, distort=1.0), path, splits) as run:
        for _ in run.train():
            pass
    return runs.load(path), splits.test


@pytest.mark.slow
@needs_chromium
def test_99_of_100_drawings_get_the_class_that_predict_gives_their_image(opened, reader, tmp_path):
    """Measured on 1,000 enlarged and 1,000 traced test images of MNIST: 99.5 % of each."""
    run, test = reader
    page, _ = opened(draw.page(run, test, 0.99))
    rng = np.random.default_rng(1)
    looks, expected = [], []
    for i, digit in enumerate(test.images[:100]):
        if i % 2:
            paint(page, drawings.enlarge(rng, digit))
        elif i % 20:
            page.evaluate(TRACE, drawings.trace(rng, digit))
        else:
            page.evaluate("strokes.length = 0; update()")
            for stroke in drawings.trace(rng, digit):
                draw_stroke(page, stroke)
        looks.append(page.evaluate(LOOK))
        (tmp_path / "a.png").write_bytes(png_of(page))
        expected.append(user_images.read(tmp_path / "a.png", 28, 28).image)
    classes = run.probabilities(np.stack(expected)).argmax(axis=1)
    same = sum(look["answer"] == run.class_names[best] for look, best in zip(looks, classes, strict=True))
    assert same >= 99
    seen = np.reshape([look["image"] for look in looks], (-1, 28, 28))
    assert np.abs(np.subtract(seen, expected, dtype=int)).mean() < 6  # gray levels


@pytest.mark.slow
@needs_mnist
@needs_chromium
def test_what_is_drawn_in_a_browser_is_read_and_doubted(opened, trained_for_handwriting):
    run, test = trained_for_handwriting
    page, _ = opened(draw.page(run, test, 0.99))
    draw_stroke(page, drawings.seven(96, 80, 192))
    assert page.inner_text("#answer") == "7"
    assert float(page.locator("#bars li >> nth=7").locator(".number").inner_text().removesuffix(" %")) > 50
    assert page.inner_text("#doubts") == ""
    page.click("#clear")
    draw_stroke(page, drawings.seven(32, 80, 192))
    draw_stroke(page, drawings.seven(176, 80, 192))
    assert SEVERAL in page.inner_text("#doubts")


def test_draw_writes_one_file_and_refuses_what_is_no_gray_image(run, run_folder, small, train, tmp_path):
    outcome = run(draw, run_folder, f"--out={tmp_path / 'new.html'}")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"Page: {tmp_path / 'new.html'} (0.0 MB)\n"
    text = (tmp_path / "new.html").read_text()
    assert "{{" not in text
    assert not re.search(r"(src|href)=|https?://|url\(|@import", text)
    assert "is a folder" in run(draw, f"--workdir={run_folder}", f"--out={tmp_path}").error
    (tmp_path / "link").symlink_to("/dev/null")
    assert "is a link or a device" in run(draw, f"--workdir={run_folder}", f"--out={tmp_path / 'link'}").error
    assert (tmp_path / "link").is_symlink()
    for shape in ((64,), (8, 4, 2)):
        rows = {
            name: each.reshape(-1, *shape) if name.startswith("x") else each for name, each in make_arrays().items()
        }
        np.savez(tmp_path / "other.npz", **rows)
        assert train(*small(tmp_path / str(shape), dataset=tmp_path / "other.npz", epochs=1)).code == 0
        refused = run(draw, f"--workdir={tmp_path / str(shape)}")
        assert (refused.code, refused.error.count(f"was trained on uint8 of shape {list(shape)}; the page needs")) == (
            1,
            1,
        )


def test_a_name_of_a_class_cannot_end_the_script(evaluated):
    names = ("</script><script>alert(1)</script>", "<!--")
    run = untrained(hidden=(4,), names=names)
    page = draw.page(run, data.Split(np.zeros((2, 28, 28), np.uint8), np.arange(2)), 0.5)
    assert evaluated(page, "MODEL.classes", []) == list(names)
