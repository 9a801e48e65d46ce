// A chart of the last minute on a canvas: lines, marks for what was done, a value under the pointer.

const SPAN = 60000;
const PAD = { left: 38, right: 8, top: 14, bottom: 18 };

export class Chart {
  constructor(canvas, { keys, log = false, format }) {
    this.canvas = canvas;
    this.keys = keys;
    this.log = log;
    this.format = format;
    this.points = [];
    this.marks = [];
    this.pointer = null;
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = event.offsetX;
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  add(point) {
    this.points.push({ time: performance.now(), ...point });
    while (this.points.length && this.points[0].time < performance.now() - SPAN - 1000) this.points.shift();
    this.draw();
  }

  mark(label) {
    this.marks.push({ time: performance.now(), label });
    if (this.marks.length > 50) this.marks.shift();
  }

  clear() {
    this.points = [];
    this.marks = [];
    this.draw();
  }

  scale(height) {
    const values = this.points.flatMap((p) => this.keys.map((k) => p[k])).filter((v) => v !== null && v > 0);
    const inner = height - PAD.top - PAD.bottom;
    if (this.log) {
      const low = 0.3;
      const high = Math.max(100, 10 ** Math.ceil(Math.log10(Math.max(...values, 1))));
      const part = (v) => Math.log10(Math.max(v, low) / low) / Math.log10(high / low);
      const ticks = [];
      for (let v = 1; v <= high; v *= 10) ticks.push(v);
      return { y: (v) => PAD.top + inner * (1 - part(v)), ticks };
    }
    const most = Math.max(...values, 0.1) * 1.1;
    const step = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((s) => most / s <= 4) ?? most / 4;
    const high = Math.ceil(most / step) * step;
    const ticks = [];
    for (let v = 0; v <= high + step / 2; v += step) ticks.push(Math.round(v * 100) / 100);
    return { y: (v) => PAD.top + inner * (1 - v / high), ticks };
  }

  draw() {
    const { canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    g.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const now = performance.now();
    const x = (time) => PAD.left + (width - PAD.left - PAD.right) * (1 - (now - time) / SPAN);
    const { y, ticks } = this.scale(height);

    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const tick of ticks) {
      g.strokeStyle = colour("--line");
      g.lineWidth = 1;
      line(g, PAD.left, y(tick), width - PAD.right, y(tick));
      g.fillStyle = colour("--soft");
      g.fillText(tick >= 1000 ? `${tick / 1000}k` : String(tick), PAD.left - 6, y(tick));
    }
    g.textBaseline = "alphabetic";
    for (const [ago, text] of [[60000, "60 s ago"], [30000, "30 s"], [0, "now"]]) {
      g.textAlign = ago === 60000 ? "left" : ago ? "center" : "right";
      g.fillText(text, x(now - ago), height - 4);
    }
    this.drawMarks(g, x, height, colour);
    this.keys.forEach((key, index) => this.drawLine(g, key, x, y, colour(index ? "--b" : "--a")));
    if (this.pointer !== null) this.drawPointer(g, x, height, width, colour);
  }

  drawMarks(g, x, height, colour) {
    g.save();
    let free = -Infinity;
    for (const { time, label } of this.marks) {
      if (x(time) < PAD.left) continue;
      g.strokeStyle = colour("--soft");
      g.globalAlpha = 0.7;
      g.setLineDash([2, 3]);
      line(g, x(time), PAD.top, x(time), height - PAD.bottom);
      g.fillStyle = colour("--soft");
      const wide = g.measureText(label).width;
      const left = Math.min(x(time) - wide / 2, this.canvas.clientWidth - PAD.right - wide);
      if (left > free) {
        g.textAlign = "left";
        g.globalAlpha = 1;
        g.fillText(label, Math.max(left, PAD.left), 10);
        free = left + wide + 6;
      }
    }
    g.restore();
  }

  drawLine(g, key, x, y, stroke) {
    g.strokeStyle = stroke;
    g.lineWidth = 2;
    g.lineJoin = "round";
    g.beginPath();
    let open = false;
    for (const point of this.points) {
      const value = point[key];
      if (value === null || x(point.time) < PAD.left) {
        open = false;
        continue;
      }
      if (open) g.lineTo(x(point.time), y(value));
      else g.moveTo(x(point.time), y(value));
      open = true;
    }
    g.stroke();
  }

  drawPointer(g, x, height, width, colour) {
    const near = this.points.reduce(
      (best, p) => (!best || Math.abs(x(p.time) - this.pointer) < Math.abs(x(best.time) - this.pointer) ? p : best), null);
    if (!near) return;
    const text = this.keys.map((key) => (near[key] === null ? "–" : this.format(near[key]))).join("   ");
    g.strokeStyle = colour("--ink");
    g.lineWidth = 1;
    line(g, x(near.time), PAD.top, x(near.time), height - PAD.bottom);
    const wide = g.measureText(text).width + 12;
    const left = Math.min(Math.max(x(near.time) + 6, PAD.left), width - wide - PAD.right);
    g.fillStyle = colour("--ink");
    g.fillRect(left, PAD.top + 2, wide, 18);
    g.fillStyle = colour("--card");
    g.textAlign = "left";
    g.fillText(text, left + 6, PAD.top + 15);
  }
}

function line(g, x1, y1, x2, y2) {
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x2, y2);
  g.stroke();
}
