// A peer under Node that is driven by JSON lines, for any stack with the W3C API. What the lines mean stands in remote.py.
// A stack gives: connection(request), media(pc, kind, codec), watch(pc, event, tell), seen().
"use strict";
const { createHash } = require("crypto");
const { createInterface } = require("readline");

function tell(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

function run(stack) {
  let pc;
  const channels = {}, senders = {};
  let gathered;
  const complete = new Promise((resolve) => (gathered = resolve));

  function keep(channel, theirs) {
    channels[channel.label] = channel;
    channel.binaryType = "arraybuffer";
    const open = () => tell({
      event: "open", label: channel.label, theirs, protocol: channel.protocol, ordered: channel.ordered,
      maxRetransmits: channel.maxRetransmits ?? null, maxPacketLifeTime: channel.maxPacketLifeTime ?? null, id: channel.id,
    });
    if (channel.readyState === "open") open();
    else channel.onopen = open;
    channel.onclose = () => tell({ event: "closed", label: channel.label });
    channel.onmessage = ({ data }) => {
      const binary = typeof data !== "string";
      const bytes = Buffer.from(data);
      tell({
        event: "message", label: channel.label, binary, size: bytes.length,
        digest: createHash("sha256").update(bytes).digest("hex").slice(0, 16),
        ...(!binary && bytes.length <= 64 ? { text: data } : {}),
      });
      if (channel.label.startsWith("echo")) channel.send(binary ? bytes : data);
    };
  }

  const verbs = {
    begin(request) {
      pc = stack.connection(request);
      pc.onicecandidate = ({ candidate }) => {
        const end = !candidate || !candidate.candidate;
        if (end) gathered();
        tell({ event: "candidate", candidate: end ? null : candidate.toJSON ? candidate.toJSON() : candidate });
      };
      pc.onconnectionstatechange = () => tell({ event: "state", state: pc.connectionState });
      pc.ondatachannel = ({ channel }) => keep(channel, true);
      pc.ontrack = (event) => {
        tell({ event: "track", kind: event.track.kind });
        stack.watch(pc, event, tell);
      };
    },
    channel({ label, options }) { keep(pc.createDataChannel(label, options ?? {}), false); },
    media({ kind, codec, simulcast }) { senders[kind] = stack.media(pc, kind, codec, simulcast); },
    remove({ kind }) { pc.removeTrack(senders[kind]); },
    async offer({ restart }) {
      await pc.setLocalDescription(await pc.createOffer({ iceRestart: !!restart }));
      return plain(pc.localDescription);
    },
    async answer() {
      await pc.setLocalDescription(await pc.createAnswer());
      return plain(pc.localDescription);
    },
    async gathered() {
      if (pc.iceGatheringState !== "complete") await complete;
      return plain(pc.localDescription);
    },
    async remote({ description }) { await pc.setRemoteDescription(description); },
    async candidate({ candidate }) { if (candidate) await pc.addIceCandidate(candidate); },
    send({ label, text, size, binary }) {
      channels[label].send(text ?? (binary ? Buffer.alloc(size, "x") : "x".repeat(size)));
    },
    "close-channel"({ label }) { channels[label].close(); },
    seen() { return stack.seen(); },
    async close() { await pc.close(); },
  };

  function plain({ type, sdp }) { return { type, sdp }; }

  async function carryOut(request) {
    try {
      tell({ id: request.id, result: (await verbs[request.do](request)) ?? null });
    } catch (error) {
      tell({ id: request.id, error: String(error && error.stack || error) });
    }
  }

  // one after the other, as they were asked
  let last = Promise.resolve();
  createInterface({ input: process.stdin })
    .on("line", (line) => { const request = JSON.parse(line); last = last.then(() => carryOut(request)); })
    .on("close", () => process.exit(0));
}

module.exports = { run };
