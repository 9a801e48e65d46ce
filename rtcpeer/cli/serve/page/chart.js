// A chart of the last minute, drawn by uPlot: lines, marks for what was done, values under the pointer.

/* global uPlot */

const SPAN = 60; // seconds

export class Chart {
  // `lines`: their keys and names. `log`: of the vertical scale. `format(value)`: for people.
  constructor(place, { lines, log = false, format }) {
    Object.assign(this, { place, lines, format, points: [], marks: [] });
    this.reading = Object.assign(document.createElement("p"), { className: "reading", hidden: true });
    const stroke = (name) => () => colour(name);
    const axis = { stroke: stroke("--soft"), grid: { stroke: stroke("--line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot(
      {
        ...this.size,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          x: { time: false, range: [-SPAN, 0] },
          y: log ? { distr: 3, range: (_, low, high) => [0.3, Math.max(100, 10 ** Math.ceil(Math.log10(high || 1)))] }
            : { range: (_, low, high) => [0, Math.max(high ?? 0, 0.1) * 1.1] },
        },
        axes: [
          { ...axis, size: 28, splits: [-60, -30, 0], values: ["60 s ago", "30 s", "now"] },
          { ...axis, size: 44, ...(log ? { splits: decades } : {}), values: (_, values) => values.map((v) => (v === null ? "" : v >= 1000 ? `${v / 1000}k` : `${v}`)) },
        ],
        series: [{}, ...lines.map((_, index) => ({ stroke: stroke(index ? "--b" : "--a"), width: 2, points: { show: false } }))],
        hooks: { draw: [() => this.drawMarks()], setCursor: [() => this.read()] },
      },
      this.data,
      place,
    );
    place.append(this.reading);
    new ResizeObserver(() => this.plot.setSize(this.size)).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot.redraw());
  }

  get size() {
    return { width: Math.max(this.place.clientWidth, 120), height: Math.max(this.place.clientHeight, 120) };
  }

  get data() {
    const now = performance.now();
    return [this.points.map((p) => (p.time - now) / 1000), ...this.lines.map(({ key }) => this.points.map((p) => p[key]))];
  }

  add(point) {
    const now = performance.now();
    this.points.push({ time: now, ...point });
    while (this.points[0].time < now - SPAN * 1000 - 1000) this.points.shift();
    this.draw();
  }

  mark(label) {
    this.marks.push({ time: performance.now(), label });
    if (this.marks.length > 50) this.marks.shift();
  }

  draw() {
    this.plot.setData(this.data);
  }

  // The chart in words, for who does not see it.
  describe(text) {
    this.place.setAttribute("aria-label", text);
  }

  drawMarks() {
    const { ctx: g, bbox } = this.plot;
    const ratio = devicePixelRatio || 1;
    const now = performance.now();
    let free = bbox.left;
    g.save();
    g.strokeStyle = g.fillStyle = colour("--soft");
    g.font = `${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    g.textAlign = "left";
    g.textBaseline = "top";
    g.setLineDash([2 * ratio, 3 * ratio]);
    for (const { time, label } of this.marks) {
      if (now - time > SPAN * 1000) continue;
      const x = this.plot.valToPos((time - now) / 1000, "x", true);
      g.beginPath();
      g.moveTo(x, bbox.top);
      g.lineTo(x, bbox.top + bbox.height);
      g.stroke();
      const wide = g.measureText(label).width;
      const left = Math.min(Math.max(x - wide / 2, bbox.left), bbox.left + bbox.width - wide);
      if (left < free) continue;
      g.fillText(label, left, bbox.top);
      free = left + wide + 6 * ratio;
    }
    g.restore();
  }

  read() {
    const { idx, left } = this.plot.cursor;
    const point = idx === null || left < 0 ? null : this.points[idx];
    this.reading.hidden = !point;
    if (!point) return;
    const values = this.lines.map(({ key, name }) => `${name} ${point[key] === null ? "–" : this.format(point[key])}`);
    this.reading.textContent = `${Math.round((performance.now() - point.time) / 1000)} s ago: ${values.join(", ")}`;
  }
}

function decades(_plot, _axis, low, high) {
  const found = [];
  for (let value = 1; value <= high; value *= 10) if (value >= low) found.push(value);
  return found;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
