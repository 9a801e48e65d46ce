// Draws the charts of a report with uPlot. Each connection has its numbers in a JSON block; its charts share the
// pointer and the stretch of time that is shown: drag to look closer, double click to see all again.
"use strict";
(() => {
  const COLOURS = 8;
  const DASHES = [[], [8, 4], [2, 4]];
  const HEIGHT = 190;
  const charts = [];

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function short(value) {
    if (value === null || value === undefined) return "";
    for (const [limit, letter] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
      if (Math.abs(value) >= limit) return Number((value / limit).toPrecision(3)) + letter;
    }
    return String(Number(value.toPrecision(3)));
  }

  // what lies between two readings that are far apart is unknown: a null ends the line
  function table({ at, value }) {
    const steps = at.slice(1).map((time, index) => time - at[index]).sort((a, b) => a - b);
    const usual = steps.length ? steps[steps.length >> 1] : 0;
    const times = [];
    const values = [];
    at.forEach((time, index) => {
      if (index && time - at[index - 1] > 4 * usual + 0.5) {
        times.push((time + at[index - 1]) / 2);
        values.push(null);
      }
      times.push(time);
      values.push(value[index]);
    });
    return [times, values];
  }

  // the times at which the connection was not connected, behind the lines
  function shade(u, bands) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const { from, to, state } of bands) {
      ctx.fillStyle = css(state === "failed" ? "--failed" : "--waiting");
      const x = u.valToPos(from, "x", true);
      ctx.fillRect(x, top, u.valToPos(to, "x", true) - x, height);
    }
    ctx.restore();
  }

  // what was called and what was told, as thin lines with their names where there is room
  function mark(u, marks) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, 0, width, top + height);
    ctx.clip();
    ctx.font = `${10 * ratio}px system-ui, sans-serif`;
    ctx.fillStyle = css("--soft");
    ctx.strokeStyle = css("--soft");
    ctx.lineWidth = 1;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    let free = left;
    for (const { at, text } of marks) {
      const x = Math.round(u.valToPos(at, "x", true)) + 0.5;
      if (x < left || x > left + width) continue;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      const wide = ctx.measureText(text).width;
      const begin = Math.min(x, left + width - wide);
      if (begin >= free) {
        ctx.fillText(text, begin, top - 4 * ratio);
        free = begin + wide + 8 * ratio;
      }
    }
    ctx.restore();
  }

  function options(call, chart, key, width) {
    const axis = {
      stroke: css("--soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: css("--line"), width: 1 },
      ticks: { stroke: css("--line"), width: 1 },
    };
    return {
      width,
      height: HEIGHT,
      padding: [18, 10, 0, 0],
      cursor: { sync: { key, scales: ["x", null] }, drag: { x: true, y: false } },
      scales: {
        x: { time: false, min: 0, max: call.length },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
        { ...axis, size: 62, values: (_, ticks) => ticks.map(short) },
      ],
      series: [
        { label: "at", value: (_, value) => (value === null ? "–" : `${value.toFixed(1)} s`) },
        ...chart.curves.map((curve, index) => ({
          label: curve.name,
          stroke: css(`--c${index % COLOURS}`),
          dash: DASHES[Math.floor(index / COLOURS) % DASHES.length],
          width: 1.6,
          points: { show: curve.at.length < 3 },
          value: (_, value) => (value === null || value === undefined ? "–" : short(value)),
        })),
      ],
      hooks: { drawClear: [(u) => shade(u, call.bands)], draw: [(u) => mark(u, call.marks)] },
    };
  }

  function draw(chart) {
    if (chart.plot) chart.plot.destroy();
    const { call, data, place, key } = chart;
    const joined = uPlot.join(data.curves.map(table), data.curves.map(() => [0, 1]));
    chart.plot = new uPlot(options(call, data, key, place.clientWidth), joined, place);
  }

  document.querySelectorAll("section[data-call]").forEach((section, number) => {
    const call = JSON.parse(section.querySelector("script[type='application/json']").textContent);
    section.querySelectorAll("div[data-chart]").forEach((place) => {
      const chart = { call, data: call.charts[Number(place.dataset.chart)], place, key: `call ${number}` };
      draw(chart);
      charts.push(chart);
      new ResizeObserver(() => {
        if (place.clientWidth && place.clientWidth !== chart.plot.width) {
          chart.plot.setSize({ width: place.clientWidth, height: HEIGHT });
        }
      }).observe(place);
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(draw));
})();
