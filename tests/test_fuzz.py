"""Damaged and crafted files, messages and settings: each ends in success, or in one line with exit 1.

In CI a few cases of each kind, always the same ones; `python tests/test_fuzz.py CASES SEED` tries others.
"""

import contextlib
import copy
import faulthandler
import gzip
import io
import json
import os
import random
import shutil
import socket
import struct
import sys
import threading
import time
import zipfile

import msgspec
import numpy as np
import pytest
from helpers import bar, contents, newest, small_flags

from mlp_tf import UserError, data, evaluate, plot, predict, train
from mlp_tf.config import Config
from mlp_tf.distribute import meeting, tf_config
from mlp_tf.distribute.meeting import Answer, Challenge, Hello
from mlp_tf.distribute.tf_config import Task

CASES, SEED = int(os.environ.get("FUZZ_CASES", "16")), int(os.environ.get("FUZZ_SEED", "0"))
LONGEST = 20  # seconds of a case
WORDS = ["", "x", "../../x", "\0", "\ud800", "x" * 5000, "1", "é😀", "--seed=1", "state.index"]
ODD = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**70, 10**400, 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"),
    [], [[]], {}, {"a": {}}, [0] * 1000, *WORDS,
]  # fmt: skip


@pytest.fixture
def rng(request):
    """Draws the cases of one test; what is drawn does not depend on the others."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(autouse=True)
def no_hang():
    """Ends the process with all stacks, if a case takes too long."""
    yield
    faulthandler.cancel_dump_traceback_later()


def cases(rng):
    """Numbers of the cases, each with its time and its seed."""
    for i in range(CASES):
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        rng.seed(f"{rng.random()} {i}")
        yield i


def mutate_bytes(rng, content):
    """Some bytes changed, cut off, left out, repeated or put in."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, size = rng.randrange(len(content) + 1), rng.choice([1, 1, 4, 100])
        how = rng.randrange(5)
        if how == 0:
            content[at : at + size] = rng.randbytes(size)
        elif how == 1:
            del content[at : at + size]
        elif how == 2:
            content[at:at] = content[at : at + size] * rng.choice([1, 50])
        elif how == 3:
            content[at:at] = rng.choice(
                [b"[" * 50_000, b"\0", b"\xff\xfe", b"9" * 5000, b"-", b"NaN", b'"', b"(" * 300]
            )
        else:
            del content[at:]
    return bytes(content)


def places(content, place=()):
    """The keys that lead to each value in JSON's objects and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


def mutate_json(rng, content):
    """A value replaced, left out, or put where another one stands."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice([1, 1, 3])):
        found = list(places(content))
        if not found:
            break
        *most, last = rng.choice(found)
        at = content
        for key in most:
            at = at[key]
        how = rng.random()
        if how < 0.2:
            del at[last]
        elif how < 0.3 and isinstance(at, dict):
            at[rng.choice([*WORDS, *at])] = at.pop(last)
        else:
            at[last] = copy.deepcopy(rng.choice([*ODD, at[last], content]))
    return content


def text_of(content):
    """JSON text as Python would read it, NaN included; a lone surrogate is escaped."""
    return json.dumps(content, indent=1)


def check(outcome):
    """The promise: success, or one line with exit 1."""
    assert "Traceback" not in outcome.err
    assert outcome.code in (0, 1), outcome
    if outcome.code == 1:
        lines = [line for line in outcome.err.splitlines() if not line.startswith("WARNING: ")]
        assert len(lines) == 1, outcome
        assert lines[0].startswith("error: "), outcome
        assert len(lines[0]) > len("error: x")


@pytest.mark.parametrize("file", ["config.json", "results.json", "metrics.jsonl", "manifest.json"])
def test_a_mutated_file_of_a_run(run, run_folder, npz, tmp_path, rng, change_manifest, file):
    folder, outside = tmp_path / "in" / "run", {}
    shutil.copytree(run_folder, folder)
    path = newest(folder) / file if file == "manifest.json" else folder / file
    whole, before = path.read_bytes(), contents(folder)
    for i in cases(rng):
        if rng.random() < 0.3:
            path.write_bytes(mutate_bytes(rng, whole))
        elif file == "metrics.jsonl":
            rows = mutate_json(rng, [json.loads(line) for line in whole.splitlines()])
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif file == "manifest.json" and rng.random() < 0.8:
            change_manifest(newest(folder), lambda manifest: manifest.update(mutate_json(rng, manifest)))
        else:
            path.write_text(text_of(mutate_json(rng, json.loads(whole))))
        if i % 5 == 4:
            (folder / "results.json").unlink()  # so that it goes on from the checkpoint
            check(run(train, *small_flags(npz, folder, epochs=20)))
        else:
            looks = (plot, "--noweights") if file == "metrics.jsonl" else (evaluate,)
            check(run(*looks, f"--workdir={folder}"))
            assert contents(folder).keys() - {"curves.png"} == before.keys()
        shutil.rmtree(folder)
        shutil.copytree(run_folder, folder)
        assert {name: 0 for name in contents(tmp_path) if not name.startswith("in/run/")} == outside


@pytest.mark.parametrize("labels", ["numbers", "words"])
def test_a_mutated_npz(arrays, tmp_path, rng, labels):
    path = tmp_path / "a.npz"
    words = {name: np.array(["cat", "dog", "eel"])[arrays[name]] for name in ("y_train", "y_test")}
    np.savez(path, **(arrays if labels == "numbers" else arrays | words))
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for i in cases(rng):
        if i % 3 == 0:
            path.write_bytes(mutate_bytes(rng, whole))
        else:
            changed = rng.choice(list(members))
            with zipfile.ZipFile(path, "w", rng.choice([0, 8, 12, 14])) as archive:
                for name, content in members.items():
                    size = 0 if name != changed else 130 if i % 3 == 1 else len(content)  # its header, or all of it
                    archive.writestr(name, (mutate_bytes(rng, content[:size]) if size else b"") + content[size:])
        with contextlib.suppress(UserError):
            data.load(str(path), validation_size=40)


def test_a_mutated_idx_file(arrays, tmp_path, rng):
    files = {}
    for part in ("train", "test"):
        for what, array in (("images-idx3", arrays[f"x_{part}"]), ("labels-idx1", arrays[f"y_{part}"])):
            header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            files[tmp_path / f"{part}-{what}-ubyte"] = header + array.astype(np.uint8).tobytes()
    for i in cases(rng):
        changed = rng.choice(list(files))
        for path, content in files.items():
            size = 0 if path != changed else 16 if i % 2 else len(content)  # its header, or all of it
            content = (mutate_bytes(rng, content[:size]) if size else b"") + content[size:]
            if i % 4 > 1:
                content = gzip.compress(content)
                content = mutate_bytes(rng, content) if size and i % 4 == 3 else content
            path.write_bytes(content)
        with contextlib.suppress(UserError):
            data.load(str(tmp_path), validation_size=40)


def test_a_mutated_table(tmp_path, rng):
    lines = ["label,pixel0,pixel1,pixel2,pixel3", *(f"{'abc'[i % 3]},{i},{2 * i},0.5,{255 - i}" for i in range(60))]
    for _ in cases(rng):
        (tmp_path / "a.csv").write_bytes(mutate_bytes(rng, "\n".join(lines).encode()))
        with contextlib.suppress(UserError):
            data.load(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_a_mutated_picture_never_ends_predict(run, run_folder, arrays, tmp_path, rng, kind):
    picture = bar(60, 50)
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    picture.save(tmp_path / "good.png")
    for i in cases(rng):
        (tmp_path / f"{i}.png").write_bytes(mutate_bytes(rng, buffer.getvalue()))
    outcome = run(
        predict, f"--workdir={run_folder}", *(tmp_path / f"{i}.png" for i in range(CASES)), tmp_path / "good.png"
    )
    assert outcome.code in (0, 1)
    *errors, note = outcome.err.splitlines()
    assert len(outcome.out.splitlines()) + len(errors) == CASES + 1
    assert all(line.startswith(f"error: {tmp_path}") for line in errors)
    assert note.endswith(" images are not 8 x 8, and were prepared as MNIST's were")
    assert outcome.out.splitlines()[-1].startswith(str(tmp_path / "good.png"))


def test_a_mutated_tf_config(monkeypatch, rng):
    given = {"cluster": {"chief": ["127.0.0.1:1234"], "worker": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}
    for _ in cases(rng):
        text = mutate_bytes(rng, json.dumps(given).encode()).decode(errors="replace").replace("\0", "")
        text = text if rng.random() < 0.3 else text_of(mutate_json(rng, given))
        monkeypatch.setenv("TF_CONFIG", text)
        with contextlib.suppress(UserError):
            found = tf_config.task(Config(strategy="multi_worker"))
            assert 0 < found.address(found.index)[1] < 65_536


def test_mutated_messages_at_the_meeting(free_addresses, rng):
    addresses = free_addresses(2)
    chief = threading.Thread(target=meeting.meet, args=(Task(0, addresses), lambda text: None))
    chief.start()
    heard = msgspec.json.encode(Hello("0" * 32, 1, addresses)) + b"\n"
    for _ in cases(rng):
        content = mutate_bytes(rng, heard)
        if rng.random() < 0.7:
            content = text_of(mutate_json(rng, json.loads(heard))).replace("\n", "").encode() + b"\n"
        with connect(addresses[0]) as stranger:
            stranger.sendall(content)
    assert chief.is_alive()
    meeting.meet(Task(1, addresses), lambda text: None)
    chief.join(timeout=60)
    assert not chief.is_alive()


def connect(address):
    """A connection to an address, once somebody listens there."""
    host, _, port = address.rpartition(":")
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, int(port)), timeout=30)
        time.sleep(0.02)


def test_mutated_messages_of_a_chief_never_end_a_worker_but_by_a_reason(monkeypatch, free_addresses, rng):
    monkeypatch.setattr(meeting, "POLL_SECONDS", 0.02)
    addresses, failures, enough = free_addresses(2), [], threading.Event()
    said = [Challenge("0" * 32), Answer(), Answer("why")]

    def join():
        while not enough.is_set():
            try:
                meeting.meet(Task(1, addresses), lambda text: None)
            except UserError:  # a refusal that is still one
                pass
            except BaseException as error:
                failures.append(error)

    host, _, port = addresses[0].rpartition(":")
    with socket.create_server((host, int(port))) as chief:
        worker = threading.Thread(target=join, daemon=True)
        worker.start()
        for _ in cases(rng):
            with chief.accept()[0] as connection:
                for message in [said[0], *rng.choices(said, k=2)]:
                    line = msgspec.json.encode(message) + b"\n"
                    with contextlib.suppress(OSError):
                        connection.sendall(line if rng.random() < 0.3 else mutate_bytes(rng, line))
    enough.set()
    monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 0)
    worker.join(timeout=60)
    assert failures == []


if __name__ == "__main__":
    os.environ |= {"FUZZ_CASES": sys.argv[1], "FUZZ_SEED": sys.argv[2]}
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", __file__]))
