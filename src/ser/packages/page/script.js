"use strict";
const $ = id => document.getElementById(id);
const FACTS = JSON.parse($("facts").textContent);
const CLASSES = FACTS.kind === "classification";
const percent = value => Math.round(100 * value) + " %";
let shown = null;  // the answer that is on the page
let asked = 0;  // number of the last request: only its answer is shown

function svg(tag, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function status(text, isError = false) {
  $("status").textContent = text;
  $("status").className = isError ? "error" : "";
}

/* Asking the server. */

async function predict(blob, name) {
  const mine = ++asked;
  $("result").hidden = true;
  if (blob.size > FACTS.bytes) {
    return status(name + ": the file has " + (blob.size >> 20) + " MiB; this page takes " + (FACTS.bytes >> 20) + " MiB.", true);
  }
  status(name + " is being predicted ...");
  try {
    let [found, audio] = [await send(blob), blob];
    if (found.unreadable) {  // a format that only the browser knows, such as that of many phones
      const decoded = await decoded_wav(blob);
      if (decoded) [found, audio] = [await send(decoded), decoded];
    }
    if (mine !== asked) return;
    if (found.error) return status(name + ": " + found.error, true);
    status("");
    show(found, audio, name);
  } catch (error) {
    if (mine === asked) status("No answer: is ser demo still running?", true);
  }
}

async function send(blob) {
  const response = await fetch("/predict", {method: "POST", body: blob});
  const found = await response.json();
  return {...found, unreadable: response.status === 422 && /not a readable audio file/.test(found.error)};
}

async function decoded_wav(blob) {
  const context = new AudioContext();
  try {
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    const channels = Array.from({length: buffer.numberOfChannels}, (_, c) => buffer.getChannelData(c));
    const mono = channels[0].map((_, i) => channels.reduce((sum, c) => sum + c[i], 0) / channels.length);
    return wav([mono], buffer.sampleRate);
  } catch (error) {
    return null;  // what the server says about the file is shown
  } finally {
    context.close();
  }
}

/* The microphone: samples as they come, and a WAV of 16 bits. */

const WORKLET = `registerProcessor("samples", class extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0].length) this.port.postMessage(inputs[0][0].slice());
    return true;
  }
});`;
let recording = null;

async function start() {
  $("record").disabled = true;
  status("");
  let stream;
  try {
    const asis = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
    stream = await navigator.mediaDevices.getUserMedia({audio: {channelCount: 1, ...asis}});
    const context = new AudioContext();
    const address = URL.createObjectURL(new Blob([WORKLET], {type: "text/javascript"}));
    await context.audioWorklet.addModule(address);
    URL.revokeObjectURL(address);
    const node = new AudioWorkletNode(context, "samples");
    recording = {stream, context, chunks: [], count: 0, levels: []};
    node.port.onmessage = event => hear(event.data);
    context.createMediaStreamSource(stream).connect(node);
    await context.resume();
    $("record").setAttribute("aria-pressed", "true");
    $("record-text").textContent = "Stop 0.0 s";
  } catch (error) {
    if (stream) stream.getTracks().forEach(track => track.stop());
    recording = null;
    status("The microphone cannot be used: " + error.message + ". Allow it for this page, or open a file.", true);
  }
  $("record").disabled = false;
}

function hear(samples) {
  if (!recording) return;
  recording.chunks.push(samples);
  recording.count += samples.length;
  const seconds = recording.count / recording.context.sampleRate;
  if (recording.chunks.length % 8 === 0) {  // about every 20 ms
    recording.levels.push(Math.min(1, Math.max(...samples.map(Math.abs))));
    const last = recording.levels.slice(-150);
    $("live").replaceChildren();
    svg("path", {d: last.map((v, i) => `M${2 * i} ${24 - 22 * v - .5}v${44 * v + 1}`).join("")}, $("live"));
    $("record-text").textContent = "Stop " + seconds.toFixed(1) + " s";
  }
  if (seconds >= FACTS.seconds - 1) stop();
}

function stop() {
  const {stream, context, chunks} = recording;
  const rate = context.sampleRate;
  recording = null;
  stream.getTracks().forEach(track => track.stop());
  context.close();
  $("record").setAttribute("aria-pressed", "false");
  $("record-text").textContent = "Record";
  $("live").replaceChildren();
  predict(wav(chunks, rate), "Your recording");
}

function wav(chunks, rate) {
  const count = chunks.reduce((sum, c) => sum + c.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const ascii = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  ascii(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); ascii(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);  // PCM, one channel
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  ascii(36, "data"); view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const chunk of chunks) {
    for (const sample of chunk) {
      view.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
      at += 2;
    }
  }
  return new Blob([view], {type: "audio/wav"});
}

/* The answer. */

function show(found, audio, name) {
  shown = found;
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(audio);
  $("result").hidden = false;
  if (CLASSES) {
    $("name").textContent = name + ", " + found.seconds.toFixed(1) + " s";
    decide();
  } else {
    draw();
  }
}

function decide() {
  const least = Number($("threshold").value);
  $("least").textContent = percent(least);
  const row = FACTS.coverage.filter(([, , confidence]) => confidence >= least).pop();
  $("coverage").textContent = !FACTS.coverage.length
    ? "The confidence of this model is not calibrated: how often it is right at which confidence is not known."
    : row ? `Below it the answer is "Not sure". About ${percent(row[0])} of the corpus that the model was tested on reach it; ${percent(row[1])} of these were classified correctly.`
    : "Below it the answer is \"Not sure\". Fewer than 10 % of the corpus that the model was tested on reach it.";
  if (!shown) return;
  const best = shown.whole.indexOf(Math.max(...shown.whole));
  const sure = shown.whole[best] >= least;
  $("class").textContent = sure ? FACTS.outputs[best] : "Not sure";
  $("class").className = sure ? "" : "unsure";
  $("confidence").textContent = (sure ? "confidence " : `most likely ${FACTS.outputs[best]}, confidence `) + percent(shown.whole[best]);
  const order = shown.whole.map((_, k) => k).sort((a, b) => shown.whole[b] - shown.whole[a]);
  $("bars").replaceChildren(...order.map(k => bar(FACTS.outputs[k], shown.whole[k], least)));
  draw();
}

function bar(name, value, least) {
  const item = document.createElement("li");
  const picture = svg("svg", {viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true"});
  svg("rect", {class: "track", x: 0, y: 0, width: 100, height: 14}, picture);
  svg("rect", {class: "bar", x: 0, y: 0, width: 100 * value, height: 14}, picture);
  svg("path", {class: "mark", d: `M${100 * least} 0V14`, "vector-effect": "non-scaling-stroke"}, picture);
  for (const [kind, text] of [["name", name], ["share", percent(value)]]) {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    item.append(span);
  }
  item.children[0].after(picture);
  return item;
}

/* The waveform, and below it on the same time axis a row per class (the darker, the higher its score) or dimension. */

let plot = null;  // where time is on the chart, for the cursor

function draw() {
  const width = Math.max(280, $("chart").clientWidth);
  const longest = Math.max(...FACTS.outputs.map(o => o.length));
  const left = Math.min(0.3 * width, 12 + 7 * longest), right = width - 6;
  const wave = 64, high = CLASSES ? 22 : 56, top = wave + 10, bottom = top + FACTS.outputs.length * high;
  const x = time => left + (right - left) * time / shown.seconds;
  const chart = svg("svg", {viewBox: `0 0 ${width} ${bottom + 22}`, role: "img", "aria-label": "Waveform and scores over time"});
  const step = (right - left) / shown.peaks.length, middle = wave / 2;
  const loudest = Math.max(1e-3, ...shown.peaks.flat().map(Math.abs));
  const outline = shown.peaks.map(([low, up], i) => {
    const y = v => middle - v / loudest * (middle - 2);
    return `M${(left + i * step).toFixed(1)} ${(y(up) - .5).toFixed(1)}h${step.toFixed(2)}V${(y(low) + .5).toFixed(1)}h${(-step).toFixed(2)}Z`;
  });
  svg("path", {class: "wave", d: outline.join("")}, chart);
  FACTS.outputs.forEach((name, k) => {
    const y = top + k * high;
    svg("text", {x: left - 8, y: y + high / 2 + 4, "text-anchor": "end"}, chart, name);
    svg("rect", {class: "ground", x: left, y: y + 1, width: right - left, height: high - 2, rx: 2}, chart);
    CLASSES ? cells(chart, k, y, high, x) : line(chart, k, y, high, x);
  });
  ticks(chart, x, bottom);
  const cursor = svg("path", {class: "cursor", d: ""}, chart);
  plot = {x, left, right, bottom, width, cursor};
  $("chart").replaceChildren(chart);
  chart.addEventListener("pointermove", event => point(time_at(event)));
  chart.addEventListener("click", event => { $("player").currentTime = time_at(event); });
  point($("player").currentTime || 0, false);
}

/* A column of the chart lies between the middles of neighbouring windows. */
function edges(j) {
  const middle = i => (shown.times[i][0] + shown.times[i][1]) / 2;
  const last = shown.times.length - 1;
  return [j ? (middle(j - 1) + middle(j)) / 2 : 0, j < last ? (middle(j) + middle(j + 1)) / 2 : shown.seconds];
}

function cells(chart, k, y, high, x) {
  const least = Number($("threshold").value);
  shown.columns.forEach((scores, j) => {
    const [from, to] = edges(j).map(x);
    svg("rect", {class: "cell", x: from, y: y + 1, width: to - from, height: high - 2, "fill-opacity": scores[k]}, chart);
    const best = scores[k] === Math.max(...scores);
    if (best && scores[k] >= least) svg("circle", {class: "sure", cx: (from + to) / 2, cy: y + high / 2, r: Math.min(4, (to - from) / 2.5)}, chart);
  });
}

function line(chart, k, y, high, x) {
  const values = shown.columns.map(c => c[k]), reach = Math.max(1, ...values.map(Math.abs));
  const points = values.map((v, j) => `${x(shown.times[j][0]).toFixed(1)} ${(y + high / 2 - v / reach * (high / 2 - 4)).toFixed(1)}`);
  svg("path", {class: "axis", d: `M${x(0)} ${y + high / 2}H${x(shown.seconds)}`}, chart);
  svg("path", {class: "line", d: "M" + points.join("L")}, chart);
}

function ticks(chart, x, bottom) {
  const step = [.1, .2, .5, 1, 2, 5, 10, 20, 30, 60].find(s => shown.seconds / s <= 6) || 60;
  for (let i = 0; i * step <= shown.seconds; i++) {
    const time = i * step;
    const anchor = i === 0 ? "start" : x(shown.seconds) - x(time) < 20 ? "end" : "middle";
    svg("text", {x: x(time), y: bottom + 16, "text-anchor": anchor}, chart, Number(time.toFixed(1)) + " s");
  }
}

function time_at(event) {
  const box = $("chart").firstChild.getBoundingClientRect();
  const at = (event.clientX - box.left) * plot.width / box.width;
  return Math.max(0, Math.min(1, (at - plot.left) / (plot.right - plot.left))) * shown.seconds;
}

function point(time, mark = true) {
  if (!plot || !shown) return;
  plot.cursor.setAttribute("d", mark ? `M${plot.x(time)} 0V${plot.bottom}` : "");
  const j = Math.max(0, shown.times.findIndex((_, i) => time <= (CLASSES ? edges(i)[1] : shown.times[i][1])));
  const [from, to] = shown.times[j].map(t => t.toFixed(1));
  const named = FACTS.outputs.map((name, k) => [name, shown.columns[j][k]]);
  if (CLASSES) named.sort((a, b) => b[1] - a[1]);
  const text = named.slice(0, 3).map(([name, v]) => name + " " + (CLASSES ? percent(v) : v.toFixed(2))).join(", ");
  const legend = CLASSES ? `Each column is scored on the ${FACTS.size} s around it; a circle marks the class where the confidence reaches your threshold.`
    : "A row every 0.1 s.";
  $("reading").textContent = mark ? `${from} to ${to} s: ${text}` : legend + " Point at the chart to read it.";
}

/* What the user does. */

$("record").addEventListener("click", () => (recording ? stop() : start()));
$("file").addEventListener("change", event => {
  const file = event.target.files[0];
  event.target.value = "";
  if (file) predict(file, file.name);
});
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, event => { event.preventDefault(); $("drop").classList.add("over"); });
}
addEventListener("dragleave", event => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
addEventListener("drop", event => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const file = event.dataTransfer.files[0];
  file ? predict(file, file.name) : status("What you dropped is not a file.", true);
});
addEventListener("resize", () => { if (shown) draw(); });
$("player").addEventListener("timeupdate", () => point($("player").currentTime));
if (CLASSES) {
  $("threshold").value = Math.floor(100 * FACTS.threshold) / 100;  // the steps of the slider
  $("threshold").addEventListener("input", decide);
  decide();
}
