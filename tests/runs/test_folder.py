"""A run's folder: one process at a time, and files that are not a run's, or not whole."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from helpers import assert_same_run, contents, slow, start

from mlp_tf import UserError, evaluate, plot
from mlp_tf.runs.folder import open_folder, read_folder


def test_a_second_process_is_kept_out(tmp_path):
    with open_folder(tmp_path / "run"):
        with pytest.raises(UserError, match="another process is using this folder"), open_folder(tmp_path / "run"):
            pass
        assert (tmp_path / "run").exists()
    assert not (tmp_path / "run").exists()  # made here, and left empty


@pytest.mark.parametrize("garbage", ["", "{", "[]", "\0\1", "{}", '{"format": 1}', '{"settings": {"hidden": 3}}'])
def test_a_garbage_config_is_refused(refused, small, finished_run, garbage):
    (finished_run / "config.json").write_text(garbage)
    error = refused(finished_run, *small())
    assert "config.json" in error


@pytest.mark.parametrize("file", ["config.json", "manifest.json"])
def test_a_newer_format_is_refused(refused, small, finished_run, file):
    for path in finished_run.rglob(file):
        path.write_text(path.read_text().replace('"format": 2', '"format": 3'))
    error = refused(finished_run, *small(epochs=5))
    assert "format 3, but this version reads 2; update mlp_tf" in error


@pytest.mark.parametrize("file", ["config.json", "manifest.json"])
def test_a_folder_of_version_0_is_refused_in_one_line(refused, small, finished_run, file):
    for path in finished_run.rglob(file):
        path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    error = refused(finished_run, *small(epochs=5))
    assert f"{file}: written by mlp_tf 0.x, which this version does not read; train the run again" in error


def test_a_folder_with_other_things_in_it_is_refused(train, small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("mine")
    outcome = train(*small())
    assert outcome.code == 1
    assert "holds files but no config.json" in outcome.error
    assert os.listdir(tmp_path / "run") == ["thesis.tex"]


@pytest.mark.parametrize(("file", "gone"), [("config.json", "data"), ("results.json", "epochs")])
def test_a_file_without_its_keys_is_named_with_them(train, small, finished_run, file, gone):
    content = json.loads((finished_run / file).read_text())
    del content[gone]
    (finished_run / file).write_text(json.dumps(content))
    outcome = train(*small())
    assert outcome.code == 1
    assert f"{file}: not a file of a run (Object missing required field `{gone}`)" in outcome.error


@pytest.mark.parametrize("torn", ["", '{"epoch": 2, "co', "garbage\n", '{"epoch": 2}\n{"epoch": 3}\n{"epo'])
def test_metrics_are_mended_from_the_checkpoint_at_resume(live, config, stopped_run, whole_run, torn):
    with open(stopped_run / "metrics.jsonl", "a") as file:
        file.write(torn)
    live(config, stopped_run)
    assert_same_run(stopped_run, whole_run)


# With a cost of the validation images, but no accuracy.
ROW = '{"epoch": 4, "cost": 1, "val_cost": 0.5, "val_accuracy": null, "learning_rate": 0.1, "seconds": 1}'


def change(path, *keys, to):
    """Sets a value deep in a JSON file."""
    content = at = json.loads(path.read_text())
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = to
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        ("config.json", ["settings", "epochs"], True, "epochs=True: must be an integer from 1 to 100000"),
        ("config.json", ["settings", "hidden"], [8.5], "hidden=[8.5]: must be a tuple of integers"),
        ("config.json", ["settings", "learning_rate"], "0.1", "learning_rate='0.1': must be a number above 0"),
        ("config.json", ["settings", "dataset"], 5, "dataset=5: must be a string"),
        ("config.json", ["settings", "colour"], 5, "colour is not a setting"),
        ("config.json", ["data", "train"], -3, "Expected `int` >= 1 - at `$.data.train`"),
        ("config.json", ["data", "example_shape"], [], "Expected `array` of length >= 1 - at `$.data.example_shape`"),
        ("config.json", ["data", "classes"], 1, "Expected `int` >= 2 - at `$.data.classes`"),
        ("config.json", ["model", "parameters"], 7, "its data, settings, scaling and model contradict each other"),
        ("config.json", ["warning"], None, "Expected `str`, got `null` - at `$.warning`"),
        ("config.json", ["environment", "threads"], [], "Expected `int`, got `array` - at `$.environment.threads`"),
        ("config.json", ["format"], 2**70, "but this version reads 2; update mlp_tf"),
        ("results.json", ["epochs"], "3", "Expected `int`, got `str` - at `$.epochs`"),
        ("results.json", ["test_accuracy"], 0.9999, "it is not what was written); delete it and run the same"),
        ("results.json", ["sha256"], None, "it is not what was written"),
        ("config.json", ["environment", "variables"], 5, "Expected `object`, got `int` - at `$.environment.variables`"),
        ("config.json", ["environment", "mlp_tf"], {}, "Expected `str`, got `object` - at `$.environment.mlp_tf`"),
        (
            "config.json",
            ["data", "example_shape"],
            [2**30] * 3,
            "its data, settings, scaling and model contradict each other",
        ),
    ],
)
def test_a_changed_file_is_refused_by_its_name_and_what_is_wrong(run, finished_run, file, keys, value, message):
    change(finished_run / file, *keys, to=value)
    outcome = run(evaluate, f"--workdir={finished_run}")
    assert outcome.code == 1
    assert str(finished_run / file) in outcome.error
    assert message in outcome.error


def test_results_that_were_deleted_are_written_anew(train, small, finished_run, whole_run):
    (finished_run / "results.json").write_text("{}")
    assert "delete it and run the same command again" in train(*small()).error
    (finished_run / "results.json").unlink()
    assert train(*small()).code == 0
    assert_same_run(finished_run, whole_run)


def test_results_of_another_run_are_refused(train, run, small, finished_run, tmp_path):
    train(*small(workdir=tmp_path / "other", seed=1))
    shutil.copy(tmp_path / "other/results.json", finished_run)
    outcome = run(evaluate, f"--workdir={finished_run}")
    assert "results.json: not of the run that config.json describes; delete it" in outcome.error


@pytest.mark.parametrize(("name", "value"), [("activation", "tanh"), ("deskew", True), ("seed", 4), ("init", "he")])
def test_a_setting_changed_in_config_json_is_refused_by_name(run, train, small, finished_run, name, value):
    before = json.loads((finished_run / "config.json").read_text())["settings"][name]
    change(finished_run / "config.json", "settings", name, to=value)
    for outcome in (run(evaluate, f"--workdir={finished_run}"), train(*small(**{name: value}))):
        assert outcome.code == 1
        assert f"config.json has {name} {value}, but {before} in step-0000000060." in outcome.error


def test_another_runs_checkpoint_is_refused_by_what_differs(train, run, small, finished_run, tmp_path):
    train(*small(workdir=tmp_path / "other", seed=1))
    shutil.rmtree(finished_run / "checkpoints")
    shutil.copytree(tmp_path / "other/checkpoints", finished_run / "checkpoints")
    before = contents(finished_run)
    for outcome in (train(*small(epochs=5)), run(evaluate, f"--workdir={finished_run}")):
        assert outcome.code == 1
        assert "config.json has seed 0, but 1 in step-0000000060." in outcome.error
    assert contents(finished_run) == before


@pytest.mark.parametrize(
    "line", ["[]", "{}", "5", "[" * 100_000, '{"epoch": 4, "cost": "x"}', '{"epoch": 1, "cost": NaN}', "\0", ROW]
)
def test_metrics_that_are_no_rows_are_one_line(run, finished_run, line):
    with open(finished_run / "metrics.jsonl", "a") as file:
        file.write(f"{line}\n")
    outcome = run(plot, f"--workdir={finished_run}")
    assert outcome.code == 1
    assert "metrics.jsonl: cannot be read (" in outcome.error


@pytest.mark.parametrize("name", ["config.json", "results.json", "checkpoints"])
def test_a_symbolic_link_in_a_runs_folder_is_not_followed(run, finished_run, tmp_path, name):
    (finished_run / name).rename(tmp_path / "elsewhere")
    (finished_run / name).symlink_to(tmp_path / "elsewhere")
    outcome = run(evaluate, f"--workdir={finished_run}")
    assert outcome.code == 1
    assert f"{name}" in outcome.error
    assert "is a symbolic link" in outcome.error


@pytest.mark.parametrize("name", ["config.json", "results.json"])
def test_a_fifo_in_a_runs_folder_is_not_waited_for(run, finished_run, name):
    (finished_run / name).unlink()
    os.mkfifo(finished_run / name)
    outcome = run(evaluate, f"--workdir={finished_run}")
    assert outcome.code == 1
    assert f"{name}: not a file of a run (is not a regular file)" in outcome.error


@pytest.fixture
def as_nobody():
    """Makes this process somebody who may not read what root keeps from others."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    os.seteuid(65_534)
    yield
    os.seteuid(0)


@pytest.fixture
def for_everyone(finished_run):
    """The finished run, readable to everyone."""
    for folder in (finished_run, *finished_run.parents):
        if os.stat(folder).st_uid == os.getuid() and "pytest" in str(folder):
            folder.chmod(0o755)
    return finished_run


@pytest.mark.parametrize("file", ["config.json", "manifest.json", "state.index"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(for_everyone, file, request):
    [*_, path] = sorted(for_everyone.rglob(file))
    path.chmod(0)
    request.getfixturevalue("as_nobody")
    with pytest.raises(UserError, match=f"{file}: Permission denied; make it readable to you, and try again"):
        read_folder(for_everyone).newest_checkpoint()


@pytest.fixture
def long_run(small, tmp_path):
    """A process that trains in tmp_path/run, and has saved; killed at the end."""
    process = start("mlp_tf.train", *small(epochs=100_000), stdout=subprocess.DEVNULL)
    while not list((tmp_path / "run").glob("metrics.jsonl")):
        time.sleep(0.05)
        assert process.poll() is None
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("other", "signalled"), [("moved", False), slow("deleted", True), slow("replaced", False)])
def test_a_folder_that_went_away_ends_its_run_in_one_line(small, tmp_path, long_run, other, signalled):
    folder = (tmp_path / "run").rename(tmp_path / "moved")
    if other == "deleted":
        shutil.rmtree(folder, ignore_errors=True)
    if other == "replaced":
        second = start("mlp_tf.train", *small(epochs=1), stdout=subprocess.DEVNULL)
        assert second.wait(timeout=60) == 0
        before = contents(tmp_path / "run")
    if signalled:
        long_run.send_signal(signal.SIGTERM)
    _, err = long_run.communicate(timeout=60)
    assert long_run.returncode == 1
    assert err.startswith(f"error: --workdir={tmp_path / 'run'}: the folder was moved, removed or replaced while")
    assert len(err.splitlines()) == 1
    assert "saved" not in err
    if other == "replaced":
        assert contents(tmp_path / "run") == before
    else:
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(None, "No such file"), (0, "it has 0 rows, but results.json"), (2, "it has 2 rows, but results.json")],
)
def test_lost_metrics_of_a_finished_run_come_back_as_the_refusal_advises(
    run, train, small, finished_run, whole_run, rows, reason
):
    metrics, results = finished_run / "metrics.jsonl", finished_run / "results.json"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.unlink() if rows is None else metrics.write_text("".join(lines[:rows]))
    error = run(plot, finished_run, "--noweights").error
    assert f"metrics.jsonl: cannot be read ({reason}" in error
    assert error.endswith("delete results.json, and resume the run, which writes it again")
    results.unlink()
    assert train(*small()).code == 0
    assert_same_run(finished_run, whole_run)
