// The page: buttons, the log, the drawing of states. The call itself is in call.js, what may be said of it in truth.js, the
// room in which page and bot meet in room.js (the example of docs/rooms-wire.md).

import { Call, describe } from "./call.js";
import { Chart } from "./chart.js";
import { Room } from "./room.js";
import { Clock, OLD, counts, health, isFresh, isOver } from "./truth.js";

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
let room = null; // in which we are, or want to be: one for each call
let peer = null; // the bot's id there
let call = null;
let calls = 0;
let clock = new Clock();
let checked = {}; // when the path's round trip was last measured
let began = 0;
let dialling = false;
let sound = true;
let ours = null; // our id in the room
let stream = null;
let bot = {}; // its last report
let reported = 0; // when it was made
let lost = null; // since when the room's socket is away
let servers = "";
let previous = null;
let outageTimer = 0;
let sampling = false;
const view = { video: {}, audio: {}, rates: {}, rtt: {}, log: [] };

const charts = {
  bitrate: new Chart($("bitrate"), {
    lines: [{ key: "in", name: "from the bot" }, { key: "out", name: "to the bot" }], format: (v) => `${v.toFixed(2)} Mbit/s`,
  }),
  rtt: new Chart($("rtt"), {
    lines: [{ key: "data", name: "data channel" }, { key: "ice", name: "ICE" }], log: true, format: (v) => `${v.toFixed(1)} ms`,
  }),
};

// ---------------------------------------------------------------- signaling

function enter() {
  const url = new URL("rooms", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const name = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const ours = new Room(url, name, (frame) => ours === room && receive(frame), {
    name: "browser", metadata: { policy: $("policy").value },
  });
  return ours;
}

// To the bot: what is no signaling is broadcast, and the bot is the only other member.
function ask(type, members = {}) {
  room?.send({ type: "broadcast", message: { type, ...members } });
}

const FRAMES = {
  entered(frame) {
    if (call && !frame.resumed) return leave("browser", "the room is gone: the server has restarted");
    ours = frame.id;
    peer ??= frame.members[0]?.id ?? null;
  },
  joined({ member }) {
    peer = member.id;
  },
  left({ id }) {
    if (id === peer) leave("bot", "it has left");
  },
  message: ({ message }) => call?.take(message),
  broadcast({ message }) {
    HANDLERS[message.type]?.(message);
  },
  lost: ({ code }) => tell("browser", "signaling", `a message did not reach the bot (${code})`, true),
  error: ({ reason }) => leave("browser", `the room server refuses: ${reason}`, true),
};

// From the bot. `at` is on its clock.
const HANDLERS = {
  ready: (message) => call ?? begin(message),
  servers(message) {
    call.configure({ iceServers: message.iceServers, iceTransportPolicy: message.policy });
    servers = message.note;
    if (message.log) tell("bot", "servers", message.log, false, message.at);
    drawServers();
  },
  bot(message) {
    bot = message;
    reported = clock.here(message.at, performance.now());
  },
  event: (message) => tell("bot", message.event, message.detail, message.wrong, message.at),
  outage: (message) => outage(message.seconds),
  error: (message) => tell("bot", "error", message.message, true, message.at),
  clock: (message) => clock.answer(message.asked, message.at, performance.now()),
};

function receive(frame) {
  FRAMES[frame.type]?.(frame);
}

// ---------------------------------------------------------------- the call

async function dial() {
  const number = ++calls;
  began = performance.now();
  tell("action", "call", `number ${number}, ${$("codec").value}, path: ${$("policy").value}`);
  const focused = [$("call"), $("call-big")].includes(document.activeElement);
  dialling = true;
  enable();
  drawHeadline("asking for camera and microphone…");
  stream ??= await capture();
  $("self-video").srcObject = stream;
  $("self-video").parentElement.classList.add("live");
  began = performance.now();
  dialling = false;
  peer = null;
  room = enter();
  enable();
  if (focused) $("call").focus(); // the other button is about to go
  drawHeadline();
}

function begin(message) {
  servers = message.note;
  previous = null;
  bot = {};
  lost = null;
  clock = new Clock();
  checked = {};
  reported = performance.now();
  ask("clock", { asked: performance.now() });
  call = new Call({
    id: calls,
    polite: ours < peer,
    configuration: { iceServers: message.iceServers, iceTransportPolicy: message.policy },
    stream,
    codec: $("codec").value,
    send: (value) => room.send({ type: "message", to: peer, message: value }),
    tell: (what, detail, wrong) => tell("browser", what, detail, wrong),
    onTrack,
    onState,
    onEnd: () => leave("bot", "it has closed the connection"),
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
  video.muted = !sound;
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
    tell("browser", "connected", `after ${Math.round(call.connected - began)} ms`);
  }
  drawHeadline();
  drawStates();
}

// The call is over; `who` has ended it.
function leave(who, reason, wrong = false) {
  room?.leave();
  call?.close();
  if (room) tell(who, "call ended", reason, wrong);
  room = call = peer = null;
  clearInterval(outageTimer);
  outageTimer = 0;
  document.querySelector(".screen").classList.remove("live");
  $("bot-video").srcObject = null;
  enable();
  draw();
}

async function recreate() {
  action("close and recreate");
  leave("action", "to be recreated");
  await dial();
}

function hangUp() {
  leave("action", "hung up here");
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
  ask("mark");
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
    tell("action", "servers", "new ones asked of the bot");
    ask("replace-servers");
  },
  "restart-browser"() {
    action("restart");
    tell("action", "restart", "ICE restart asked here");
    call.pc.restartIce();
  },
  "restart-bot"() {
    action("restart");
    tell("action", "restart", "ICE restart asked of the bot");
    ask("restart");
  },
  outage() {
    action("outage");
    tell("action", "outage", "asked of the bot: its network drops every packet for 8 s");
    ask("outage", { seconds: 8 });
  },
  recreate,
};

function enable() {
  for (const id of ["call", "call-big"]) $(id).disabled = dialling;
  $("call").textContent = room ? "Hang up" : "Call the bot";
  $("call").classList.toggle("hang", Boolean(room));
  for (const id of Object.keys(BUTTONS)) $(id).disabled = !call || (id === "outage" && outageTimer !== 0);
  $("sound").disabled = !call;
  $("codec").disabled = Boolean(room) || dialling;
  if (!call && !outageTimer) {
    $("outage").textContent = "Outage, 8 seconds";
    $("outage").classList.remove("running");
  }
}

function setSound(on) {
  sound = on;
  $("bot-video").muted = !on;
  $("sound").textContent = on ? "Sound on" : "Sound off";
}

// ---------------------------------------------------------------- drawing

// `more` changes all the time: it is shown, and not read aloud.
function headline(tone, text, more = "") {
  $("status").dataset.state = tone || "idle";
  if ($("status-text").textContent !== text) $("status-text").textContent = text;
  $("status-more").textContent = more;
  view.headline = { tone, text, more };
}

function drawHeadline(doing) {
  if (doing) return headline("busy", doing);
  if (!call) {
    const waiting = room && performance.now() - began > 3000;
    return headline(room ? "busy" : "", room ? (waiting ? "the bot does not answer; trying again…" : "calling…") : "ready");
  }
  const numbers = bot.numbers;
  headline(...health({
    here: call.pc.connectionState,
    there: bot.states?.connection,
    age: performance.now() - reported,
    silence: call.numbers.silence(),
    silenceThere: numbers && numbers.silence !== null ? numbers.silence * 1000 : null,
    away: lost === null ? null : performance.now() - lost,
  }));
}

// A command that was killed says nothing: its sockets are gone, and nothing arrives any more.
function watch() {
  if (room.socket.readyState === WebSocket.OPEN) lost = null;
  else lost ??= performance.now();
  const away = lost === null ? null : performance.now() - lost;
  if (isOver({ here: call.pc.connectionState, silence: call.numbers.silence(), away }))
    leave("browser", "the command has ended: neither its server nor the bot answers", true);
}

const SPEAKERS = { browser: "Browser", bot: "Bot", action: "You" };

// One line. What the bot says has its own time, and may arrive late: lines stand in the order in which things happened.
function tell(who, what, detail = "", wrong = false, at = null) {
  const now = performance.now();
  const time = at === null ? now : clock.here(at, now);
  const item = document.createElement("li");
  item.className = `${who} ${wrong ? "wrong" : ""}`;
  item.dataset.time = time;
  const seconds = began ? Math.max(0, (time - began) / 1000).toFixed(2) : "0.00";
  for (const text of [`${seconds} s`, SPEAKERS[who], detail ? `${what}: ${detail}` : what]) {
    const span = document.createElement("span");
    span.textContent = text;
    item.append(span);
  }
  const before = [...$("log").children].find((other) => Number(other.dataset.time) <= time);
  $("log").insertBefore(item, before ?? null);
  while ($("log").children.length > 300) $("log").lastChild.remove();
  view.log.push({ who, what, detail, wrong, time });
  if (view.log.length > 1000) view.log.shift();
}

function drawStates() {
  const here = call?.states ?? {};
  const there = call ? (bot.states ?? {}) : {};
  const old = call && performance.now() - reported > OLD;
  $("states").classList.toggle("old-bot", Boolean(old));
  $("states-age").textContent = old ? `The bot’s column is ${Math.round((performance.now() - reported) / 1000)} s old.` : "";
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
  const quiet = (call?.numbers.silence() ?? 0) > 1000;
  const relayed = local?.candidateType === "relay" || remote?.candidateType === "relay";
  pair.className = `pair ${local ? (away || quiet ? "down" : relayed ? "relay" : "up") : ""}`;
  for (const [id, candidate] of [["local", local], ["remote", remote]]) {
    $(`pair-${id}`).textContent = candidate ? `${candidate.address || "(hidden)"}:${candidate.port}` : "none";
    const note = candidate ? [candidate.candidateType, candidate.protocol] : [];
    if (candidate?.relayProtocol) note.push(`relay over ${candidate.relayProtocol}`);
    if (candidate?.url) note.push(candidate.url);
    $(`pair-${id}-note`).textContent = note.join(" · ");
  }
  const rtt = view.rtt.ice;
  const words = away ? state : quiet ? "nothing arrives" : !view.fresh ? "not measured lately" : rtt === 0 ? "< 1 ms" : `${Math.round(rtt)} ms`;
  $("pair-rtt").textContent = local ? words : "no path";
  $("pair-note").textContent = !local ? "" : relayed ? "through the relay" : "direct";
  view.pair = local ? { local: describe(local), remote: describe(remote), relayed } : null;
}

const milliseconds = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`);

function drawNumbers() {
  document.querySelector(".numbers").classList.toggle("old", !call);
  const here = call?.numbers;
  const toUs = counts(bot.numbers, here);
  const there = bot.numbers && counts(here, bot.numbers);
  const set = (id, text, bad = false) => {
    $(id).textContent = text;
    $(id).classList.toggle("bad", bad);
  };
  if (!here) return;
  for (const id of ["n-out-received", "n-out-lost", "n-out-gap", "n-out-recent"])
    $(id).classList.toggle("old", performance.now() - reported > OLD);
  set("n-in-sent", toUs.sent);
  set("n-out-sent", there ? there.sent : here.sent);
  set("n-in-received", here.received);
  set("n-in-lost", here.lost, here.lost > 0);
  set("n-in-gap", milliseconds(Math.max(here.gap, here.silence() ?? 0)));
  set("n-in-recent", milliseconds(Math.max(here.recent, Math.min(here.silence() ?? 0, performance.now() - here.mark))));
  if (!there) return;
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
  const level = Math.min(100, Math.round((sample?.audio?.audioLevel ?? 0) * 300));
  $("level").style.width = `${level}%`;
  $("meter").setAttribute("aria-valuenow", level);
  const seen = call ? bot.media : null;
  $("bot-sees").textContent = seen?.video_frames
    ? `The bot has decoded ${seen.video_frames} pictures (${seen.width}×${seen.height}, mean brightness ` +
      `${Math.round(seen.luma)} of 255) and ${seen.audio_frames} sound frames (level ${seen.level.toFixed(3)}).`
    : "The bot sees nothing yet.";
}

function draw(sample) {
  drawHeadline();
  drawStates();
  drawPair(sample);
  drawNumbers();
  drawMedia(sample);
}

// The charts in words, for who does not see them.
function describeCharts() {
  const rate = (value) => (value === null ? "unknown" : `${value.toFixed(1)} Mbit/s`);
  const time = (value) => (value === null ? "unknown" : milliseconds(value));
  charts.bitrate.describe(`Bitrate now: from the bot ${rate(view.rates.in ?? null)}, to the bot ${rate(view.rates.out ?? null)}`);
  charts.rtt.describe(`Round trip now: data channel ${time(view.rtt.data ?? null)}, ICE ${time(view.rtt.ice ?? null)}`);
}

async function measure() {
  if (!call) drawHeadline(dialling ? view.headline.text : undefined);
  if (call) watch();
  if (!call || sampling) return;
  sampling = true;
  ask("clock", { asked: performance.now() });
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
    view.fresh = isFresh(checked, sample.pair, sample.time) && (call.numbers.silence() ?? 0) < 1000;
    const rtt = { data: call.numbers.takeRtt(), ice: ice === undefined || !view.fresh ? null : ice * 1000 };
    charts.bitrate.add(rates);
    charts.rtt.add(rtt);
    const text = (value, digits) => (value === null ? "–" : value.toFixed(digits));
    $("rate-in").textContent = text(rates.in, 2);
    $("rate-out").textContent = text(rates.out, 2);
    $("rtt-data").textContent = text(rtt.data, 1);
    $("rtt-ice").textContent = rtt.ice === 0 ? "< 1" : text(rtt.ice, 0);
    Object.assign(view, { video: sample.video, audio: sample.audio, sending: sample.sending, rates, rtt });
    describeCharts();
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
$("call").onclick = () => (room ? hangUp() : dial());
$("call-big").onclick = dial;
$("sound").onclick = () => setSound(!sound);
$("policy").onchange = () => {
  if (call) ask("policy", { policy: $("policy").value });
};
const wish = new URL(location.href).searchParams;
if (wish.get("codec") === "H264") $("codec").value = "H264";
if (wish.get("path") === "relay") $("policy").value = "relay";
addEventListener("pagehide", () => {
  call?.close();
  room?.leave();
});
setInterval(measure, 500);
draw();
drawServers();
enable();

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
  get room() {
    return room;
  },
};
