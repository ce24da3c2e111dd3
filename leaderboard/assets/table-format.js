/* How numbers read (as show.py has them), and how cells are made: of nodes and text, never of markup. */
(function () {
  "use strict";
  const NOTHING = "–";
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 64, PAD = 3;

  /* An element; `attributes` are set as such, children are nodes or text. */
  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  function drawn(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /* Three significant digits, without trailing zeros: what Python calls ".3g". */
  function brief(value) {
    return String(Number(value.toPrecision(3)));
  }

  function known(value) {
    return value !== null && value !== undefined;
  }

  function number(value) {
    return known(value) ? value.toFixed(3) : NOTHING;
  }

  function count(value) {
    if (!known(value)) return NOTHING;
    for (const [size, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size) return brief(value / size) + " " + prefix;
    }
    return brief(value);
  }

  function seconds(value) {
    if (!known(value)) return NOTHING;
    if (value < 1) return brief(value * 1e3) + " ms";
    return value < 120 ? brief(value) + " s" : brief(value / 60) + " min";
  }

  function size(value) {
    if (!known(value)) return NOTHING;
    return value < 2 ** 30 ? (value / 2 ** 20).toFixed(0) + " MiB" : (value / 2 ** 30).toFixed(2) + " GiB";
  }

  function rate(value) {
    return known(value) ? brief(value) : NOTHING;
  }

  /* Mean ± standard deviation, of [mean, sd, low, high]. */
  function score(value) {
    return number(value[0]) + (known(value[1]) ? " ± " + number(value[1]) : "");
  }

  function interval(value) {
    return known(value[2]) && known(value[3]) ? "[" + number(value[2]) + ", " + number(value[3]) + "]" : "";
  }

  /* A bar of a score's 95 % interval with a mark at its mean, between `low` and `high` of the rows shown. */
  function bar(value, low, high) {
    const place = (one) => (high > low ? PAD + (WIDTH - 2 * PAD) * (one - low) / (high - low) : WIDTH / 2).toFixed(1);
    const words = interval(value);
    const parts = [drawn("line", { class: "track", x1: 0, x2: WIDTH, y1: 5, y2: 5 })];
    if (words) parts.push(drawn("line", { class: "range", x1: place(value[2]), x2: place(value[3]), y1: 5, y2: 5 }));
    const mean = place(value[0]);
    const svg = drawn("svg", { class: "bar", width: WIDTH, height: 10, viewBox: "0 0 " + WIDTH + " 10" }, ...parts,
      drawn("line", { class: "mean", x1: mean, x2: mean, y1: 1, y2: 9 }));
    if (words) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", "95 % interval " + number(value[2]) + " to " + number(value[3]));
      svg.prepend(drawn("title", {}, "95 % interval " + words));
    } else {
      svg.setAttribute("aria-hidden", "true");
    }
    return svg;
  }

  window.vidsuite = Object.assign(window.vidsuite || {}, {
    format: { NOTHING, el, known, number, count, seconds, size, rate, score, interval, bar },
  });
})();
