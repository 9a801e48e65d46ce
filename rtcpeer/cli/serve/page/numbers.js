// One numbered stream over a data channel: counts what is sent, what arrives, what is missing and the longest silence.
//
// On the wire: "17" is number 17; "ping <t>" is answered at once by "pong <t>".

const EVERY_MS = 20;
const PING_EVERY = 12; // numbers between two pings

export class Numbers {
  constructor(channel) {
    this.channel = channel;
    this.sent = 0;
    this.received = 0;
    this.lost = 0;
    this.gap = 0; // ms, of the whole call
    this.recent = 0; // ms, since reset()
    this.rtt = null; // ms, the worst since the last takeRtt()
    this.last = null;
    this.next = 0;
    this.since = null;
    this.mark = 0;
    this.waiting = []; // pings without an answer
    this.ticker = new Worker("ticker.js");
    this.ticker.onmessage = () => this.tick();
    channel.addEventListener("open", () => this.start());
    channel.addEventListener("message", (event) => this.take(event.data));
    channel.addEventListener("close", () => this.stop());
  }

  start() {
    this.since = performance.now();
    this.ticker.postMessage(EVERY_MS);
  }

  stop() {
    this.ticker.terminate();
  }

  tick() {
    if (this.channel.readyState !== "open") return;
    // catch up when a tick was late, so that the rate is kept; but never flood a path that is away
    const due = Math.floor((performance.now() - this.since) / EVERY_MS);
    for (let n = 0; this.sent < due && n < 50 && this.channel.bufferedAmount < 65536; n++) {
      this.channel.send(String(this.sent++));
      if (this.sent % PING_EVERY === 0 && this.waiting.length < 100) {
        const now = performance.now();
        this.waiting.push(now);
        this.channel.send(`ping ${now}`);
      }
    }
    if (this.sent < due) this.since = performance.now() - this.sent * EVERY_MS;
  }

  take(text) {
    const now = performance.now();
    if (text.startsWith("ping ")) {
      if (this.channel.readyState === "open") this.channel.send(`pong ${text.slice(5)}`);
      return;
    }
    if (text.startsWith("pong ")) {
      const sent = Number(text.slice(5));
      this.waiting = this.waiting.filter((time) => time > sent);
      this.rtt = Math.max(this.rtt ?? 0, now - sent);
      return;
    }
    const number = Number(text);
    this.received++;
    if (number > this.next) this.lost += number - this.next;
    this.next = number + 1;
    if (this.last !== null) {
      this.gap = Math.max(this.gap, now - this.last);
      this.recent = Math.max(this.recent, now - Math.max(this.last, this.mark));
    }
    this.last = now;
  }

  // The longest silence from now on is counted anew.
  reset() {
    this.mark = performance.now();
    this.recent = 0;
  }

  // How long nothing has come; null while there is nothing to come.
  silence() {
    return this.last === null || this.channel.readyState !== "open" ? null : performance.now() - this.last;
  }

  // The worst round trip since the last call; an unanswered ping older than that counts with its age.
  takeRtt() {
    const oldest = this.waiting.length ? performance.now() - this.waiting[0] : 0;
    const rtt = this.rtt === null && oldest < 500 ? null : Math.max(this.rtt ?? 0, oldest > 500 ? oldest : 0);
    this.rtt = null;
    return rtt;
  }
}
