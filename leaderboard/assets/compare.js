/* Compare two to five entries of one table. What is chosen stands in the URL's fragment, #e=slug,slug; each entry's
   numbers are a script of their own, loaded when it is chosen, by a slug that the index knows. */
(function () {
  "use strict";
  const MOST = 5;
  const MANY = 30;
  const OFFERED = 200;
  const SHOWN = 40;
  const { make, mark, number, signed, interval, dotPlot } = window.vidsuite.compare;
  const tasks = new Map();
  const known = new Map();
  const loaded = new Map();
  let tables = [];
  let chosen = [];
  let drawing = 0;
  let measure = "";
  const at = (id) => document.getElementById(id);

  /* Called by data/compare.js: every table with its entries, and what the tasks' scores are called. */
  window.vidsuite.compareIndex = function (index) {
    index.tasks.forEach((task) => tasks.set(task.name, task));
    tables = index.tables;
    tables.forEach((table) => table.entries.forEach(([slug, label, random]) => known.set(slug, { slug, label, random, table })));
    if (!tables.length) return;
    at("table").append(...tables.map((table, place) => make("option", { value: place }, table.name)));
    at("table").addEventListener("change", () => choose([]));
    at("find").addEventListener("input", offer);
    at("add").addEventListener("click", () => { if (at("entry").value) choose([...chosen, at("entry").value]); });
    window.addEventListener("hashchange", follow);
    let waiting = 0;
    window.addEventListener("resize", () => {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(show, 150);
    });
    follow();
  };

  /* Called by data/compare/<slug>.js. */
  window.vidsuite.compared = function (data) {
    if (known.has(data.slug)) loaded.set(data.slug, data);
  };

  /* Take over what the fragment names: known entries of the first one's table. */
  function follow() {
    const named = (/[#&]e=([^&]*)/.exec(window.location.hash) || ["", ""])[1].split(/,|%2C/i).filter(Boolean);
    const found = Array.from(new Set(named)).filter((slug) => known.has(slug));
    chosen = found.filter((slug) => known.get(slug).table === known.get(found[0]).table).slice(0, MOST);
    if (chosen.length) at("table").value = tables.indexOf(known.get(chosen[0]).table);
    const left = named.length - chosen.length;
    show(left ? `${left} of the link's entries are left out: not on this site, of another table, or too many. ` : "");
  }

  function choose(slugs) {
    const fragment = slugs.length ? "#e=" + slugs.join(",") : "#";
    if (slugs.length && window.location.hash !== fragment) {
      window.location.hash = fragment;
      return;
    }
    if (!slugs.length && window.location.hash) window.history.pushState(null, "", "#");
    chosen = slugs;
    show();
  }

  /* The entries that may be added. */
  function offer() {
    const table = tables[Number(at("table").value)];
    at("find-field").hidden = table.entries.length <= MANY;
    const wanted = at("find-field").hidden ? "" : at("find").value.trim().toLowerCase();
    const free = table.entries.filter(([slug, label]) => !chosen.includes(slug) && label.toLowerCase().includes(wanted));
    at("offered").textContent = free.length > OFFERED ? `(the first ${OFFERED} of ${free.length})` : "";
    at("entry").replaceChildren(...free.slice(0, OFFERED).map(([slug, label]) => make("option", { value: slug }, label)));
    at("entry").disabled = at("add").disabled = !free.length || chosen.length >= MOST;
  }

  function show(note) {
    const said = typeof note === "string" ? note : "";
    offer();
    at("chosen").replaceChildren(...chosen.map(chip));
    const turn = ++drawing;
    if (chosen.length < 2) {
      at("message").textContent = said + (chosen.length ? "Add one more entry." : "Choose a table, and add two to five entries.");
      at("comparison").replaceChildren();
      return;
    }
    Promise.all(chosen.map(load)).then(
      (entries) => {
        if (turn !== drawing) return;
        at("message").textContent = said;
        at("comparison").replaceChildren(...comparison(entries));
      },
      (error) => { if (turn === drawing) at("message").textContent = error.message; },
    );
  }

  function chip(slug, place) {
    const { label } = known.get(slug);
    const remove = make("button", { type: "button" }, "Remove");
    remove.setAttribute("aria-label", "Remove " + label);
    remove.addEventListener("click", () => {
      choose(chosen.filter((other) => other !== slug));
      at("entry").focus();
    });
    const parts = [mark(place), make("a", { href: `entries/${slug}.html` }, label)];
    if (place) {
      const first = make("button", { type: "button" }, "First");
      first.setAttribute("aria-label", `Compare the others with ${label}`);
      first.addEventListener("click", () => {
        choose([slug, ...chosen.filter((other) => other !== slug)]);
        at("entry").focus();
      });
      parts.push(first);
    }
    return make("li", { class: "e" + (place + 1) }, ...parts, remove);
  }

  /* An entry's numbers; its script is asked for once. */
  function load(slug) {
    const ready = () => ({ ...known.get(slug), ...loaded.get(slug) });
    if (loaded.has(slug)) return Promise.resolve(ready());
    return new Promise((resolve, reject) => {
      const tag = make("script", { src: `data/compare/${slug}.js` });
      const fail = () => reject(new Error(`The numbers of ${known.get(slug).label} could not be loaded.`));
      tag.addEventListener("load", () => { tag.remove(); if (loaded.has(slug)) resolve(ready()); else fail(); });
      tag.addEventListener("error", () => { tag.remove(); fail(); });
      document.head.append(tag);
    });
  }

  function comparison(entries) {
    const task = tasks.get(entries[0].table.task);
    const width = Math.max(320, Math.min(760, at("comparison").clientWidth));
    return [
      make("section", {}, make("h2", {}, "Scores"), marks(entries), ...scores(entries, task, width)),
      make("section", {}, make("h2", {}, "By class"), ...classes(entries, width)),
      make("section", {}, make("h2", {}, "By subject"), ...subjects(entries, task, width)),
    ];
  }

  /* What the numbers must not be read without. */
  function marks(entries) {
    const { table } = entries[0];
    const badge = (kind, text) => make("span", { class: "badge " + kind }, text);
    const random = entries.filter((entry) => entry.random).map((entry) => entry.label);
    return make("p", { class: "marks" },
      ...(table.synthetic ? [badge("synthetic", "synthetic data"), " "] : []),
      ...(table.shortened ? [badge("quick", `preset ${table.shortened}: a shortened run`), " "] : []),
      ...(random.length ? [badge("random", "random weights"), random.length < entries.length ? " " + random.join(", ") : ""] : []));
  }

  function scoreOf(entry, name) {
    const found = entry.scores.find((score) => score[0] === name);
    if (!found) return null;
    const [, mean, sd, low, high, n] = found;
    return { mean, sd, low, high, n };
  }

  function scores(entries, task, width) {
    const [, title, lower] = task.scores.find((score) => score[0] === task.first);
    const first = scoreOf(entries[0], task.first);
    const against = entries.slice(1).map((entry, place) => {
      const score = scoreOf(entry, task.first);
      return { entry, place: place + 1, value: first && score ? score.mean - first.mean : null, range: interval(entry, entries[0]) };
    });
    const parts = [
      make("ul", { class: "verdicts" }, ...against.map((one) => make("li", {}, verdict(one, entries[0], title, lower)))),
    ];
    const rows = against.filter((one) => one.value !== null).map((one) => ({
      name: one.entry.label,
      points: [{ place: one.place, value: one.value, low: one.range ? one.range[0] : NaN, high: one.range ? one.range[1] : NaN }],
    }));
    if (rows.length) parts.push(...titled(`Difference in ${title} from ${entries[0].label}, with 95 % paired intervals`, rows, [-0.02, 0.02], width));
    const wanted = task.scores.filter(([name, , , shown]) => shown && entries.some((entry) => scoreOf(entry, name)));
    const lines = wanted.map(([name, heading]) => [heading, entries.map((entry) => scoreOf(entry, name))]);
    parts.push(table("Mean ± standard deviation over cells; below, the difference from the first", "Score", entries,
      lines.map(([heading, values]) => [heading, values.map((value, place) => cell(
        value && number(value.mean) + (value.sd === null ? "" : ` ± ${number(value.sd)}`),
        place && value && values[0] ? signed(value.mean - values[0].mean) : ""))])));
    return parts;
  }

  /* In words, what the paired interval says of an entry beside the first one. */
  function verdict({ entry, value, range }, first, title, lower) {
    if (value === null) return `${entry.label} or ${first.label} has no ${title}.`;
    const said = `${entry.label} against ${first.label}: ${signed(value)} in ${title}`;
    if (!range) return `${said}; not drawn from the same samples: no paired interval.`;
    const between = `${said}, 95 % paired interval ${signed(range[0])} to ${signed(range[1])}: `;
    if (range[0] <= 0 && range[1] >= 0) return between + "they cannot be told apart.";
    return between + ((range[0] > 0) !== lower ? "it is better." : "it is worse.");
  }

  /* One table cell: a value, and its difference below. */
  function cell(text, apart) {
    const node = make("td", { class: "number" }, text || "–");
    if (apart) node.append(make("br"), make("span", { class: "apart" }, apart));
    return node;
  }

  function table(caption, corner, entries, rows) {
    const heads = entries.map((entry, place) => make("th", { scope: "col", class: "number" }, mark(place), " " + entry.label));
    const body = rows.map(([name, cells]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells));
    return make("div", { class: "scroll comparison", tabindex: "0", role: "region", "aria-label": caption },
      make("table", { class: "plain" }, make("caption", {}, caption),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, corner), ...heads)), make("tbody", {}, ...body)));
  }

  function legend(entries) {
    return make("ul", { class: "legend" }, ...entries.map((entry, place) => make("li", {}, mark(place), " " + entry.label)));
  }

  /* [name, value of each entry] for every name that any of them has; lists is a list of [name, value] of each. */
  function joined(lists) {
    const maps = lists.map((list) => new Map(list));
    const names = Array.from(new Set(lists.flatMap((list) => list.map(([name]) => name))));
    return names.map((name) => [name, maps.map((map) => (map.has(name) ? map.get(name) : null))]);
  }

  function plotted(label, rows, width) {
    const named = rows.map(([name, values]) => ({ name, points: values.map((value, place) => ({ place, value: value === null ? NaN : value })) }));
    return titled(label, named, [0, 1], width);
  }

  /* A plot below what it shows. */
  function titled(label, rows, range, width) {
    return [make("p", { class: "shown", "aria-hidden": "true" }, label), dotPlot(label, rows, range, width)];
  }

  function tabled(caption, corner, entries, rows) {
    return table(caption, corner, entries, rows.map(([name, values]) => [name, values.map((value, place) =>
      cell(number(value), place && value !== null && values[0] !== null ? signed(value - values[0]) : ""))]));
  }

  function classes(entries, width) {
    const measures = Array.from(new Set(entries.flatMap((entry) => entry.classes.flatMap(([, values]) => values.map(([name]) => name)))))
      .filter((name) => name !== "support");
    if (!measures.length) return [make("p", {}, "The task tells nothing by class.")];
    if (!measures.includes(measure)) measure = measures.includes("F1") ? "F1" : measures[0];
    const select = make("select", { id: "measure" }, ...measures.map((name) => make("option", { value: name }, name)));
    select.value = measure;
    const place = make("div", {});
    function fill() {
      const lists = entries.map((entry) => entry.classes.map(([name, values]) => [name, new Map(values).get(measure) ?? null]));
      const rows = joined(lists);
      place.replaceChildren(legend(entries), ...plotted(`${measure} by class`, rows.slice(0, SHOWN), width),
        tabled(`${measure} by class, the mean over cells; below, the difference from the first`, "Class", entries, rows));
    }
    select.addEventListener("change", () => { measure = select.value; fill(); });
    fill();
    return [make("div", { class: "measure" }, make("label", { for: "measure" }, "Measure"), select), place];
  }

  function subjects(entries, task, width) {
    const rows = joined(entries.map((entry) => entry.subjects)).filter(([, values]) => values.some((value) => value !== null));
    if (!rows.length) return [make("p", {}, "No score is defined for single subjects.")];
    const spread = ([, values]) => {
      const found = values.filter((value) => value !== null);
      return Math.max(...found) - Math.min(...found);
    };
    rows.sort((a, b) => spread(b) - spread(a));
    const few = rows.slice(0, SHOWN);
    const caption = `${task.subject} by subject, the largest differences first`;
    const parts = [make("ul", { class: "verdicts" }, ...entries.slice(1).map((entry, place) => make("li", {}, tally(rows, entry, place + 1, entries[0])))),
      legend(entries), ...plotted(caption, few, width)];
    if (few.length < rows.length) parts.push(make("p", { class: "muted" }, `The plot shows ${few.length} of ${rows.length} subjects.`));
    parts.push(make("details", {}, make("summary", {}, `All ${rows.length} subjects in a table`), tabled(caption, "Subject", entries, rows)));
    return parts;
  }

  function tally(rows, entry, place, first) {
    const apart = rows.filter(([, v]) => v[0] !== null && v[place] !== null).map(([, v]) => v[place] - v[0]);
    const above = apart.filter((value) => value > 1e-9).length;
    const below = apart.filter((value) => value < -1e-9).length;
    return `${entry.label} is above ${first.label} for ${above} of ${apart.length} subjects, below for ${below}, equal for ${apart.length - above - below}.`;
  }
})();
