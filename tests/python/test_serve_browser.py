"""The page that `voxhop serve` shows, in a Chromium without a screen, with a microphone that plays
a file, at the widths of a phone and of a desk."""

import asyncio
import base64
import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import soxr

import voxhop

aiohttp = pytest.importorskip("aiohttp")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look at the page with"),
]
DEMO = Path(voxhop.__file__).parent / "demo"
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
# Share of a picture's points that are not the background.
DRAWN = """(() => { const c = document.getElementById(%r);
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] > 30; return 4 * n / d.length; })()"""


@pytest.fixture(scope="module")
def url():
    command = [sys.executable, "-m", "voxhop", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield re.match(r"(http://127\.0\.0\.1:\d+)/", server.stdout.readline())[1]
    server.terminate()
    assert server.wait(timeout=20) == 143


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """The address of the browser's own server."""
    folder = tmp_path_factory.mktemp("browser")
    mic, rate = soundfile.read(DEMO / "mic.flac")
    soundfile.write(folder / "mic.wav", soxr.resample(mic, rate, 48000), 48000, "PCM_16")
    flags = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder}"),
        *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        f"--use-file-for-fake-audio-capture={folder / 'mic.wav'}",
    ]
    log = (folder / "log").open("w")
    program = subprocess.Popen([CHROMIUM, *flags, "about:blank"], stderr=log, stdout=log)
    port = folder / "DevToolsActivePort"
    until = time.monotonic() + 60
    while not (port.exists() and port.read_text().count("\n")):
        assert program.poll() is None and time.monotonic() < until, (folder / "log").read_text()  # noqa: PT018
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
    program.terminate()
    program.wait(timeout=30)
    log.close()


class Tab:
    """A page, asked by the browser's protocol."""

    def __init__(self, socket):
        self._socket, self._ids, self.complaints = socket, itertools.count(1), []

    async def ask(self, method, **params):
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            told = await self._socket.receive_json(timeout=60)
            if told.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(told["params"]["exceptionDetails"]["exception"])
            entry = told.get("params", {}).get("entry", {})
            if told.get("method") == "Log.entryAdded" and entry.get("level") == "error":
                self.complaints.append(entry["text"])
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]

    async def value(self, script):
        found = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script, seconds=60):
        end = time.monotonic() + seconds
        while not (found := await self.value(script)):
            assert time.monotonic() < end, (script, await self.status(), self.complaints)
            await asyncio.sleep(0.1)
        return found

    async def status(self):
        return await self.value("document.getElementById('status').textContent")

    async def choose_file(self, name, path):
        root = (await self.ask("DOM.getDocument"))["root"]["nodeId"]
        node = await self.ask("DOM.querySelector", nodeId=root, selector=f"#{name}")
        await self.ask("DOM.setFileInputFiles", files=[str(path)], nodeId=node["nodeId"])

    async def fits(self):
        """Nothing is wider than the window, and what a finger presses is high enough."""
        assert await self.value("document.documentElement.scrollWidth <= innerWidth")
        assert await self.value(
            "[...document.querySelectorAll('button')].every(b => b.offsetHeight >= 44)"
        )


def look(browser, url, size, visit):
    """Open the page at a size, let `visit` use it, and return a picture of it."""

    async def go():
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{browser}/json/new?about:blank") as answer:
                target = await answer.json(content_type=None)
            address = target["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=1 << 26) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "DOM"):
                    await tab.ask(f"{domain}.enable")
                width, height = SIZES[size]
                await tab.ask(
                    "Emulation.setDeviceMetricsOverride",
                    width=width, height=height, deviceScaleFactor=1, mobile=size == "phone",
                )  # fmt: skip
                await tab.ask("Page.navigate", url=url)
                await tab.until("document.querySelectorAll('#model option').length > 1")
                await tab.fits()
                await visit(tab)
                await tab.fits()
                picture = await tab.ask("Page.captureScreenshot", captureBeyondViewport=True)
                assert tab.complaints == []
            await session.get(f"{browser}/json/close/{target['id']}")
            return base64.b64decode(picture["data"])

    picture = asyncio.run(go())
    if folder := os.environ.get("VOXHOP_TEST_PICTURES"):  # to look at them
        (Path(folder) / f"{visit.__name__}-{size}.png").write_bytes(picture)


@pytest.mark.parametrize("size", SIZES)
def test_files_are_dropped_heard_and_seen(browser, url, size):
    async def files(tab):
        await tab.choose_file("mic", DEMO / "mic.flac")
        await tab.choose_file("ref", DEMO / "ref.flac")
        await tab.value("document.getElementById('go').click()")
        await tab.until("document.getElementById('result').offsetHeight > 0")
        await tab.until(f"{DRAWN % 'after-picture'} > 0.02")
        said = await tab.status()
        assert re.match(r"8\.6 s, \d+(\.\d)? times real time\. Echo after \d+ ms\.", said), said
        assert await tab.value(DRAWN % "before-picture") > await tab.value(DRAWN % "after-picture")
        assert 8.5 < await tab.until("document.getElementById('after').duration") < 8.7

    look(browser, url, size, files)


@pytest.mark.parametrize("size", SIZES)
def test_the_microphone_is_heard_and_seen(browser, url, size):
    async def microphone(tab):
        await tab.value("document.getElementById('record').click()")
        await tab.until("document.getElementById('record').textContent === 'Stop'")
        assert await tab.status() == "Speak …"
        await asyncio.sleep(3)
        await tab.value("document.getElementById('record').click()")
        await tab.until("document.getElementById('result').offsetHeight > 0")
        await tab.until(f"{DRAWN % 'after-picture'} > 0.01")
        seconds = float(re.match(r"(\d+\.\d) s of your microphone\.", await tab.status())[1])
        assert 2 < seconds < 30
        assert await tab.value(DRAWN % "before-picture") > 0.02
        heard = await tab.until("document.getElementById('after').duration")
        assert heard > 0.5 * seconds

    look(browser, url, size, microphone)


def test_a_file_that_is_no_sound_is_named_on_the_page(browser, url, tmp_path):
    (tmp_path / "notes.wav").write_text("no sound")

    async def wrong(tab):
        await tab.choose_file("mic", tmp_path / "notes.wav")
        await tab.value("document.getElementById('go').click()")
        said = await tab.until(
            "(t => t.startsWith('That') && t)(document.getElementById('status').textContent)"
        )
        assert re.match(r"That did not work: audio: cannot be read: ", said), said
        assert not await tab.value("document.getElementById('go').disabled")
        assert tab.complaints.pop().startswith("Failed to load resource")  # 422, as it should be

    look(browser, url, "desk", wrong)
