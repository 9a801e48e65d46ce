// The page of `rtcpeer relay`: lists the broadcasts, plays one of them by WHEP, and comes back when it is gone.

const $ = id => document.getElementById(id);
const wait = seconds => new Promise(resolve => setTimeout(resolve, 1000 * seconds));
let wanted = decodeURIComponent(location.hash.slice(1)) || null;
let player = null;

class Player {
  // One session: an offer that receives, the answer, and the DELETE.
  constructor(name) {
    this.name = name;
    this.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
    this.stream = new MediaStream();
    this.ended = new Promise(resolve => { this.end = resolve; });
    this.pc.ontrack = event => this.stream.addTrack(event.track);
    this.pc.onconnectionstatechange = () => {
      if (["failed", "closed"].includes(this.pc.connectionState)) this.end();
      show();
    };
  }

  async start(kinds) {
    for (const kind of kinds) this.pc.addTransceiver(kind, {direction: "recvonly"});
    await this.pc.setLocalDescription();
    await Promise.race([wait(0.25), new Promise(resolve => {
      this.pc.onicegatheringstatechange = () => this.pc.iceGatheringState === "complete" && resolve();
    })]);
    const answer = await fetch(`whep/${encodeURIComponent(this.name)}`, {
      method: "POST", headers: {"Content-Type": "application/sdp"}, body: this.pc.localDescription.sdp,
    });
    if (answer.status !== 201) throw new Error((await answer.json()).detail ?? answer.statusText);
    this.url = new URL(answer.headers.get("Location"), answer.url);
    await this.pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
    $("video").srcObject = this.stream;
    $("video").hidden = false;
  }

  close() {
    this.pc.close();
    this.end();
    if (this.url) fetch(this.url, {method: "DELETE", keepalive: true}).catch(() => {});
    this.url = null;
  }
}

function show(text) {
  const state = player ? `${player.name}: ${player.pc.connectionState}` : "Choose a broadcast.";
  $("state").textContent = text ?? state;
}

function choose(name) {
  wanted = name;
  location.hash = encodeURIComponent(name);
  if (player) player.close();
}

function list(broadcasts) {
  $("list").replaceChildren(...broadcasts.map(({name, kinds, viewers}) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.textContent = `${name} (${kinds.join(" + ")}, ${viewers} watching)`;
    button.setAttribute("aria-pressed", String(name === wanted));
    button.onclick = () => choose(name);
    item.append(button);
    return item;
  }));
  if (!broadcasts.length && !player) show("Nobody publishes at present.");
}

async function poll() {
  const answer = await fetch("broadcasts");
  const broadcasts = await answer.json();
  list(broadcasts);
  const found = broadcasts.find(({name}) => name === wanted);
  if (player && !found) player.close();  // its publisher has gone
  return found;
}

async function watch() {
  for (;;) {
    try {
      // what is not listed may be had from another relay, if somebody names it
      const found = (await poll()) ?? (wanted === null ? null : {name: wanted, kinds: ["audio", "video"]});
      if (found && !player) {
        player = new Player(found.name);
        await player.start(found.kinds);
      }
    } catch (error) {
      show(error.message);
      if (player) player.close();
    }
    if (player) await Promise.race([player.ended, wait(2)]);
    if (!player || player.pc.connectionState === "closed") await wait(1);
    if (player && player.pc.connectionState === "closed") player = null;
    if (player && player.pc.connectionState === "failed") { player.close(); player = null; }
  }
}

$("endpoint").textContent = new URL("whip/NAME", location.href).href;
addEventListener("pagehide", () => player?.close());
globalThis.relay = {get player() { return player; }, choose};
watch();
