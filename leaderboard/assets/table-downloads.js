/* The rows and columns that a table shows, as files: CSV, JSON and parquet for machines, LaTeX and Markdown to be read. */
(function () {
  "use strict";
  const { NOTHING } = window.vidsuite.format;
  const LATEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}",
    "◇": "$\\diamond$", "†": "\\dag{}", "‡": "\\ddag{}",
    ">": "\\textgreater{}", "|": "\\textbar{}", "±": "$\\pm$", "≈": "$\\approx$", "·": "$\\cdot$", "–": "--", "×": "$\\times$",
  };
  for (const sign of "&%$#_{}") LATEX[sign] = "\\" + sign;

  /* `text` on one line, without control characters and direction marks. */
  function line(text) {
    return text.replace(/\s/g, " ").replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "");
  }

  function latex(text) {
    return Array.from(line(text), (sign) => LATEX[sign] || sign).join("");
  }

  function markdown(text) {
    return line(text).replace(/[\\|<>*_`[\]&$~]/g, "\\$&");
  }

  /* A CSV field; a text that a spreadsheet would run as a formula is put behind an apostrophe. */
  function field(value) {
    if (value === null) return "";
    if (typeof value === "number") return String(value);
    const text = "=+-@".includes(value.trimStart()[0] || " ") && !isNumber(value) ? "'" + value : value;
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }

  function isNumber(text) {
    return text.trim() !== "" && Number.isFinite(Number(text));
  }

  /* What a view holds for machines: [{name, type, values}], each score as mean, _sd, _low and _high. */
  function machine(view) {
    const fields = [];
    for (const column of view.columns) {
      fields.push(...column.fields);
      if (column.printed && view.rows.some((row) => column.printed.get(row) !== null)) fields.push(column.printed);
      if (column.device && !fields.includes(column.device) && !fields.some((one) => one.name === "speed_device")) {
        fields.push(column.device);
      }
    }
    return fields.map((one) => ({ name: one.name, type: one.type, values: view.rows.map((row) => one.get(row) ?? null) }));
  }

  function csv(view) {
    const columns = machine(view);
    const lines = view.rows.map((row, place) => columns.map((column) => field(column.values[place])).join(","));
    return [columns.map((column) => field(column.name)).join(","), ...lines, ""].join("\r\n");
  }

  function json(view) {
    const columns = machine(view);
    const rows = view.rows.map((row, place) => Object.fromEntries(columns.map((column) => [column.name, column.values[place]])));
    return JSON.stringify(rows, null, 1) + "\n";
  }

  /* Headings and cells as they are read; `right` says which columns hold numbers. */
  function readable(view) {
    const right = view.columns.map((column) => !["model", "name", "measure", "status", "weights", "config", "date"].includes(column.kind));
    const cells = view.rows.map((row) => view.columns.map((column) => column.text(row, view.intervals) || NOTHING));
    return { right, heads: view.columns.map((column) => column.title), cells };
  }

  /* The signs that the models of a view bear, in words. */
  function signs(view) {
    return [["indistinct", "≈ cannot be told apart from the best"], ["synthetic", "◇ synthetic data"],
      ["random", "† random initial weights"], ["floored", "‡ not above the floor"],
      ["few", "§ fewer than ten subjects"], ["narrow", "¶ hardly any classes"]]
      .filter(([name]) => view.rows.some((row) => row[name])).map(([, words]) => words).join("; ");
  }

  function asMarkdown(view) {
    const { right, heads, cells } = readable(view);
    const row = (texts) => "| " + texts.map(markdown).join(" | ") + " |";
    const rule = "|" + right.map((one) => (one ? "---:" : "---")).join("|") + "|";
    return ["**" + markdown(view.caption) + "**", "", row(heads), rule, ...cells.map(row), "",
      ...(signs(view) ? [markdown(signs(view)), ""] : [])].join("\n");
  }

  function asLatex(view) {
    const { right, heads, cells } = readable(view);
    const row = (texts) => texts.map(latex).join(" & ") + " \\\\";
    return [
      "% " + latex(view.caption), ...(signs(view) ? ["% " + latex(signs(view))] : []), "% needs \\usepackage{booktabs}",
      "\\begin{tabular}{" + right.map((one) => (one ? "r" : "l")).join("") + "}", "\\toprule",
      row(heads), "\\midrule", ...cells.map(row), "\\bottomrule", "\\end{tabular}", "",
    ].join("\n");
  }

  const FORMATS = {
    csv: { type: "text/csv", make: csv },
    json: { type: "application/json", make: json },
    parquet: { type: "application/vnd.apache.parquet", make: (view) => window.vidsuite.parquet(machine(view)) },
    tex: { type: "application/x-tex", make: asLatex },
    md: { type: "text/markdown", make: asMarkdown },
  };

  function download(view, format) {
    const content = FORMATS[format].make(view);
    const url = URL.createObjectURL(new Blob([content], { type: FORMATS[format].type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = view.name + "." + format;
    document.body.append(link);
    link.click();
    link.remove();
    window.setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  /* Puts a text into the clipboard; says whether that worked. */
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (error) {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function copied(view, format) {
    return copy(FORMATS[format].make(view));
  }

  Object.assign(window.vidsuite, { downloads: { download, copied, copy, FORMATS } });
})();
