/* Numbers, elements and dot plots for the page that compares entries; names only ever become text, never markup. */
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  /* One shape an entry, 12 units wide, around (0, 0): circle, square, triangle, diamond, cross. */
  const SHAPES = [
    "M-5,0a5,5 0 1 0 10,0a5,5 0 1 0 -10,0z",
    "M-4.5,-4.5h9v9h-9z",
    "M0,-5.5L5.5,4.5H-5.5z",
    "M0,-6L6,0L0,6L-6,0z",
    "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
  ];
  const SIGN = 7;
  const APART = 7;

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function make(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  function draw(tag, attributes, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  /* A value with three decimals; counts as they are. */
  function number(value) {
    if (value === null || value === undefined) return "–";
    return Number.isInteger(value) && Math.abs(value) > 1 ? String(value) : value.toFixed(3);
  }

  /* A difference with its sign, as a minus that is as wide as the plus. */
  function signed(value) {
    if (value === null) return "–";
    const text = number(Math.abs(value));
    return /[1-9]/.test(text) ? (value < 0 ? "−" : "+") + text : text;
  }

  /* The q-th part of sorted numbers, between neighbours in a straight line. */
  function quantile(sorted, q) {
    const at = (sorted.length - 1) * q;
    const low = Math.floor(at);
    const high = Math.ceil(at);
    return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
  }

  /* 95 % interval of a's first score less b's over the same draws; null where they were not drawn from the same. */
  function interval(a, b) {
    if (!a.drawnFrom || a.drawnFrom !== b.drawnFrom || a.draws.length !== b.draws.length) return null;
    const apart = [];
    a.draws.forEach((value, place) => {
      if (value !== null && b.draws[place] !== null) apart.push(value - b.draws[place]);
    });
    if (!apart.length) return null;
    const sorted = Float64Array.from(apart).sort();
    return [quantile(sorted, 0.025), quantile(sorted, 0.975)];
  }

  function mark(place) {
    return draw("svg", { class: "mark e" + (place + 1), viewBox: "-7 -7 14 14", "aria-hidden": "true" },
      draw("path", { d: SHAPES[place] }));
  }

  /* Round steps that span a range, about five of them, and the decimals that they need. */
  function ticks(low, high) {
    const rough = (high - low) / 5;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * size).find((found) => found >= rough);
    const found = [];
    const last = Math.ceil(high / step - 1e-9);
    for (let at = Math.floor(low / step + 1e-9); at <= last; at += 1) found.push(at * step);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  function cut(text, most) {
    const signs = Array.from(text);
    return signs.length <= most ? text : signs.slice(0, most - 1).join("") + "…";
  }

  /* A dot plot: a row a name, a point an entry.
     rows: [{name, points: [{place, value, low, high}]}]; place counts the entries from 0; low and high may be missing.
     range: [low, high] that the axis spans at least. */
  function dotPlot(label, rows, range, width) {
    const all = rows.flatMap((row) => row.points.flatMap((p) => [p.value, p.low, p.high])).filter(Number.isFinite);
    const { found, digits } = ticks(Math.min(range[0], ...all), Math.max(range[1], ...all));
    const [low, high] = [found[0], found[found.length - 1]];
    const tall = 14 + APART * Math.max(1, ...rows.map((row) => row.points.length));
    const left = Math.min(0.42 * width, 14 + SIGN * Math.max(...rows.map((row) => Array.from(row.name).length)));
    const right = width - 22;
    const bottom = 6 + tall * rows.length;
    const x = (value) => left + ((value - low) / (high - low)) * (right - left);
    const plot = draw("svg", {
      class: "plot", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${bottom + 22}`, width, height: bottom + 22,
    });
    rows.forEach((row, place) => {
      if (place % 2 === 0) plot.append(draw("rect", { class: "band", x: 0, y: 6 + tall * place, width, height: tall }));
    });
    for (const at of found) {
      const zero = low < 0 && Math.abs(at) < 1e-12;
      plot.append(
        draw("line", { class: zero ? "zero" : "grid", x1: x(at), x2: x(at), y1: 6, y2: bottom }),
        draw("text", { class: "tick", x: x(at), y: bottom + 15, "text-anchor": "middle" }, at.toFixed(digits).replace("-", "−")),
      );
    }
    rows.forEach((row, place) => drawRow(plot, row, 6 + tall * (place + 0.5), left, x));
    return plot;
  }

  function drawRow(plot, row, middle, left, x) {
    plot.append(draw("text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, cut(row.name, Math.floor((left - 14) / SIGN + 1e-9)), draw("title", {}, row.name)));
    row.points.forEach((point, order) => {
      if (!Number.isFinite(point.value)) return;
      const y = middle + APART * (order - (row.points.length - 1) / 2);
      const group = draw("g", { class: "e" + (point.place + 1) });
      if (Number.isFinite(point.low)) {
        group.append(draw("line", { class: "reach", x1: x(point.low), x2: x(point.high), y1: y, y2: y }));
      }
      group.append(draw("path", { class: "point", d: SHAPES[point.place], transform: `translate(${x(point.value)},${y}) scale(0.9)` }));
      plot.append(group);
    });
  }

  window.vidsuite = window.vidsuite || {};
  window.vidsuite.compare = { make, mark, number, signed, interval, dotPlot };
})();
