// werift: WebRTC in TypeScript. It decodes nothing, so it sends back the packets that come in.
"use strict";
const { MediaStreamTrack, RTCPeerConnection, useH264, useOPUS, useVP8 } = require("werift");
const { run } = require("./node_peer.js");

const CODECS = { "audio/opus": useOPUS, "video/VP8": useVP8, "video/H264": useH264 };
const seen = { audio: 0, video: 0 };
const local = {}, remote = {};

run({
  connection({ configuration, codecs = Object.keys(CODECS), lite }) {
    const of = (kind) => codecs.filter((name) => name.startsWith(kind)).map((name) => CODECS[name]());
    return new RTCPeerConnection({ ...configuration, iceLite: !!lite, codecs: { audio: of("audio"), video: of("video") } });
  },
  media(pc, kind) {
    local[kind] = new MediaStreamTrack({ kind });
    const sender = pc.addTrack(local[kind]);
    sender.onPictureLossIndication.subscribe(() => remote[kind]?.());
    return sender;
  },
  watch(pc, { track, receiver }) {
    remote[track.kind] = () => receiver.sendRtcpPLI(track.ssrc);
    track.onReceiveRtp.subscribe((packet) => {
      seen[track.kind]++;
      local[track.kind]?.writeRtp(packet.clone());
    });
  },
  seen: () => seen,
});
