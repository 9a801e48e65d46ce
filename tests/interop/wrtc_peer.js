// libwebrtc under Node (@roamhq/wrtc): it sends a picture and a tone of its own and looks at what arrives.
"use strict";
const { MediaStream, RTCPeerConnection, nonstandard } = require("@roamhq/wrtc");
const { run } = require("./node_peer.js");

const WIDTH = 320, HEIGHT = 240;
const seen = { audio: 0, video: 0, luma: 0, loud: 0, width: 0 };
const kept = []; // what nothing refers to is collected, and stops

function picture() {
  const source = new nonstandard.RTCVideoSource();
  let turn = 0;
  kept.push(setInterval(() => {
    const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2).fill(128);
    for (let y = 0; y < HEIGHT; y++)
      for (let x = 0; x < WIDTH; x++) data[y * WIDTH + x] = ((x + turn * 4) % WIDTH) * 220 / WIDTH + 16;
    turn++;
    source.onFrame({ width: WIDTH, height: HEIGHT, data });
  }, 66));
  return source.createTrack();
}

function tone() {
  const source = new nonstandard.RTCAudioSource();
  let phase = 0;
  kept.push(setInterval(() => {
    const samples = new Int16Array(480);
    for (let i = 0; i < 480; i++) samples[i] = 8000 * Math.sin((2 * Math.PI * 440 * phase++) / 48000);
    source.onData({ samples, sampleRate: 48000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 });
  }, 10));
  return source.createTrack();
}

run({
  connection: ({ configuration }) => new RTCPeerConnection(configuration),
  media(pc, kind, codec, simulcast) {
    const track = kind === "video" ? picture() : tone();
    const stream = new MediaStream([track]);
    kept.push(track, stream);
    if (!simulcast) return pc.addTrack(track, stream);
    return pc.addTransceiver(track, { sendEncodings: [{ rid: "low", scaleResolutionDownBy: 2 }, { rid: "high" }] }).sender;
  },
  watch(pc, { track }) {
    if (track.kind === "video") {
      const sink = new nonstandard.RTCVideoSink(track);
      sink.onframe = ({ frame }) => {
        seen.video++;
        seen.width = frame.width;
        const luma = frame.data.subarray(0, frame.width * frame.height);
        seen.luma = luma.reduce((most, value) => Math.max(most, value), 0)
          - luma.reduce((least, value) => Math.min(least, value), 255);
      };
      kept.push(sink);
    } else {
      const sink = new nonstandard.RTCAudioSink(track);
      sink.ondata = ({ samples }) => {
        seen.audio++;
        if (samples.some((sample) => Math.abs(sample) > 500)) seen.loud++;
      };
      kept.push(sink);
    }
  },
  seen: () => seen,
});
