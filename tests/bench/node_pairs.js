// Pairs of a stack under Node for bench/run.py: the measurement that is named is made, and its result printed as JSON.
//
//   node node_pairs.js werift|libdatachannel setup|idle|throughput|throughput-1k|ping-pong
"use strict";
const { readFileSync } = require("fs");

const STACKS = { werift: "werift", libdatachannel: "node-datachannel/polyfill" };
const { RTCPeerConnection } = require(STACKS[process.argv[2]]);

// Without candidates, which are told one by one: libdatachannel stumbles over those that come with a description.
const bare = ({ type, sdp }) => ({ type, sdp: sdp.replace(/^a=(candidate|end-of-candidates).*\r?\n/gm, "") });

async function connect() {
  const a = new RTCPeerConnection({ iceServers: [] });
  const b = new RTCPeerConnection({ iceServers: [] });
  const held = [];
  let described = false; // both know each other
  const add = (pc) => ({ candidate }) => {
    if (!candidate) return;
    if (described) pc.addIceCandidate(candidate).catch(() => {});
    else held.push([pc, candidate]);
  };
  a.onicecandidate = add(b);
  b.onicecandidate = add(a);
  const here = a.createDataChannel("bench");
  const opened = new Promise((go) => (here.onopen = go));
  const arrived = new Promise((go) => (b.ondatachannel = ({ channel }) => {
    if (channel.readyState === "open") go(channel);
    else channel.onopen = () => go(channel);
  }));
  await a.setLocalDescription(await a.createOffer());
  await b.setRemoteDescription(bare(a.localDescription));
  await b.setLocalDescription(await b.createAnswer());
  await a.setRemoteDescription(bare(b.localDescription));
  described = true;
  for (const [pc, candidate] of held.splice(0)) await pc.addIceCandidate(candidate).catch(() => {});
  await opened;
  const there = await arrived;
  there.binaryType = here.binaryType = "arraybuffer";
  return { here, there, close: () => Promise.all([a.close(), b.close()]) };
}

const wait = (ms) => new Promise((go) => setTimeout(go, ms));
const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; }; // ms
const round = (value, digits) => Number(value.toFixed(digits));
const sorted = (values) => [...values].sort((x, y) => x - y);
const size = (data) => data.byteLength ?? data.length;

async function setup() {
  const walls = [];
  let used = 0;
  for (let i = 0; i < 60; i++) {
    const start = performance.now(), before = cpu();
    const pair = await connect();
    if (i >= 5) {
      walls.push(performance.now() - start);
      used += cpu() - before;
    }
    await pair.close();
  }
  const all = sorted(walls);
  return {
    median_ms: round(all[all.length >> 1], 2), p90_ms: round(all[Math.floor(all.length * 0.9)], 2),
    cpu_ms_per_pair: round(used / all.length, 2),
  };
}

async function throughput(bytes, total) {
  const pair = await connect();
  let received = 0;
  const done = new Promise((go) => (pair.there.onmessage = ({ data }) => (received += size(data)) >= total && go()));
  const chunk = Buffer.alloc(bytes, 7);
  const start = performance.now(), before = cpu();
  for (let sent = 0; sent < total;) {
    if (pair.here.bufferedAmount < 1000000) {
      pair.here.send(chunk);
      sent += bytes;
    } else await wait(0);
  }
  await done;
  const wall = performance.now() - start, used = cpu() - before;
  await pair.close();
  return { MB_per_s: round(total / wall / 1000, 1), cpu_s_per_100MB: round((used / 1000) * (1e8 / total), 2) };
}

async function pingPong(rounds) {
  const pair = await connect();
  const times = [];
  const message = Buffer.from("0123456789abcdef");
  let sentAt = 0;
  pair.there.onmessage = ({ data }) => pair.there.send(Buffer.from(data));
  const done = new Promise((go) => (pair.here.onmessage = () => {
    times.push((performance.now() - sentAt) * 1000);
    if (times.length === rounds) return go();
    sentAt = performance.now();
    pair.here.send(message);
  }));
  const before = cpu();
  sentAt = performance.now();
  pair.here.send(message);
  await done;
  const used = cpu() - before;
  await pair.close();
  const all = sorted(times);
  return {
    median_us: round(all[rounds >> 1], 1), p99_us: round(all[Math.floor(rounds * 0.99)], 1),
    cpu_us_per_round: round((used * 1000) / rounds, 1),
  };
}

const memory = () => Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4; // kB

async function idle(count) {
  const pairs = [await connect()];
  globalThis.gc?.();
  const before = memory();
  while (pairs.length <= count) pairs.push(await connect());
  globalThis.gc?.();
  const each = (memory() - before) / count;
  await wait(1000);
  const start = performance.now(), used = cpu();
  await wait(10000);
  const rate = (cpu() - used) / ((performance.now() - start) / 1000) / count;
  await Promise.all(pairs.map((pair) => pair.close()));
  return { kb_per_pair: round(each, 0), idle_cpu_ms_per_pair_per_s: round(rate, 3) };
}

const MEASUREMENTS = {
  setup, idle: () => idle(200), throughput: () => throughput(65536, 40e6), "throughput-1k": () => throughput(1024, 10e6),
  "ping-pong": () => pingPong(2000),
};

MEASUREMENTS[process.argv[3]]().then((result) => {
  console.log(JSON.stringify(result));
  process.exit(0);
}, (error) => {
  console.error(error);
  process.exit(1);
});
