"""The server by real clients on loopback: files, streams, and what it refuses."""

import asyncio
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxhop
from voxhop.chain.recipe import ChainRecipe
from voxhop.cli import main

aiohttp = pytest.importorskip("aiohttp")

RATE = 16000
LIMITS = ["--max-mb", "1", "--max-seconds", "60", "--streams", "2"]


@pytest.fixture(scope="module")
def url():
    command = [sys.executable, "-m", "voxhop", "serve", "--port", "0", *LIMITS]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield re.match(r"(http://127\.0\.0\.1:\d+)/", server.stdout.readline())[1]
    server.terminate()
    assert server.wait(timeout=20) == 143


def wav_bytes(samples, rate=RATE):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


def ask(url, method="GET", path="/", **options):
    async def go():
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url + path, **options) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()

    return asyncio.run(go())


def form(**fields):
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value, filename=name if isinstance(value, bytes) else None)
    return data


def test_page_needs_nothing_from_elsewhere(url):
    for path in ("/", "/page.js", "/page.css", "/tap.js"):
        status, headers, body = ask(url, path=path)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"http://" not in body
        assert b"https://" not in body
    models = json.loads(ask(url, path="/models")[2])["models"]
    assert [model["name"] for model in models] == list(voxhop.bundled_models())
    assert models[0] == {"name": voxhop.DEFAULT_MODEL, "purpose": "enhancer", "takes_ref": True}
    assert {model["name"] for model in models if not model["takes_ref"]} == {
        "voxhop-seflow",
        "voxhop-streamfm-bwe",
        "voxhop-sublime",
    }


def test_files_are_enhanced_as_the_function_does(url, call, tmp_path, model):
    mic, ref = (wav_bytes(track) for track in call)
    (tmp_path / "mic.wav").write_bytes(mic)
    (tmp_path / "ref.wav").write_bytes(ref)
    voxhop.enhance_file(
        tmp_path / "mic.wav",
        tmp_path / "out.wav",
        ref=tmp_path / "ref.wav",
        delay_ms="auto",
        model=model,
    )
    status, headers, body = ask(
        url, "POST", "/audio/transformations", data=form(audio=mic, reference=ref, model="")
    )
    assert (status, headers["Content-Type"]) == (200, "audio/wav")
    assert body == (tmp_path / "out.wav").read_bytes()
    assert json.loads(headers["X-Voxhop-Report"])["seconds"] == pytest.approx(len(call[0]) / RATE)
    fields = form(audio=mic, response_format="flac", sample_rate="8000")
    info = soundfile.info(io.BytesIO(ask(url, "POST", "/audio/transform", data=fields)[2]))
    assert (info.format, info.samplerate, info.frames) == ("FLAC", 8000, len(call[0]) // 2)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"audio": b"garbage" * 100}, 422, "audio: cannot be read"),
        ({"audio": b""}, 422, "an empty file"),
        ({"reference": b"x"}, 400, "field audio: missing"),
        ({"audio": b"RIFF", "model": "other"}, 400, "model other: expected one of voxhop-"),
        ({"audio": b"RIFF", "response_format": "exe"}, 400, "response_format exe"),
        ({"audio": bytes(2**20 + 10)}, 413, ""),
    ],
)
def test_bad_uploads_are_named(url, fields, status, words):
    found, _, body = ask(url, "POST", "/audio/transformations", data=form(**fields))
    assert found == status
    assert words in body.decode()
    assert "/tmp" not in body.decode()


HEAD = b"POST /audio/transform HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
NESTED = (
    b'--x\r\nContent-Type: multipart/mixed; boundary=y\r\nContent-Disposition: form-data; name="a"'
    b"\r\n\r\n--y\r\n\r\nq\r\n--y--\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (b"multipart/form-data", b"abcd", b"form: cannot be read"),
        (b"multipart/form-data; boundary=x", b"abcd", b"form: cannot be read"),
        (b"multipart/form-data; boundary=x", NESTED, b"a form inside the form"),
        (b"text/plain", b"abcd", b"expected multipart/form-data"),
    ],
)
def test_forms_that_are_none_are_named(url, kind, body, words):
    port = int(url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(HEAD + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)))
        client.sendall(body)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert words in answer
    with socket.create_connection(("127.0.0.1", port), timeout=60) as gone:
        gone.sendall(HEAD + b"Content-Type: %s\r\nContent-Length: 999\r\n\r\n--x" % kind)
    assert ask(url, path="/models")[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}]
)
def test_other_pages_and_names_are_refused(url, headers):
    for method, path in (("GET", "/"), ("POST", "/audio/transform"), ("GET", STREAM)):
        assert ask(url, method, path, headers=headers)[0] == 403


STREAM = "/audio/transformations/stream"


def talk(url, first, messages=(), *, close=True):
    """Return what the server says: bytes joined, and text messages."""

    async def go():
        sound, texts = [], []
        async with aiohttp.ClientSession() as session, session.ws_connect(url + STREAM) as socket:
            await (socket.send_bytes if isinstance(first, bytes) else socket.send_str)(first)
            for message in messages:
                await socket.send_bytes(message)
            if close:
                await socket.send_json({"type": "session.close"})
            async for message in socket:
                (sound if isinstance(message.data, bytes) else texts).append(message.data)
        return b"".join(sound), [json.loads(text) for text in texts]

    return asyncio.run(go())


def update(**more):
    return json.dumps({"type": "session.update", "sample_format": "S16_LE", **more})


@pytest.mark.parametrize(("rate", "kind"), [(16000, "S16_LE"), (48000, "F32_LE")])
def test_stream_is_a_stream(url, call, model, rate, kind):
    dtype = {"S16_LE": "<i2", "F32_LE": "<f4"}[kind]
    pair = np.stack(call, axis=1)
    pair = (pair * 32767).astype(dtype) if kind == "S16_LE" else pair.astype(dtype)
    frame = rate // 100
    messages = [pair[i : i + frame].tobytes() for i in range(0, len(pair), frame)]
    first = update(sample_rate=rate, sample_format=kind, frame_samples=frame)
    sound, texts = talk(url, first, messages)
    assert texts == [{"type": "session.closed"}]
    with voxhop.Stream(model, sample_rate=rate) as stream:
        expected = stream.process(*pair.T.copy())
    assert np.array_equal(np.frombuffer(sound, dtype), expected)


@pytest.mark.parametrize(
    ("first", "messages", "words"),
    [
        (b"\0\0", [], "expected a JSON session.update"),
        ("[1]", [], "expected a JSON object"),
        ("{", [], "no JSON"),
        ("[" * 100_000, [], "no JSON"),
        (update(sample_rate=1e999), [], "sample_rate inf"),
        ('{"type": "other"}', [], "expected a JSON session.update"),
        (update(model="other"), [], "model other: expected one of"),
        (update(sample_format="U8"), [], "sample_format U8"),
        (update(sample_rate=1), [], "sample_rate 1: expected 8000"),
        (update(sample_rate="x"), [], "sample_rate x"),
        (update(params=[1]), [], "params: expected an object"),
        (update(params={"noise_gate": "true", "noise_gate_threshold_dbfs": "x"}), [], "a number"),
        (update(), [b"123"], "binary message: 3 bytes, expected 1 to 256 frames of 4 bytes"),
        (update(), [bytes(1028)], "binary message: 1028 bytes"),
        (update(frame_samples=16000), [bytes(64000)] * 59, "times real time"),
    ],
)
def test_what_a_stream_refuses_is_said_and_the_server_lives_on(url, first, messages, words):
    _, texts = talk(url, first, messages, close=False)
    assert texts[-1]["type"] == "error"
    if "real time" in words and "nothing came" in texts[-1]["error"]:
        pytest.skip("this machine is so busy that it computes less than four times real time")
    assert words in texts[-1]["error"]
    assert ask(url, path="/models")[0] == 200


def test_no_more_streams_than_allowed(url):
    async def go():
        async with aiohttp.ClientSession() as session:
            held = [await session.ws_connect(url + STREAM) for _ in range(2)]
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await session.ws_connect(url + STREAM)
            for socket in held:
                await socket.close()
            await asyncio.sleep(1.0)
            await (await session.ws_connect(url + STREAM)).close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--port 99999", "port: 99999, expected 0 to 65535"),
        ("--port -1", "port: -1, expected 0 to 65535"),
        ("--host no.such.host.invalid", "serve: no.such.host.invalid port 8750: "),
        ("--max-mb 0", "max_bytes: 0, expected more than 0"),
        ("--max-seconds nan", "max_seconds: nan, expected more than 0"),
        ("--streams -1", "streams: -1, expected 0 or more"),
    ],
)
def test_places_and_limits_that_there_are_not_are_named(capsys, options, words):
    assert main(["serve", *options.split()]) == (1 if "--host" in options else 2)
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_taken_port_and_missing_extra_are_named(url):
    port = url.rsplit(":", 1)[1]
    line = [sys.executable, "-m", "voxhop", "serve", "--port", port]
    found = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 1
    assert f"127.0.0.1 port {port}" in found.stderr
    code = "import sys; sys.modules['aiohttp'] = None; from voxhop.cli import main; main(['serve'])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        timeout=60,
    )
    assert 'pip install "voxhop[serve]"' in found.stderr


GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def other_kinds(tmp_path_factory):
    """A server with a restoring model, a codec and a model of a microphone alone, all random."""
    folder = tmp_path_factory.mktemp("models")
    line = [sys.executable, "-m", "voxhop", "serve", "--port", "0", "--set", "solver=euler1"]
    for name in ("streamfm", "sublime", "seflow"):
        shutil.copy(GOLDEN / f"{name}-random" / "model-f32.gguf", folder / f"{name}.gguf")
        line += ["--model", str(folder / f"{name}.gguf")]
    server = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    yield re.match(r"(http://127\.0\.0\.1:\d+)/", server.stdout.readline())[1], folder
    server.terminate()
    assert server.wait(timeout=20) == 143


def link_of(folder, name):
    if name == "sublime":
        return voxhop.CodecLink(folder / "sublime.gguf")
    return voxhop.ModelLink(folder / "streamfm.gguf", options={"solver": "euler1"})


@pytest.mark.parametrize("name", ["streamfm", "sublime"])
def test_restoring_models_and_codecs_are_served_as_chains(other_kinds, call, tmp_path, name):
    url, folder = other_kinds
    sound = call[0][:8000]
    (tmp_path / "in.wav").write_bytes(wav_bytes(sound))
    status, headers, body = ask(
        url, "POST", "/audio/transform", data=form(audio=wav_bytes(sound), model=name)
    )
    assert status == 200
    assert json.loads(headers["X-Voxhop-Report"])["seconds"] == 0.5
    rate = voxhop.load(folder / f"{name}.gguf").sample_rate
    recipe = ChainRecipe((link_of(folder, name),), max(rate, RATE))
    voxhop.chain_file(recipe, tmp_path / "in.wav", tmp_path / "out.wav")
    assert body == (tmp_path / "out.wav").read_bytes()
    pair = np.stack([sound, np.ones_like(sound)], axis=1).astype("<f4")  # no reference is heard
    blocks = [pair[i : i + 160].tobytes() for i in range(0, len(pair), 160)]
    out, texts = talk(url, update(sample_format="F32_LE", model=name), blocks)
    assert texts == [{"type": "session.closed"}]
    with voxhop.Chain([link_of(folder, name)], sample_rate=RATE) as chain:
        assert np.array_equal(np.frombuffer(out, "<f4"), chain.process(sound))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reference": wav_bytes(np.zeros(100)), "model": "sublime"}, "takes a recording alone"),
        ({"reference": wav_bytes(np.zeros(100)), "model": "seflow"}, "microphone alone"),
        ({"params[noise_gate]": "true", "model": "streamfm"}, "noise_gate: a restorer has none"),
    ],
)
def test_what_a_kind_cannot_do_is_said(other_kinds, fields, words):
    url, _ = other_kinds
    fields = {"audio": wav_bytes(np.zeros(1000)), **fields}
    status, _, body = ask(url, "POST", "/audio/transform", data=form(**fields))
    assert status == 400
    assert words in body.decode()


def test_options_that_no_model_has_are_named(capsys):
    assert main(["serve", "--port", "0", "--set", "colour=red"]) == 2
    assert "colour: no model here has this option" in capsys.readouterr().err
