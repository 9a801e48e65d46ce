export class Room {                                    // join a room, and send and receive messages that survive lost sockets
  constructor(url, name, onframe, about = {}) {        // about: how others see us, { name, metadata }
    Object.assign(this, { url, name, onframe, about, members: new Map(), received: 0, sent: 0, waiting: [] });
    this.connect();
  }
  connect() {
    this.socket = new WebSocket(this.url);
    this.socket.onopen = () => this.write({ type: "enter", room: this.name, ...this.about, resume: this.token, received: this.received });
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = ({ code }) => code < 4000 && code !== 1002 && setTimeout(() => this.left || this.connect(), 500);
  }
  leave() { this.left = true; this.write({ type: "leave" }); this.socket.close(); }
  write(frame) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame)); }
  send(frame) { this.waiting.push({ ...frame, seq: ++this.sent }); this.write(this.waiting.at(-1)); }
  take(frame) {
    const { type, seq } = frame;
    if (type === "entered") {
      if (!frame.resumed) Object.assign(this, { received: 0, sent: 0, waiting: [], members: new Map(frame.members.map((m) => [m.id, m])) });
      this.token = frame.token;
      this.waiting = this.waiting.filter((waiting) => waiting.seq > frame.received);
      this.waiting.forEach((waiting) => this.write(waiting));
    } else if (type === "ack") this.waiting = this.waiting.filter((waiting) => waiting.seq > seq);
    else if (seq) { if (seq <= this.received) return; this.write({ type: "ack", seq: (this.received = seq) }); }
    if (type === "joined") this.members.set(frame.member.id, frame.member);
    if (type === "left") this.members.delete(frame.id);
    this.onframe(frame);
  }
}
