// A participant of a VideoRoom in a browser, over Janus' WebSocket API as its documentation describes it.
var seen = {}, heard = [], page = {};
async function joinRoom(url, room, display) {
  const socket = new WebSocket(url, "janus-protocol");
  await new Promise((done, fail) => { socket.onopen = done; socket.onerror = fail; });
  let number = 0, session;
  const waiting = new Map(), handles = new Map();
  socket.onmessage = ({data}) => {
    const m = JSON.parse(data), one = waiting.get(m.transaction);
    if (m.janus === "ack" && one?.later) return;
    if (one) { waiting.delete(m.transaction); one.done(m); } else handles.get(m.sender)?.(m);
  };
  const ask = (verb, members, later = false) => new Promise(done => {
    const transaction = `p${number++}`;
    waiting.set(transaction, {done, later});
    socket.send(JSON.stringify({janus: verb, transaction, ...(session ? {session_id: session} : {}), ...members}));
  });
  session = (await ask("create", {})).data.id;
  const attach = async listener => {
    const id = (await ask("attach", {plugin: "janus.plugin.videoroom"})).data.id;
    handles.set(id, listener);
    return id;
  };
  const tell = async (handle_id, body, jsep) => {
    const m = await ask("message", {handle_id, body, ...(jsep ? {jsep} : {})}, true);
    return {data: m.plugindata.data, jsep: m.jsep};
  };
  const gathered = pc => new Promise(done => {
    const look = () => pc.iceGatheringState === "complete" && done();
    pc.onicegatheringstatechange = look; look();
  });
  const watch = async feed => {
    const pc = new RTCPeerConnection();
    const entry = seen[feed] = {pc, videos: []};
    pc.ontrack = ({track}) => {
      const video = document.createElement("video");
      video.autoplay = video.playsInline = true;
      video.muted = track.kind === "video";
      video.srcObject = new MediaStream([track]);
      document.body.append(video);
      if (track.kind === "video") entry.videos.push(video);
    };
    pc.ondatachannel = ({channel}) => { channel.onmessage = ({data}) => heard.push(data); };
    pc.createDataChannel("JanusDataChannel").onmessage = ({data}) => heard.push(data);
    const answer = async (handle, jsep) => {
      await pc.setRemoteDescription(jsep);
      await pc.setLocalDescription();
      await gathered(pc);
      await tell(handle, {request: "start"}, pc.localDescription);
    };
    const handle = await attach(async m => { if (m.jsep) await answer(handle, m.jsep); });
    const {jsep} = await tell(handle, {request: "join", ptype: "subscriber", room, streams: [{feed}]});
    await answer(handle, jsep);
  };
  const meet = publishers => {
    for (const {id, streams} of publishers ?? [])
      if (!(id in seen) && streams?.some(s => s.type === "video" && !s.disabled)) watch(id);
  };
  const mine = await attach(m => meet(m.plugindata?.data.publishers));
  const joined = await tell(mine, {request: "join", ptype: "publisher", room, display});
  page.id = joined.data.id;
  const pc = page.pc = new RTCPeerConnection();
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
  for (const track of stream.getTracks()) pc.addTransceiver(track, {direction: "sendonly"});
  page.channel = pc.createDataChannel("JanusDataChannel");
  await pc.setLocalDescription();
  await gathered(pc);
  const {jsep} = await tell(mine, {request: "publish"}, pc.localDescription);
  await pc.setRemoteDescription(jsep);
  meet(joined.data.publishers);
  page.leave = () => socket.close();
  return true;
}
function say(text) { page.channel.send(JSON.stringify({from: page.id, text})); return true; }
async function statistics(feed) {
  const found = {frames: 0, energy: 0, luma: 0};
  const entry = seen[feed];
  if (!entry) return found;
  for (const s of (await entry.pc.getStats()).values()) {
    if (s.type === "inbound-rtp" && s.kind === "video") found.frames += s.framesDecoded ?? 0;
    if (s.type === "inbound-rtp" && s.kind === "audio") { found.energy += s.totalAudioEnergy ?? 0; found.packets = s.packetsReceived; }
  }
  const video = entry.videos.at(-1);
  if (video?.videoWidth) {
    const canvas = new OffscreenCanvas(16, 12), g = canvas.getContext("2d");
    g.drawImage(video, 0, 0, 16, 12);
    const data = g.getImageData(0, 0, 16, 12).data;
    for (let i = 0; i < data.length; i += 4) found.luma += (data[i] + data[i + 1] + data[i + 2]) / 3 / 192;
  }
  return found;
}
