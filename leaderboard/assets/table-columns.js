/* The columns of a table by their kind: how a cell looks, by what it is sorted, and what downloads hold of it. */
(function () {
  "use strict";
  const F = window.vidsuite.format;
  const { el, known, NOTHING } = F;
  const REPORTED = "reported";
  const MARKS = [["synthetic", "◇", "synthetic"], ["random", "†", "random_weights"], ["floored", "‡", "not_above_floor"],
    ["few", "§", "few_subjects"], ["narrow", "¶", "few_classes"]];
  const SPEED = {
    latency_p50: [1, F.seconds, "latency_p50_s"],
    latency_p95: [2, F.seconds, "latency_p95_s"],
    throughput: [3, F.rate, "throughput_per_s"],
    peak_memory: [4, F.size, "peak_memory_bytes"],
  };

  /* Rows as objects, from the lists of the data file; see table_data.py. */
  function decode(data) {
    const shared = new Set(data.shared);
    const texts = data.strings;
    return data.rows.map((raw) => {
      const row = {};
      data.fields.forEach((field, place) => {
        const value = raw[place];
        if (!shared.has(field)) row[field] = value;
        else row[field] = Array.isArray(value) ? value.map((one) => texts[one]) : texts[value];
      });
      row.reported = row.status === REPORTED;
      row.text = [row.name, row.benchmark, row.dataset, row.preset, row.status, row.by, row.measure, ...row.weights,
        ...row.notes].join("\n").toLowerCase();
      return row;
    });
  }

  /* Text by which names sort as people do: "frame 9" before "frame 10". */
  function natural(text) {
    return text ? text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(9, "0")) : null;
  }

  function short(name) {
    return name.slice(name.lastIndexOf("/") + 1);
  }

  /* Words that open a list: readable with the keyboard, where a tooltip is not. */
  function opening(words, label, lines, kind) {
    const list = el("ul", null, ...lines.map((line) => el("li", null, line)));
    return el("details", { class: "why " + kind }, el("summary", { "aria-label": label }, words), list);
  }

  function rankText(row) {
    return row.rank === null ? NOTHING : row.rank + (row.tied ? "=" : "");
  }

  function cellsText(row) {
    return row.reported ? NOTHING : row.done + " of " + row.expected;
  }

  function marked(row) {
    return MARKS.filter(([name]) => row[name]).map(([, sign]) => sign).join(" ");
  }

  function model(row, root) {
    const name = row.reported ? el("span", null, row.name)
      : el("a", { href: root + "entries/" + row.slug + ".html", title: row.model }, row.name);
    const alike = row.indistinct ? el("abbr", { class: "alike", title: "cannot be told apart from the best" }, " ≈") : null;
    const marks = marked(row);
    const notes = row.notes.length ? opening(marks || (row.reported ? "source" : "notes"), "notes on " + row.name, row.notes, "notes") : null;
    return el("div", { class: "model" }, el("span", null, name, alike), notes);
  }

  function cells(row) {
    if (row.reported) return document.createTextNode(NOTHING);
    const whole = row.done === row.expected;
    const grid = el("small", null, row.folds + (row.folds === 1 ? " fold × " : " folds × ") + row.seeds +
      (row.seeds === 1 ? " seed" : " seeds"));
    if (whole) return el("div", null, cellsText(row), grid);
    const badge = el("span", { class: "badge " + (row.done ? "incomplete" : "failed") }, cellsText(row));
    return el("div", null, row.problems.length ? opening(badge, cellsText(row) + " cells: why", row.problems, "problems") : badge, grid);
  }

  function scored(value, range) {
    if (value === null) return document.createTextNode(NOTHING);
    if (typeof value === "string") return el("span", { class: "printed" }, value);
    const [mean, sd] = value;
    const spread = known(sd) ? el("span", { class: "sd" }, " ± " + F.number(sd)) : null;
    const words = F.interval(value);
    return el("div", { class: "score" }, el("span", null, F.number(mean), spread), F.bar(value, ...range),
      words ? el("span", { class: "interval", "aria-hidden": "true" }, words) : null);
  }

  function field(name, type, get) {
    return { name, type, get };
  }

  /* A column that shows the text `text(row)`. */
  function plain(text, sort, fields) {
    return { text, node: (row) => document.createTextNode(text(row)), sort, fields };
  }

  function named(id) {
    const get = (row) => row[id];
    const text = (row) => (get(row) ? short(get(row)) : NOTHING);
    return plain(text, (row) => natural(get(row)), [field(id, "text", get)]);
  }

  function score(id, data, state) {
    const place = data.scores.findIndex((info) => "score:" + info.name === id);
    const name = data.scores[place].name;
    const of = (row) => row.scores[place];
    const part = (at) => (row) => (Array.isArray(of(row)) ? of(row)[at] : null);
    return {
      place,
      text: (row, intervals) => {
        const value = of(row);
        if (value === null) return NOTHING;
        if (typeof value === "string") return value;
        const words = intervals ? F.interval(value) : "";
        return F.score(value) + (words ? " " + words : "");
      },
      node: (row) => scored(of(row), state.range(place, row.measure)),
      sort: part(0),
      fields: [["", 0], ["_sd", 1], ["_low", 2], ["_high", 3]].map(([end, at]) => field(name + end, "number", part(at))),
      printed: field(name + "_reported", "text", (row) => (typeof of(row) === "string" ? of(row) : null)),
    };
  }

  function speed(id, data, state) {
    const [place, show, name] = SPEED[id];
    const get = (row) => {
      const found = row.speeds.find((one) => data.devices[one[0]] === state.device);
      return found ? found[place] : null;
    };
    const device = field("speed_device", "text", (row) => (known(get(row)) ? state.device : null));
    return { ...plain((row) => show(get(row)), get, [field(name, "number", get)]), device };
  }

  function across(id, data) {
    const place = Number(id.split(":")[1]);
    const get = (row) => {
      const found = row.speeds.find((one) => one[0] === place);
      return found ? found[1] : null;
    };
    return plain((row) => F.seconds(get(row)), get, [field("latency_p50_s on " + data.devices[place], "number", get)]);
  }

  function status(row) {
    return el("div", null, el("span", { class: "badge " + row.status }, row.status),
      row.by ? el("small", null, "by " + row.by) : null);
  }

  /* What each column of `data` does; `state` holds the device class whose speeds are shown, and range(place, measure)
     what the bars of a score span. */
  function columns(data, state) {
    const kinds = {
      rank: () => ({
        ...plain(rankText, (row) => row.rank, [
          field("rank", "number", (row) => row.rank), field("tied", "number", (row) => (row.rank === null ? null : row.tied))]),
        node: (row) => (row.rank === null && !row.reported
          ? el("span", { title: "no rank: cells are missing" }, NOTHING) : document.createTextNode(rankText(row))),
      }),
      model: () => ({
        text: (row) => [row.name, row.indistinct ? "≈" : "", marked(row)].filter(Boolean).join(" "), node: (row) => model(row, data.root),
        sort: (row) => natural(row.name),
        fields: [field("model", "text", (row) => row.model), field("name", "text", (row) => row.name),
          field("indistinct", "number", (row) => row.indistinct),
          ...MARKS.map(([name, , title]) => field(title, "number", (row) => (row.reported ? null : row[name])))],
      }),
      name: (id) => (id === "paper" ? {
        ...named("paper"),
        node: (row) => el("a", { href: data.root + "papers/" + row.paper.replace(/[^A-Za-z0-9_]+/g, "-") + ".html" }, row.paper),
      } : named(id)),
      measure: () => plain((row) => row.measure, (row) => natural(row.measure), [field("measure", "text", (row) => row.measure)]),
      score: (id) => score(id, data, state),
      cells: () => ({
        ...plain(cellsText, (row) => (row.reported ? null : row.done / row.expected), ["done", "expected", "folds", "seeds"]
          .map((name) => field(name, "number", (row) => (row.reported ? null : row[name])))),
        node: cells,
      }),
      status: () => ({
        ...plain((row) => row.status + (row.by ? " by " + row.by : ""), (row) => row.status,
          [field("status", "text", (row) => row.status), field("by", "text", (row) => row.by || null)]),
        node: status,
      }),
      weights: () => {
        const text = (row) => row.weights.join(", ");
        return plain((row) => text(row) || NOTHING, (row) => natural(text(row)), [field("weights", "text", text)]);
      },
      count: (id) => plain((row) => F.count(row[id]), (row) => row[id], [field(id, "number", (row) => row[id])]),
      speed: (id) => speed(id, data, state),
      across: (id) => across(id, data),
      date: () => plain((row) => row.created.slice(0, 10) || NOTHING, (row) => row.created || null,
        [field("created", "text", (row) => row.created || null)]),
      config: () => plain((row) => row.config.slice(0, 8) || NOTHING, (row) => row.config || null,
        [field("config", "text", (row) => row.config || null)]),
    };
    return data.columns.map((column) => ({ ...column, ...kinds[column.kind](column.id) }));
  }

  Object.assign(window.vidsuite, { columns, decode });
})();
