"use strict";
const $ = (id) => document.getElementById(id);
const say = (text) => { $("status").textContent = text; };

function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  word(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  word(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) =>
    view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(32768 * x))), true));
  return new Blob([view.buffer], { type: "audio/wav" });
}

// Power of a windowed frame at each bin, by a plain radix-2 transform.
function spectrum(frame) {
  const n = frame.length, re = new Float32Array(n), im = new Float32Array(n);
  for (let i = 0, j = 0; i < n; i++) {
    re[j] = frame[i] * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n));
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const angle = (-2 * Math.PI * k) / size, c = Math.cos(angle), s = Math.sin(angle);
        const a = start + k, b = a + size / 2;
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x; im[b] = im[a] - y; re[a] += x; im[a] += y;
      }
    }
  }
  return re.slice(0, n / 2).map((x, i) => x * x + im[i] * im[i]);
}

async function show(name, blob) {
  const player = $(name), canvas = $(`${name}-picture`);
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(blob);
  const pen = canvas.getContext("2d"), { width, height } = canvas, size = 512;
  pen.clearRect(0, 0, width, height);
  const decoder = new OfflineAudioContext(1, 1, 16000);
  let sound;
  try {
    sound = (await decoder.decodeAudioData(await blob.arrayBuffer())).getChannelData(0);
  } catch {
    return; // a format that the browser does not play; the server has read it
  }
  const picture = pen.createImageData(width, height);
  for (let x = 0; x < width; x++) {
    const frame = new Float32Array(size);
    const at = Math.floor((x * Math.max(0, sound.length - size)) / width);
    frame.set(sound.subarray(at, at + size));
    const power = spectrum(frame);
    for (let y = 0; y < height; y++) {
      const bin = Math.floor(((height - 1 - y) * power.length) / height);
      const level = Math.max(0, Math.min(1, (10 * Math.log10(power[bin] + 1e-12) + 60) / 90));
      const p = 4 * (y * width + x);
      picture.data.set([255 * level ** 1.5, 220 * level ** 2, 160 * (1 - level) * level + 40, 255], p);
    }
  }
  pen.putImageData(picture, 0, 0);
}

async function present(before, after, text) {
  $("result").hidden = false;
  $("save").href = URL.createObjectURL(after);
  say(text);
  await show("before", before);
  await show("after", after);
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(), mic = $("mic").files[0], ref = chosen().takes_ref ? $("ref").files[0] : undefined;
  form.append("model", $("model").value);
  form.append("audio", mic);
  if (ref) form.append("reference", ref);
  $("go").disabled = true;
  say("Computing …");
  try {
    const answer = await fetch("audio/transformations", { method: "POST", body: form });
    if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error?.message || answer.statusText);
    const report = JSON.parse(answer.headers.get("X-Voxhop-Report"));
    let text = `${report.seconds.toFixed(1)} s, ${report.speed.toFixed(report.speed < 10 ? 1 : 0)} times real time.`;
    if (ref) text += report.delay_ms === null ? " No echo found." : ` Echo after ${report.delay_ms.toFixed(0)} ms.`;
    if (report.reduction_db !== null) text += ` ${report.reduction_db.toFixed(1)} dB less while the loudspeaker played.`;
    await present(mic, await answer.blob(), [text, ...report.notes].join(" "));
  } catch (error) {
    say(`That did not work: ${error.message}`);
  }
  $("go").disabled = false;
});

let stop = null;
$("record").addEventListener("click", async () => {
  if (stop) return stop();
  const raw = [], clean = [];
  let media, context, socket;
  try {
    media = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    context = new AudioContext({ sampleRate: 48000 });
    await context.audioWorklet.addModule("tap.js");
    socket = new WebSocket(new URL("audio/transformations/stream", location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    await new Promise((ok, bad) => { socket.onopen = ok; socket.onerror = () => bad(new Error("no stream")); });
  } catch (error) {
    media?.getTracks().forEach((track) => track.stop());
    context?.close();
    return say(`The microphone cannot be used: ${error.message}`);
  }
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      const told = JSON.parse(data);
      if (told.error) say(told.error);
    } else clean.push(...new Float32Array(data));
  };
  socket.send(JSON.stringify({
    type: "session.update", model: $("model").value, sample_format: "F32_LE",
    sample_rate: context.sampleRate, frame_samples: context.sampleRate / 50,
  }));
  const tap = new AudioWorkletNode(context, "tap");
  tap.port.onmessage = ({ data }) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    raw.push(...data);
    const pair = new Float32Array(2 * data.length);
    data.forEach((x, i) => { pair[2 * i] = x; });
    socket.send(pair);
  };
  context.createMediaStreamSource(media).connect(tap);
  $("record").textContent = "Stop";
  $("record").setAttribute("aria-pressed", "true");
  say("Speak …");
  stop = async () => {
    stop = null;
    media.getTracks().forEach((track) => track.stop());
    const closed = new Promise((ok) => { socket.onclose = ok; setTimeout(ok, 5000); });
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "session.close" }));
    say("Waiting for the rest …");
    await closed;
    await context.close();
    $("record").textContent = "Use the microphone";
    $("record").setAttribute("aria-pressed", "false");
    let text = `${(raw.length / 48000).toFixed(1)} s of your microphone.`;
    if (clean.length < raw.length - 24000) {
      text += ` The model is slower than real time here: ${(clean.length / 48000).toFixed(1)} s came back.`;
    }
    await present(wav(raw, 48000), wav(clean, 48000), text);
  };
});

const WHAT = {
  enhancer: (one) => one.takes_ref ? "Takes out echo, noise and reverberation."
    : "Takes out noise and reverberation of a microphone alone.",
  restorer: () => "Fills in what a recording has lost.",
  codec: () => "Codes speech at 6 kbit/s, and decodes it again.",
};
let models = [];
const chosen = () => models[Math.max(0, $("model").selectedIndex)];
const choose = () => {
  $("what").textContent = WHAT[chosen().purpose](chosen());
  $("played").hidden = !chosen().takes_ref;
};
$("model").addEventListener("change", choose);
fetch("models").then((answer) => answer.json()).then((found) => {
  models = found.models;
  for (const { name } of models) $("model").add(new Option(name, name));
  choose();
});
