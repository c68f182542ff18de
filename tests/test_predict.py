"""The predict command: a line a picture, a bad file among good ones, and JSON."""

import json
import re

import pytest
from PIL import Image

from mlp_tf import predict


def test_predict_goes_on_after_a_bad_file_and_ends_with_1(run, run_folder, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(arrays["x_test"][0]).resize((80, 80), 0).save("good.png")
    (tmp_path / "bad.png").write_text("no picture")
    outcome = run(predict, f"--workdir={run_folder}", "--show", "good.png", "bad.png", "good.png")
    assert outcome.code == 1
    assert outcome.err.count("bad.png: not a picture") == 1
    [first, second] = outcome.out.splitlines()
    assert first == second
    assert re.fullmatch(r"good\.png: (\d)   \1: [01]\.\d{4}  \d: [01]\.\d{4}  \d: [01]\.\d{4}", first)
    assert Image.open("predictions.png").width == 800


def test_predict_prints_json(run, run_folder, arrays, tmp_path):
    Image.fromarray(arrays["x_test"][0]).resize((80, 80), 0).save(tmp_path / "a.png")
    answer = json.loads(run(predict, f"--workdir={run_folder}", "--json", tmp_path / "a.png").out)
    assert answer["file"] == str(tmp_path / "a.png")
    assert [answer["class"], answer["probability"]] == list(answer["top"][0].values())
    assert sum(top["probability"] for top in answer["top"]) == pytest.approx(1, abs=1e-6)


def test_predict_without_pictures_says_so(run, run_folder):
    assert "no picture given" in run(predict, f"--workdir={run_folder}").error
