"""The page to draw on: it computes what TensorFlow does, asks nobody for anything, and works in a browser."""

import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import playwright
import pytest
from helpers import make_arrays, needs_mnist
from PIL import Image, ImageDraw

from mlp_tf import data, draw, loop
from mlp_tf.config import Config
from mlp_tf.data.augmentation import deskew
from mlp_tf.handwriting import images as user_images
from mlp_tf.model import init_params, normalize
from mlp_tf.runs.identity import Data, Description
from mlp_tf.runs.trained import TrainedRun

NODE = pathlib.Path(playwright.__file__).parent / "driver/node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def untrained(shape=(28, 28), names=tuple("0123456789"), **settings):
    """A run that still has its initial weights, with biases that are not 0."""
    raw = Data("mnist_sample", 100, 10, 10, shape, "uint8", len(names), names, "", 1)
    description = Description(Config(**settings), raw, {})
    weights, biases = init_params(description.sizes, seed=3)
    biases = {name: value.numpy() + 0.1 for name, value in biases.items()}
    weights = {name: value.numpy() for name, value in weights.items()}
    return TrainedRun(pathlib.Path("a<b"), description, (weights, biases))


def logits_of(run, images):
    """By TensorFlow, float32 `[N, classes]`."""
    x = normalize(deskew(images) if run.config.deskew else images)
    return loop.model_function(run.config)(x, run.weights, run.biases).numpy()


@pytest.fixture
def evaluated(tmp_path):
    """Evaluates an expression of `given` by the scripts of a page, but for the one that needs a browser."""

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


LOGITS = "given.map((image) => Array.from(perceptron.logits(Uint8Array.from(image))))"


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
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(28, 28), (9, 14)])
def test_the_page_computes_the_logits_of_tensorflow(evaluated, settings, shape):
    run = untrained(shape, names=("0", "1", "2"), **settings)
    images = np.random.default_rng(0).integers(0, 256, (50, *shape), np.uint8)
    images[:10, :, shape[1] // 2 :] = 0  # of which some lean far, and one is empty
    images[0] = 0
    test = data.Split(images, np.arange(50, dtype=np.int32) % 3)
    got = evaluated(draw.page(run, test, 0.5), LOGITS, images.reshape(50, -1).tolist())
    assert_same_logits(got, logits_of(run, images))


@pytest.mark.slow
@needs_mnist
def test_a_trained_run_answers_in_the_page_as_in_tensorflow(trained_for_handwriting, evaluated):
    run, test = trained_for_handwriting
    page, images = draw.page(run, test, 0.99), test.images[:1000]
    assert len(page) < 1_600_000
    assert_same_logits(evaluated(page, LOGITS, images.reshape(1000, -1).tolist()), logits_of(run, images))


def drawing(rng, digit):
    """A drawing of any size, on even paper: strokes of a pen, or a digit of MNIST; dark on light, or light on dark."""
    width, height = rng.integers(40, 700, 2)
    picture = Image.new("L", (width, height), 255)
    if rng.random() < 0.5:
        side = int(0.8 * min(width, height))
        enlarged = Image.fromarray(255 - digit).resize((side, side), Image.Resampling.BICUBIC)
        picture.paste(enlarged, (int(rng.integers(0, width - side)), int(rng.integers(0, height - side))))
    else:
        points = [tuple(point) for point in rng.uniform(0.15, 0.85, (rng.integers(3, 7), 2)) * (width, height)]
        ImageDraw.Draw(picture).line(
            points, fill=0, width=int(rng.integers(1, 3 + min(width, height) // 12)), joint="curve"
        )
    return picture if rng.random() < 0.7 else picture.point(lambda value: 255 - value)


PREPARED = """given.map(([grey, width, height]) => {
  const { image, warnings } = perceptron.prepared(Float32Array.from(grey, (v) => v / 255), width, height);
  return [Array.from(image), warnings];
})"""


def compare_prepared(run, test, evaluated, tmp_path, count):
    """(what the page makes of drawings, what `pictures` makes of them), images and warnings each."""
    rng = np.random.default_rng(7)
    drawings = [drawing(rng, test.images[i]) for i in range(count)]
    expected = []
    for each in drawings:
        each.save(tmp_path / "a.png")
        expected.append(user_images.read(tmp_path / "a.png", 28, 28))
    given = [[np.asarray(each).ravel().tolist(), *each.size] for each in drawings]
    got = evaluated(draw.page(run, test, 0.99), PREPARED, given)
    return got, expected


def assert_same_images(got, expected):
    """Within 2 grey levels on 99.9 % of the pixels, with the same warnings."""
    differences = np.abs(
        [np.subtract(image, its.image.ravel(), dtype=int) for (image, _), its in zip(got, expected, strict=True)]
    )
    assert (differences <= 2).mean() >= 0.999
    assert [tuple(warnings) for _, warnings in got] == [its.warnings for its in expected]


def test_the_page_prepares_a_drawing_as_predict_does(evaluated, tmp_path):
    test = data.load("mnist_sample").test
    assert_same_images(*compare_prepared(untrained(hidden=(4,)), test, evaluated, tmp_path, 30))


@pytest.mark.slow
@needs_mnist
def test_drawings_of_any_size_get_the_class_that_predict_gives_them(trained_for_handwriting, evaluated, tmp_path):
    run, test = trained_for_handwriting
    got, expected = compare_prepared(run, test, evaluated, tmp_path, 200)
    assert_same_images(got, expected)
    images = [
        np.reshape([image for image, _ in got], (-1, 28, 28)).astype(np.uint8),
        np.stack([p.image for p in expected]),
    ]
    one, other = (logits_of(run, each).argmax(axis=1) for each in images)
    np.testing.assert_array_equal(one, other)


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
    """Opens a page from a file; what it asked for, and what went wrong in it, is in the list that comes with it."""

    def open_page(text, **screen):
        (tmp_path / "draw.html").write_text(text)
        page, noted = browser.new_page(**screen), []
        page.on("request", lambda request: noted.append(request.url))
        page.on("console", lambda message: noted.append(message.text))
        page.on("pageerror", lambda error: noted.append(str(error)))
        page.goto((tmp_path / "draw.html").as_uri())
        return page, noted

    return open_page


def draw_seven(page, left=0.3, right=0.7):
    """Draws a 7 with the mouse, as shares of the drawing area."""
    box = page.locator("#drawing").bounding_box()
    places = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"])
        for x, y in ((left, 0.25), (right, 0.25), ((left + right) / 2, 0.85))
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.evaluate("new Promise(requestAnimationFrame)")


needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")


@needs_chromium
@pytest.mark.parametrize(
    "screen", [{"viewport": {"width": 360, "height": 700}, "color_scheme": "dark"}, {}], ids=["phone", "desk"]
)
def test_the_page_shows_nothing_until_something_is_drawn_and_asks_nobody(opened, screen):
    run = untrained(hidden=(40, 8), names=("0", "1", "2"))
    images = np.zeros((3, 28, 28), np.uint8)
    images[1, 5:20, 14] = 255
    page, noted = opened(draw.page(run, data.Split(images, np.arange(3, dtype=np.int32)), 0.5), **screen)
    assert page.inner_text("#answer") == ""
    heights = [page.evaluate("document.documentElement.scrollHeight")]
    draw_seven(page)
    heights.append(page.evaluate("document.documentElement.scrollHeight"))
    assert page.inner_text("#answer") in {"0", "1", "2"}
    assert page.locator("#bars li").count() == 3
    assert re.fullmatch(r"Hidden layer 1: 40 units, \d+ above 0", page.inner_text("#layers h2 >> nth=0"))
    assert page.locator("#undo").is_enabled()
    page.click("#undo")
    assert page.inner_text("#answer") == ""
    assert page.locator("#clear").is_disabled()
    page.focus("#gallery button >> nth=1")
    page.keyboard.press("Enter")
    answer = logits_of(run, images[1:2]).argmax()
    assert page.inner_text("#answer") == str(answer)
    page.click("#clear")
    assert page.inner_text("#answer") == ""
    assert len(noted) == 1  # the page itself
    assert noted[0].startswith("file:")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert heights[0] == heights[1]  # nothing moves
    assert "a<b: 784-40-8-3" in page.inner_text("#title")


@needs_chromium
def test_nothing_goes_wrong_or_moves_when_buttons_and_strokes_meet(opened):
    names = ("a name of a class that is far too long for a telephone " * 3, "b", "c")
    run = untrained((9, 14), names=names, hidden=(4,))
    page, noted = opened(
        draw.page(run, data.Split(np.full((3, 9, 14), 200, np.uint8), np.arange(3)), 0.5),
        viewport={"width": 360, "height": 700},
    )
    height = page.evaluate("document.documentElement.scrollHeight")
    draw_seven(page, 0.1, 0.4)
    draw_seven(page, 0.6, 0.9)
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


@pytest.mark.slow
@needs_mnist
@needs_chromium
def test_what_is_drawn_in_a_browser_is_read_and_doubted(opened, trained_for_handwriting):
    run, test = trained_for_handwriting
    page, _ = opened(draw.page(run, test, 0.99))
    draw_seven(page)
    assert page.inner_text("#answer") == "7"
    assert page.locator("#bars li >> nth=7").locator(".number").inner_text() > "50"
    assert page.inner_text("#doubts") == ""
    page.click("#clear")
    draw_seven(page, 0.1, 0.4)
    draw_seven(page, 0.55, 0.85)
    assert "several pieces of ink beside each other" in page.inner_text("#doubts")


def test_draw_writes_one_file_and_refuses_what_is_no_grey_image(run, run_folder, small, train, tmp_path):
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
