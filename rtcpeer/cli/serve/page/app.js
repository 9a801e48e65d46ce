// The page: buttons, the log, the drawing of states. The call itself is in call.js.

import { Call, describe } from "./call.js";
import { Chart } from "./chart.js";

const $ = (id) => document.getElementById(id);
const ROWS = [
  ["signaling", "Signaling"], ["gathering", "ICE gathering"], ["ice", "ICE connection"],
  ["dtls", "DTLS"], ["connection", "Connection"], ["channel", "Data channel"],
];
const TONE = {
  stable: "good", complete: "good", connected: "good", completed: "good", open: "good",
  new: "", closed: "", gathering: "busy", checking: "busy", connecting: "busy", closing: "busy",
  disconnected: "bad", failed: "bad",
};
const HEADLINE = {
  new: ["busy", "calling…"], connecting: ["busy", "connecting…"], connected: ["good", "connected"],
  disconnected: ["bad", "disconnected, waiting for the path"], failed: ["bad", "failed: restart ICE or recreate"],
  closed: ["", "closed"],
};

let socket = null;
let call = null;
let calls = 0;
let began = 0;
let stream = null;
let bot = {};
let servers = "";
let previous = null;
let outageTimer = 0;
let sampling = false;
const view = { video: {}, audio: {}, rates: {}, rtt: {}, log: [] };

const charts = {
  bitrate: new Chart($("bitrate"), { keys: ["in", "out"], format: (v) => `${v.toFixed(2)} Mbit/s` }),
  rtt: new Chart($("rtt"), { keys: ["data", "ice"], log: true, format: (v) => `${v.toFixed(1)} ms` }),
};

// ---------------------------------------------------------------- signaling

function connect() {
  const url = new URL("signaling", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(url);
  socket.onopen = () => {
    headline("", "ready");
    enable();
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => {
    if (call) end("signaling was lost");
    socket = null;
    headline("bad", "the bot is away; trying again…");
    enable();
    setTimeout(connect, 1000);
  };
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

const HANDLERS = {
  ready(message) {
    if (message.call === calls) begin(message);
  },
  description: (message) => call.take(message),
  candidate: (message) => call.take(message),
  servers(message) {
    call.configure({ iceServers: message.iceServers, iceTransportPolicy: message.policy });
    servers = message.note;
    if (message.log) tell("action", "servers", message.log, false, "action");
    drawServers();
  },
  bot(message) {
    bot = message;
  },
  event(message) {
    tell("bot", message.event, message.detail, message.wrong);
  },
  outage(message) {
    outage(message.seconds);
  },
  error(message) {
    tell("bot", "error", message.message, true);
  },
  hangup(message) {
    end(message.reason);
  },
};
const WITHOUT_CALL = new Set(["ready", "error"]);

function receive(message) {
  const handler = HANDLERS[message.type];
  if (!handler) return;
  if (!WITHOUT_CALL.has(message.type) && message.call !== call?.id) return; // of a call that is over
  handler(message);
}

// ---------------------------------------------------------------- the call

async function dial() {
  calls++;
  began = performance.now();
  headline("busy", "asking for camera and microphone…");
  tell("action", "call", `number ${calls}, ${$("codec").value}, path: ${$("policy").value}`, false, "action");
  enable(true);
  stream ??= await capture();
  $("self-video").srcObject = stream;
  $("self-video").parentElement.classList.add("live");
  began = performance.now();
  send({ type: "call", call: calls, policy: $("policy").value });
}

function begin(message) {
  servers = message.note;
  previous = null;
  bot = {};
  call = new Call({
    id: message.call,
    configuration: { iceServers: message.iceServers, iceTransportPolicy: message.policy },
    stream,
    codec: $("codec").value,
    send,
    tell: (what, detail, wrong) => tell("browser", what, detail, wrong),
    onTrack,
    onState,
  });
  document.querySelector(".screen").classList.add("live");
  drawServers();
  enable();
}

function onTrack({ track, streams }) {
  const video = $("bot-video");
  const wanted = streams[0] ?? video.srcObject ?? new MediaStream();
  if (!wanted.getTracks().includes(track)) wanted.addTrack(track);
  if (video.srcObject === wanted) return;
  video.srcObject = wanted;
  video.volume = 0.3;
  video.muted = $("sound").getAttribute("aria-pressed") !== "true";
  video.play().catch((error) => {
    if (error.name !== "NotAllowedError") return; // replaced by a later picture
    setSound(false); // a browser that wants a gesture for sound
    video.play().catch(() => {});
  });
}

function onState() {
  if (!call) return;
  const state = call.pc.connectionState;
  if (state === "connected" && !call.connected) {
    call.connected = performance.now();
    tell("action", "connected", `after ${Math.round(call.connected - began)} ms`, false, "action");
  }
  headline(...HEADLINE[state]);
  drawStates();
}

function end(reason) {
  if (!call) return;
  call.close();
  tell("action", "closed", reason, false, "action");
  call = null;
  clearInterval(outageTimer);
  outageTimer = 0;
  document.querySelector(".screen").classList.remove("live");
  $("bot-video").srcObject = null;
  headline("", "ready");
  enable();
  draw();
}

async function recreate() {
  action("close and recreate");
  send({ type: "hangup", call: call.id });
  end("to be recreated");
  await dial();
}

function hangUp() {
  send({ type: "hangup", call: call.id });
  end("hung up here");
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("self-video").parentElement.classList.remove("live");
}

async function capture() {
  const audio = { echoCancellation: true };
  const video = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 30 } };
  const mediaDevices = navigator.mediaDevices;
  $("self-text").textContent = "You";
  $("self-video").parentElement.classList.remove("plain");
  for (const constraints of [{ audio, video }, { video }, { audio }]) {
    try {
      const captured = await mediaDevices.getUserMedia(constraints);
      if (!captured.getVideoTracks().length) captured.addTrack(drawing());
      else if (!captured.getAudioTracks().length) tell("browser", "media", "no microphone: sending the picture alone");
      return captured;
    } catch {
      // the next smaller wish
    }
  }
  tell("browser", "media", "no camera or not allowed: sending a drawn picture");
  return new MediaStream([drawing()]);
}

// A picture for those without a camera: what a canvas draws.
function drawing() {
  const canvas = document.createElement("canvas");
  canvas.width = 640;
  canvas.height = 360;
  const g = canvas.getContext("2d");
  let n = 0;
  const paint = () => {
    if (!track.enabled || track.readyState === "ended") return clearInterval(timer);
    g.fillStyle = `hsl(${n % 360} 60% 45%)`;
    g.fillRect(0, 0, 640, 360);
    g.fillStyle = "#fff";
    g.font = "bold 48px sans-serif";
    g.fillText(new Date().toLocaleTimeString(), 40, 200);
    g.fillRect((n * 6) % 640, 300, 40, 20);
    n++;
  };
  const track = canvas.captureStream(20).getVideoTracks()[0];
  const timer = setInterval(paint, 50);
  paint();
  $("self-text").textContent = "You (drawn: no camera)";
  $("self-video").parentElement.classList.add("plain");
  return track;
}

// ---------------------------------------------------------------- buttons

function action(label) {
  for (const chart of Object.values(charts)) chart.mark(label);
  call?.numbers.reset();
  if (call) send({ type: "mark", call: call.id });
}

function outage(seconds) {
  clearInterval(outageTimer);
  const until = performance.now() + seconds * 1000;
  const button = $("outage");
  const count = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    button.classList.toggle("running", left > 0);
    button.textContent = left > 0 ? `Outage: ${left} s left` : "Outage, 8 seconds";
    button.disabled = left > 0 || !call;
    if (left <= 0) {
      clearInterval(outageTimer);
      outageTimer = 0;
    }
  };
  outageTimer = setInterval(count, 200);
  count();
}

const BUTTONS = {
  replace() {
    action("servers");
    send({ type: "replace-servers", call: call.id });
  },
  "restart-browser"() {
    action("restart");
    tell("action", "restart", "ICE restart asked here", false, "action");
    call.pc.restartIce();
  },
  "restart-bot"() {
    action("restart");
    tell("action", "restart", "ICE restart asked of the bot", false, "action");
    send({ type: "restart", call: call.id });
  },
  outage() {
    action("outage");
    tell("action", "outage", "the bot’s network drops every packet for 8 s", false, "action");
    send({ type: "outage", call: call.id, seconds: 8 });
  },
  recreate,
};

function enable(busy = false) {
  const online = socket?.readyState === WebSocket.OPEN;
  for (const id of ["call", "call-big"]) $(id).disabled = !online || busy;
  $("call").textContent = call ? "Hang up" : "Call the bot";
  $("call").classList.toggle("hang", Boolean(call));
  for (const id of Object.keys(BUTTONS)) $(id).disabled = !call || (id === "outage" && outageTimer !== 0);
  $("sound").disabled = !call;
  $("codec").disabled = Boolean(call) || busy;
  if (!call && !outageTimer) {
    $("outage").textContent = "Outage, 8 seconds";
    $("outage").classList.remove("running");
  }
}

function setSound(on) {
  $("bot-video").muted = !on;
  $("sound").setAttribute("aria-pressed", String(on));
  $("sound").textContent = on ? "Sound on" : "Sound off";
}

// ---------------------------------------------------------------- drawing

function headline(tone, text) {
  $("status").dataset.state = tone || "idle";
  $("status-text").textContent = text;
}

function tell(who, what, detail = "", wrong = false, kind = "") {
  const item = document.createElement("li");
  item.className = `${who} ${kind} ${wrong ? "wrong" : ""}`;
  const seconds = began ? ((performance.now() - began) / 1000).toFixed(2) : "0.00";
  const label = { browser: "Browser", bot: "Bot", action: "You" }[who];
  for (const text of [`${seconds} s`, label, detail ? `${what}: ${detail}` : what]) {
    const span = document.createElement("span");
    span.textContent = text;
    item.append(span);
  }
  $("log").prepend(item);
  while ($("log").children.length > 300) $("log").lastChild.remove();
  view.log.push({ who, what, detail, wrong });
  if (view.log.length > 1000) view.log.shift();
}

function drawStates() {
  const here = call?.states ?? {};
  const there = call ? (bot.states ?? {}) : {};
  for (const [key] of ROWS) {
    for (const [side, states] of [["browser", here], ["bot", there]]) {
      const chip = $(`state-${side}-${key}`);
      chip.textContent = states[key] ?? "–";
      chip.className = `chip ${states[key] ? (TONE[states[key]] ?? "busy") : ""}`;
    }
  }
}

function drawServers() {
  const text = $("servers");
  text.textContent = "";
  if (!call) {
    text.textContent = "No servers: there is no call.";
    return;
  }
  const name = document.createElement("b");
  name.textContent = "Servers in the configuration: ";
  text.append(name, servers);
}

function drawPair(sample) {
  const pair = document.querySelector(".pair");
  const { local, remote } = sample ?? {};
  const state = call?.pc.iceConnectionState;
  const away = state === "disconnected" || state === "failed";
  const relayed = local?.candidateType === "relay" || remote?.candidateType === "relay";
  pair.className = `pair ${local ? (away ? "down" : relayed ? "relay" : "up") : ""}`;
  for (const [id, candidate] of [["local", local], ["remote", remote]]) {
    $(`pair-${id}`).textContent = candidate ? `${candidate.address || "(hidden)"}:${candidate.port}` : "none";
    const note = candidate ? [candidate.candidateType, candidate.protocol] : [];
    if (candidate?.relayProtocol) note.push(`relay over ${candidate.relayProtocol}`);
    if (candidate?.url) note.push(candidate.url);
    $(`pair-${id}-note`).textContent = note.join(" · ");
  }
  const rtt = view.rtt.ice;
  $("pair-rtt").textContent = !local ? "no path" : away ? state : !rtt ? "connected" : `${Math.round(rtt)} ms`;
  $("pair-note").textContent = !local ? "" : relayed ? "through the relay" : "direct";
  view.pair = local ? { local: describe(local), remote: describe(remote), relayed } : null;
}

const milliseconds = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`);

function drawNumbers() {
  const here = call?.numbers;
  const there = bot.numbers;
  const set = (id, text, bad = false) => {
    $(id).textContent = text;
    $(id).classList.toggle("bad", bad);
  };
  if (!here) return;
  set("n-out-sent", here.sent);
  set("n-in-received", here.received);
  set("n-in-lost", here.lost, here.lost > 0);
  set("n-in-gap", milliseconds(Math.max(here.gap, here.silence())));
  set("n-in-recent", milliseconds(Math.max(here.recent, Math.min(here.silence(), performance.now() - here.mark))));
  if (!there) return;
  set("n-in-sent", there.sent);
  set("n-out-received", there.received);
  set("n-out-lost", there.lost, there.lost > 0);
  set("n-out-gap", milliseconds(there.gap * 1000));
  set("n-out-recent", milliseconds(there.recent * 1000));
}

function drawMedia(sample) {
  const video = sample?.video ?? {};
  const size = video.frameWidth ? `${video.frameWidth}×${video.frameHeight}` : "";
  const codec = (text) => (text ?? "").split("/")[1] ?? "";
  $("bot-video-text").textContent = size
    ? `${size} · ${Math.round(video.framesPerSecond ?? 0)} fps · ${codec(video.codec)}` : "";
  $("level").style.width = `${Math.min(100, Math.round((sample?.audio?.audioLevel ?? 0) * 300))}%`;
  const seen = call ? bot.media : null;
  $("bot-sees").textContent = seen?.video_frames
    ? `The bot has decoded ${seen.video_frames} pictures (${seen.width}×${seen.height}, mean brightness ` +
      `${Math.round(seen.luma)} of 255) and ${seen.audio_frames} sound frames (level ${seen.level.toFixed(3)}).`
    : "The bot sees nothing yet.";
}

function draw(sample) {
  drawStates();
  drawPair(sample);
  drawNumbers();
  drawMedia(sample);
}

async function measure() {
  if (!call || sampling) return;
  sampling = true;
  const subject = call;
  try {
    const sample = await subject.sample();
    if (subject !== call) return;
    const rates = { in: null, out: null };
    if (previous && sample.received !== undefined && previous.received !== undefined) {
      const seconds = (sample.time - previous.time) / 1000;
      rates.in = ((sample.received - previous.received) * 8) / seconds / 1e6;
      rates.out = ((sample.sent - previous.sent) * 8) / seconds / 1e6;
    }
    previous = sample;
    const ice = sample.pair?.currentRoundTripTime;
    const rtt = { data: call.numbers.takeRtt(), ice: ice === undefined ? null : ice * 1000 };
    charts.bitrate.add(rates);
    charts.rtt.add(rtt);
    const text = (value, digits) => (value === null ? "–" : value.toFixed(digits));
    $("rate-in").textContent = text(rates.in, 2);
    $("rate-out").textContent = text(rates.out, 2);
    $("rtt-data").textContent = text(rtt.data, 1);
    $("rtt-ice").textContent = rtt.ice === 0 ? "< 1" : text(rtt.ice, 0);
    Object.assign(view, { video: sample.video, audio: sample.audio, sending: sample.sending, rates, rtt });
    draw(sample);
  } finally {
    sampling = false;
  }
}

// ---------------------------------------------------------------- start

for (const [key, name] of ROWS) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  for (const side of ["browser", "bot"]) {
    const cell = document.createElement("td");
    const chip = document.createElement("span");
    chip.id = `state-${side}-${key}`;
    cell.append(chip);
    row.append(cell);
  }
  $("states").append(row);
}
for (const [id, act] of Object.entries(BUTTONS)) $(id).onclick = act;
$("call").onclick = () => (call ? hangUp() : dial());
$("call-big").onclick = dial;
$("sound").onclick = () => setSound($("sound").getAttribute("aria-pressed") !== "true");
$("policy").onchange = () => {
  if (call) send({ type: "policy", call: call.id, policy: $("policy").value });
};
const wish = new URL(location.href).searchParams;
if (wish.get("codec") === "H264") $("codec").value = "H264";
if (wish.get("path") === "relay") $("policy").value = "relay";
addEventListener("pagehide", () => call?.close());
setInterval(measure, 500);
draw();
drawServers();
for (const chart of Object.values(charts)) chart.draw();
connect();

// for the tests, and for the curious in the console
window.rtcpeer = {
  view,
  charts,
  get call() {
    return call;
  },
  get bot() {
    return bot;
  },
};
