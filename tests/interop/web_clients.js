// What pages use to talk WHIP, WHEP and Pipecat's dialect; esbuild makes one script of it for the tests.
import {WHIPClient} from "whip-whep/whip.js";
import {WHEPClient} from "whip-whep/whep.js";
import {WHIPClient as EyevinnWHIP} from "@eyevinn/whip-web-client";
import {WebRTCPlayer} from "@eyevinn/webrtc-player";
import {PipecatClient} from "@pipecat-ai/client-js";
import {SmallWebRTCTransport, WavMediaManager} from "@pipecat-ai/small-webrtc-transport";

Object.assign(globalThis, {
  WHIPClient, WHEPClient, EyevinnWHIP, WebRTCPlayer, PipecatClient, SmallWebRTCTransport, WavMediaManager,
});
