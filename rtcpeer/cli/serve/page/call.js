// One call: one RTCPeerConnection from its making to its close, negotiated perfectly (webrtc-pc 10.7), with trickle.

import { Numbers } from "./numbers.js";

const STATES = {
  signalingstatechange: ["signalingState", "signaling"],
  icegatheringstatechange: ["iceGatheringState", "gathering"],
  iceconnectionstatechange: ["iceConnectionState", "ICE"],
  connectionstatechange: ["connectionState", "connection"],
};

export class Call {
  // `send(message)` brings a description or candidate to the bot; `tell(what, detail, wrong)` writes the page's log;
  // `onEnd()`: the bot has closed the connection.
  constructor({ id, polite, configuration, stream, codec, send, tell, onTrack, onState, onEnd }) {
    this.id = id;
    this.polite = polite;
    this.tell = tell;
    this.post = send;
    this.making = false;
    this.ignoring = false;
    this.candidates = { sent: 0, received: 0 };
    const pc = (this.pc = new RTCPeerConnection(configuration));

    pc.onnegotiationneeded = () => this.describe();
    pc.onicecandidate = ({ candidate }) => {
      if (!candidate) return;
      this.candidates.sent++;
      this.post(candidate.toJSON());
    };
    pc.onicecandidateerror = (event) =>
      tell("candidate error", `${event.url} ${event.errorCode} ${event.errorText}`, true);
    pc.ontrack = (event) => onTrack(event);
    for (const [event, [attribute, name]] of Object.entries(STATES))
      pc.addEventListener(event, () => {
        tell(name, pc[attribute], pc[attribute] === "failed");
        onState();
      });

    for (const track of stream.getTracks()) {
      const sender = pc.addTrack(track, stream);
      if (track.kind === "video") this.prefer(sender, codec);
    }
    this.numbers = new Numbers(pc.createDataChannel("numbers"));
    const numbersEvent = (name) => () => tell("channel", name);
    this.numbers.channel.onopen = numbersEvent("numbers open");
    this.numbers.channel.onclose = () => {
      tell("channel", "numbers closed");
      if (pc.signalingState !== "closed") onEnd(); // nobody else closes it
    };
    const ice = pc.getSenders()[0]?.transport?.iceTransport;
    if (ice) this.watchPair(ice);
  }

  prefer(sender, codec) {
    const transceiver = this.pc.getTransceivers().find((t) => t.sender === sender);
    const { codecs } = RTCRtpReceiver.getCapabilities("video");
    const wanted = codecs.filter((c) => c.mimeType.toLowerCase() === `video/${codec.toLowerCase()}`);
    const help = codecs.filter((c) => /\/(rtx|red|ulpfec)$/i.test(c.mimeType));
    if (wanted.length) transceiver.setCodecPreferences([...wanted, ...help]);
    else this.tell("codec", `this browser has no ${codec}; it chooses itself`, true);
  }

  watchPair(ice) {
    ice.onselectedcandidatepairchange = () => {
      const pair = ice.getSelectedCandidatePair();
      if (pair) this.tell("pair", `${describe(pair.local)} ⇄ ${describe(pair.remote)}`);
    };
  }

  async describe() {
    try {
      this.making = true;
      await this.pc.setLocalDescription();
      this.post(this.pc.localDescription.toJSON());
    } catch (error) {
      this.wrong(error);
    } finally {
      this.making = false;
    }
    const ice = this.pc.getSenders()[0]?.transport?.iceTransport;
    if (ice && !ice.onselectedcandidatepairchange) this.watchPair(ice);
  }

  async take(message) {
    const { pc } = this;
    if (pc.signalingState === "closed") return;
    try {
      if ("candidate" in message) {
        this.candidates.received++;
        await pc.addIceCandidate(message).catch((error) => {
          if (!this.ignoring) throw error;
        });
        return;
      }
      const offer = message.type === "offer";
      this.ignoring = offer && !this.polite && (this.making || pc.signalingState !== "stable");
      if (this.ignoring) return;
      await pc.setRemoteDescription(message);
      if (!offer) return;
      await pc.setLocalDescription();
      this.post(pc.localDescription.toJSON());
    } catch (error) {
      this.wrong(error);
    }
  }

  wrong(error) {
    if (this.pc.signalingState !== "closed") this.tell("error", `${error.name}: ${error.message}`, true);
  }

  configure(configuration) {
    this.pc.setConfiguration({ ...this.pc.getConfiguration(), ...configuration });
  }

  close() {
    this.numbers.stop();
    this.pc.close();
  }

  get states() {
    const { pc } = this;
    return {
      signaling: pc.signalingState,
      gathering: pc.iceGatheringState,
      ice: pc.iceConnectionState,
      dtls: pc.sctp?.transport?.state ?? "new",
      connection: pc.connectionState,
      channel: this.numbers.channel.readyState,
    };
  }

  // What the page draws, out of one getStats().
  async sample() {
    const report = new Map();
    (await this.pc.getStats()).forEach((stat) => report.set(stat.id, stat));
    const found = { time: performance.now(), video: {}, audio: {} };
    for (const stat of report.values()) {
      if (stat.type === "inbound-rtp") found[stat.kind] = { ...stat, codec: report.get(stat.codecId)?.mimeType };
      if (stat.type === "outbound-rtp" && stat.kind === "video")
        found.sending = { ...stat, codec: report.get(stat.codecId)?.mimeType };
      if (stat.type === "transport") {
        found.received = stat.bytesReceived;
        found.sent = stat.bytesSent;
        found.pair = report.get(stat.selectedCandidatePairId);
      }
    }
    if (found.pair) {
      found.local = report.get(found.pair.localCandidateId);
      found.remote = report.get(found.pair.remoteCandidateId);
    }
    return found;
  }
}

export function describe(candidate) {
  const { type, candidateType, address, port, protocol } = candidate;
  return `${candidateType ?? type} ${address || "(hidden)"}:${port}/${protocol}`;
}
