"""The predict command: a line for each image, a bad file among good ones, and JSON."""

import io
import json
import os
import re
import struct
import zlib

import numpy as np
import pytest
from helpers import bar, command, feature_probabilities, logits
from PIL import Image, ImageDraw

from mlp_tf import data, figures, predict, runs
from mlp_tf.config import Config
from mlp_tf.handwriting import images

# Runs the command where Python refuses to print what is no text, as it does unless the environment says otherwise.
STRICT = """
import runpy, sys
sys.stdout.reconfigure(encoding="utf-8", errors="strict")
runpy.run_module("mlp_tf.predict", run_name="__main__", alter_sys=True)
"""


def test_a_folder_for_plots_is_refused_where_none_is_drawn(run, run_folder, tmp_path):
    bar(8, 8).save(tmp_path / "a.png")
    outcome = run(predict, f"--workdir={run_folder}", f"--out={tmp_path / 'o.csv'}", tmp_path / "a.png")
    assert outcome.code == 1
    assert outcome.error.endswith("o.csv: for image files, the folder of --show; add --show, or leave it out")


def test_predict_goes_on_after_a_bad_file_and_ends_with_1(run, run_folder, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bar().save("good.png")
    (tmp_path / "bad.png").write_text("no picture")
    outcome = run(predict, f"--workdir={run_folder}", "--show", "good.png", "bad.png", "good.png")
    assert outcome.code == 1
    assert outcome.err.count("bad.png: not an image") == 1
    [first, second, plot] = outcome.out.splitlines()
    assert first == second
    assert re.fullmatch(
        r"good\.png: (\d)   \1: [01]\.\d{4}  \d: [01]\.\d{4}  \d: [01]\.\d{4}(   low conf.*: .*)?", first
    )
    assert plot == "Plot: predictions.png"
    assert Image.open("predictions.png").width == 1200


def test_predict_prints_json(run, run_folder, arrays, tmp_path):
    bar().save(tmp_path / "a.png")
    answer = json.loads(run(predict, f"--workdir={run_folder}", "--json", tmp_path / "a.png").out)
    assert answer["file"] == str(tmp_path / "a.png")
    assert {name: answer[name] for name in ("class", "name", "probability")} == answer["top"][0]
    assert answer["name"] == str(answer["class"])
    assert sum(top["probability"] for top in answer["top"]) == pytest.approx(1, abs=1e-6)


def test_with_json_the_plot_is_named_on_stderr_and_lies_in_out(run, run_folder, tmp_path):
    bar().save(tmp_path / "a.png")
    words = ["--json", "--show", f"--out={tmp_path / 'new'}", "--format=pdf", tmp_path / "a.png"]
    outcome = run(predict, f"--workdir={run_folder}", *words)
    assert json.loads(outcome.out)["file"] == str(tmp_path / "a.png")
    assert outcome.err.splitlines()[-1] == f"Plot: {tmp_path / 'new/predictions.pdf'}"
    assert (tmp_path / "new/predictions.pdf").exists()


def softmax_of(values):
    """Probabilities from logits `[N, classes]`."""
    exponentials = np.exp(values)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_an_ensemble_predicts_the_mean_of_its_runs(run, train, small, run_folder, arrays, tmp_path):
    train(*small(workdir=tmp_path / "other", seed=1, epochs=1))
    bar().save(tmp_path / "a.png")
    members = [f"--workdir={run_folder}", f"--workdir={tmp_path / 'other'}"]
    *alone, together = (
        {
            top["class"]: top["probability"]
            for top in json.loads(run(predict, *words, "--json", tmp_path / "a.png").out)["top"]
        }
        for words in ([members[0]], [members[1]], members)
    )
    for c, probability in together.items():
        assert probability == pytest.approx((alone[0][c] + alone[1][c]) / 2, rel=1e-5)
    np.savez(tmp_path / "x.npz", arrays["x_test"])
    answers = map(json.loads, run(predict, *members, "--json", tmp_path / "x.npz").out.splitlines())
    softmax = [softmax_of(logits(folder, arrays["x_test"])) for folder in (run_folder, tmp_path / "other")]
    best = np.mean(softmax, axis=0).max(axis=1)
    assert [each["probability"] for each in answers] == pytest.approx(best, rel=1e-4)


@pytest.mark.slow
def test_a_name_that_is_no_text_is_spelled_out(run_folder, good, tmp_path):
    name = os.fsdecode(b"\xff.png")
    (tmp_path / name).write_bytes(good)
    words = ["-c", STRICT, f"--workdir={run_folder}", "--show", name]
    outcome = command(*words, cwd=tmp_path)
    assert outcome.code == 0
    assert outcome.out.startswith("\\udcff.png: ")


def test_postscript_starts_no_program(run, run_folder, good, tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    bad, paths = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 30\n%%EndComments\nshowpage\n%%EOF\n", []
    for name, content in (("x.png", bad), ("x.eps", bad), ("good.png", good)):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    outcome = run(predict, f"--workdir={run_folder}", *paths)
    assert (outcome.code, len(outcome.out.splitlines())) == (1, 1)
    assert re.fullmatch(r"(error: \S+/x\.(png|eps): not an image that can be read; .*\n){2}note: .*\n", outcome.err)
    assert not (tmp_path / "started").exists()


def chunk(kind, content):
    """A part of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height):
    """A PNG file that says it is so large, without pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def bmp(width, height):
    """A BMP file that says it is so large, without pixels."""
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def encoded(picture, kind, **options):
    """A picture as a file of a kind."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def with_exif(picture, damage):
    """A JPEG file whose EXIF, which says to turn it, was damaged."""
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "hello"
    return encoded(picture, "JPEG", exif=damage(exif.tobytes()))


@pytest.fixture
def picture():
    """A picture of a digit."""
    return bar()


@pytest.fixture
def good(picture):
    """A file that can be read."""
    return encoded(picture, "PNG")


def test_no_bad_file_keeps_the_others_from_being_predicted(run, run_folder, picture, good, tmp_path):
    bad = {f"torn.{kind}": encoded(picture, kind)[:-200] for kind in ("PNG", "JPEG", "GIF", "BMP")}
    bad |= {f"half.{kind}": encoded(picture, kind)[:40] for kind in ("PNG", "JPEG", "GIF", "BMP")}
    bad |= {f"{w}x{h}.png": png(w, h) for w, h in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (0, 5), (7000, 7000))}
    bad |= {
        f"{w}x{h}.bmp": bmp(w, h) for w, h in ((-8, 8), (8, -8), (2**31 - 1, 2**31 - 1), (-(2**31), 1), (7000, 7000))
    }
    for name, text in (("text.png", b"\7garbage"), ("bomb.png", b"\0" + zlib.compress(bytes(2_000_000)))):
        bad[name] = good[:33] + chunk(b"zTXt", b"words\0" + text) + good[33:]  # after the chunk that says the size
    bad["exif.jpg"] = with_exif(picture, lambda exif: exif.replace(b"\x01\x0e", b"\x01\x00"))
    bad["samples.tif"] = encoded(picture, "TIFF").replace(
        struct.pack("<HHI", 278, 4, 1), struct.pack("<HHI", 277, 4, 1)
    )
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "good.png").write_bytes(good)
    (tmp_path / "garbage in its EXIF.jpg").write_bytes(with_exif(picture, lambda exif: exif[:20]))
    paths = ["/dev/zero", *(tmp_path / name for name in (*bad, "fifo.png", "folder.png"))]
    every_other = [path for bad_path in paths for path in (bad_path, tmp_path / "good.png")]
    outcome = run(predict, f"--workdir={run_folder}", tmp_path / "garbage in its EXIF.jpg", *every_other)
    assert outcome.code == 1
    *errors, note = outcome.err.splitlines()
    assert [line.partition(": ")[2].partition(": ")[0] for line in errors] == list(map(str, paths))
    assert note == f"note: {len(paths) + 1} of {len(paths) + 1} images are not 8 x 8, and were prepared as MNIST's were"
    assert len(outcome.out.splitlines()) == len(paths) + 1


def test_a_folder_stands_for_the_images_in_it(run, run_folder, good, tmp_path):
    for name in ("b.png", "a.PNG", "notes.txt", "._b.png"):
        (tmp_path / name).write_bytes(good)
    (tmp_path / "empty").mkdir()
    outcome = run(predict, f"--workdir={run_folder}", tmp_path, tmp_path / "empty", tmp_path / "notes.txt")
    assert outcome.code == 1
    paths = [line.partition(": ")[0] for line in outcome.out.splitlines()]
    assert paths == [str(tmp_path / name) for name in ("a.PNG", "b.png", "notes.txt")]
    skipped, error, _ = outcome.err.splitlines()
    assert skipped.startswith(f"note: {tmp_path}: skipped empty, notes.txt (not .png, .jpg,")
    assert error.startswith(f"error: {tmp_path / 'empty'}: a folder without images (.png, .jpg,")


def test_of_many_files_that_are_skipped_some_are_named_in_one_line(run, run_folder, good, tmp_path):
    (tmp_path / "a.png").write_bytes(good)
    for i in range(25):
        (tmp_path / f"{i:02}.txt").touch()
    outcome = run(predict, f"--workdir={run_folder}", tmp_path)
    assert outcome.code == 0
    skipped, _ = outcome.err.splitlines()
    assert "skipped 00.txt, 01.txt," in skipped
    assert "19.txt and 5 more (not" in skipped


def test_the_plot_frames_low_confidence_and_tells_equal_names_apart(run, run_folder, good, tmp_path, monkeypatch):
    drawn, draw = [], figures.plot_images
    monkeypatch.setattr(figures, "plot_images", lambda *grid, **more: drawn.append((grid, more)) or draw(*grid, **more))
    for name in ("one/a.png", "two/a.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(good)
    for framed in ([], [0, 1]):
        monkeypatch.setattr(predict, "list_warnings", lambda *answer, texts=bool(framed) * ["odd"]: texts)
        words = [tmp_path / "one/a.png", tmp_path / "two/a.png"]
        assert run(predict, f"--workdir={run_folder}", "--show", f"--out={tmp_path}", *words).code == 0
        (_, captions, title), more = drawn[-1]
        assert [caption.splitlines()[0] for caption in captions] == ["one/a.png", "two/a.png"]
        assert (more["framed"], "framed: low confidence" in title) == (framed, bool(framed))


def test_of_more_than_100_images_the_first_100_are_in_the_plot(run, run_folder, good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(101):
        (tmp_path / f"{i:03}.png").write_bytes(good)
    drawn, draw = [], figures.plot_images
    monkeypatch.setattr(
        figures, "plot_images", lambda *grid, **more: drawn.append(grid) or draw(grid[0][:1], ["a"], "b")
    )
    outcome = run(predict, f"--workdir={run_folder}", "--show", "--format=svg", tmp_path)
    assert (outcome.code, len(outcome.out.splitlines())) == (0, 102)
    assert outcome.out.endswith("\nPlot: predictions.svg\n")
    assert outcome.err.splitlines()[-1] == "note: the plot shows the first 100 of 101"
    [(images, captions, _)] = drawn
    assert (len(images), len(captions), captions[99].split()[0]) == (100, 100, "099.png")


def shape(name, dark_on_light, size, width=11):
    """A figure of straight strokes of a width in hundredths, as an image."""
    corners = {"bar": [(50, 20), (50, 80)], "seven": [(30, 20), (68, 20), (50, 80)]}
    corners["square"] = [(30, 20), (68, 20), (68, 80), (30, 80), (30, 20)]
    image = Image.new("L", (size, size), 255 if dark_on_light else 0)
    points = [(x * size / 100, y * size / 100) for x, y in corners[name]]
    ImageDraw.Draw(image).line(points, fill=0 if dark_on_light else 255, width=size * width // 100)
    return image


@pytest.fixture(scope="module", params=[True, False], ids=["dark-on-light", "light-on-dark"])
def shapes_run(request, tmp_path_factory):
    """(folder of a run on an array of figures, framed as MNIST's digits, their names, whether they are dark on light).

    Trains a network of 784-64-3 for 60 epochs of 7 steps.
    """
    folder = tmp_path_factory.mktemp("shapes")
    names = ["bar", "seven", "square"]
    labels = np.arange(90) % 3
    drawn = []
    for i, label in enumerate(labels):
        shape(names[label], True, 200, 8 + i // 10).save(folder / "a.png")
        drawn.append(images.read(folder / "a.png", 28, 28).image)
    drawn = np.stack(drawn)
    np.savez(folder / "shapes.npz", x_train=255 - drawn if request.param else drawn, y_train=labels)
    config = Config(hidden=(64,), batch_size=10, epochs=60, dataset=str(folder / "shapes.npz"))
    with runs.open_run(config, folder / "run") as opened:
        for _ in opened.train():
            pass
    return folder / "run", names, request.param


def test_an_image_is_read_whatever_is_dark_in_it_and_in_the_data(run, shapes_run, tmp_path):
    folder, names, is_dark = shapes_run
    style = json.loads((folder / "config.json").read_text())["ink_style"]
    assert style == {"is_dark": is_dark, "is_like_mnist": True, "usual_warnings": []}
    for dark_on_light in (True, False):
        for size in (28, 200):
            paths = [tmp_path / f"{name}.png" for name in names]
            for path in paths:
                shape(path.stem, dark_on_light, size).save(path)
            outcome = run(predict, f"--workdir={folder}", "--json", *paths)
            answers = [json.loads(line) for line in outcome.out.splitlines()]
            assert [names[answer["class"]] for answer in answers] == names
            assert [answer["warnings"] for answer in answers] == [[], [], []]


def test_images_of_the_runs_size_are_checked_too(run, shapes_run, tmp_path):
    folder, _, is_dark = shapes_run
    Image.new("L", (28, 28), 255).save(tmp_path / "blank.png")
    two = Image.new("L", (56, 56), 255 if is_dark else 0)
    for corner in ((0, 0), (28, 28)):
        two.paste(shape("seven", is_dark, 28), corner)
    two.resize((28, 28), Image.Resampling.BOX).save(tmp_path / "two.png")
    outcome = run(predict, f"--workdir={folder}", "--json", tmp_path)
    blank, several = [json.loads(line)["warnings"][0] for line in outcome.out.splitlines()]
    assert blank == "all of one color; there is nothing to recognize"
    assert several == "several pieces of ink, like several digits"


def test_predict_without_images_says_so(run, run_folder):
    assert "no image given" in run(predict, f"--workdir={run_folder}").error


@pytest.fixture
def people(table_run, tmp_path):
    """(a run on a table, a table of 33 new rows with other columns, what NumPy says of them)."""
    folder, table = table_run
    rows = [(3 + i / 10, -1.5 + i / 10, 2 * i) for i in range(33)]  # from one class to the next
    lines = [f'{age},?,{weight},"Doe, J",{size},{i:03}' for i, (weight, size, age) in enumerate(rows)]
    (tmp_path / "new.csv").write_text("\n".join(["age,label,weight,Name,size,PassengerId", *lines]) + "\n")
    train_x = data.load(str(table)).train.images.astype(np.float64)
    return folder, tmp_path / "new.csv", feature_probabilities(folder, np.array(rows), train_x)


def test_rows_of_a_table_are_matched_by_the_names_of_their_columns(run, people):
    folder, table, expected = people
    assert json.loads((folder / "config.json").read_text())["data"]["columns"] == ["weight", "size", "age"]
    outcome = run(predict, f"--workdir={folder}", table)
    order = (-expected).argsort(axis=1)
    names = ["ax", "bx", "cx"]
    lines = []
    for i, row in enumerate(expected):
        answers = "  ".join(f"{names[c]}: {row[c]:.4f}" for c in order[i])
        lines.append(f"{i:03}: {names[order[i, 0]]}   {answers}")
    assert outcome.out.splitlines() == lines
    doubted = (expected.max(axis=1) < 0.9).sum()
    assert 0 < doubted < 33
    warning = f"WARNING: {doubted} of 33 rows have low confidence: a probability below 0.90"
    assert outcome.err.splitlines() == ["note: not used: Name", warning]
    answers = [json.loads(line) for line in run(predict, f"--workdir={folder}", "--json", table).out.splitlines()]
    assert [(each["row"], each["id"], each["class"], each["name"]) for each in answers] == [
        (i + 1, f"{i:03}", order[i, 0], names[order[i, 0]]) for i in range(33)
    ]
    found = [[top["probability"] for top in each["top"]] for each in answers]
    np.testing.assert_allclose(found, -np.sort(-expected), atol=1e-5)


def test_answers_are_written_in_kaggles_layout_with_the_id_carried_over(run, people, tmp_path):
    folder, table, expected = people
    out = tmp_path / "answers.csv"
    out.write_text("old")
    outcome = run(predict, f"--workdir={folder}", f"--out={out}", table)
    assert (outcome.code, outcome.out) == (0, f"Answers: {out}, 33 rows\n")
    best = expected.argmax(axis=1)
    lines = [f"{i:03},{'abc'[c]}x" for i, c in enumerate(best)]
    assert out.read_text() == "\n".join(["PassengerId,Label", *lines]) + "\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "new.csv"]
    for wrong in (table, tmp_path / "answers.txt"):
        refused = run(predict, f"--workdir={folder}", f"--out={wrong}", table).error
        assert refused == f"error: --out={wrong}: must be another file that ends in .csv, as the answers are a table"


def test_rows_of_pixels_get_kaggles_image_ids(run, run_folder, arrays, tmp_path):
    x = arrays["x_test"].reshape(61, 64)
    lines = [",".join(map(str, row)) for row in x.tolist()]
    (tmp_path / "test.csv").write_text("\n".join([",".join(f"pixel{i}" for i in range(64)), *lines]))
    out = tmp_path / "answers.csv"
    outcome = run(predict, f"--workdir={run_folder}", f"--out={out}", "--json", tmp_path / "test.csv")
    note = "note: the run does not know the names of its columns; those of the table are taken in their order"
    assert outcome.err.splitlines()[0] == note
    best = logits(run_folder, arrays["x_test"]).argmax(axis=1)
    expected = ["ImageId,Label", *(f"{i},{c}" for i, c in enumerate(best, start=1))]
    assert out.read_text().splitlines() == expected
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(each["row"], each["class"]) for each in answers] == list(enumerate(best, start=1))
    assert "id" not in answers[0]


def test_what_rows_cannot_do_is_one_line(run, run_folder, table_run, tmp_path):
    (tmp_path / "a.csv").write_text("weight,size,age\n1,2,3\n")
    error = run(predict, f"--workdir={run_folder}", tmp_path / "a.csv", "b.png").error
    assert error.endswith("a.csv: 2 files are given; give one table at a time")
    error = run(predict, f"--workdir={table_run[0]}", "--show", tmp_path / "a.csv").error
    assert error == "error: --show: draws image files only; leave it out"
    error = run(predict, f"--workdir={table_run[0]}", tmp_path / "b.csv").error
    assert error == f"error: {tmp_path / 'b.csv'}: No such file or directory; give a .csv file that can be read"
