/* The table of a page: its rows come by `vidsuite.table(data)`, DataTables sorts and pages them, the controls above it
   say which are shown, and the page's address tells the view, so that it can be linked and gone back to. */
(function () {
  "use strict";
  const { el, scale, known } = window.vidsuite.format;
  const { downloads } = window.vidsuite;

  /* By what a row is sorted: a number, a text or null; in a list for a reported row, which stays below. */
  function sorted(row, value) {
    return row.reported ? [value] : value;
  }

  /* In order, what is not known last whichever way, and reported rows after that. */
  function compare(way) {
    return (one, other) => {
      if (one === other) return 0;
      if (typeof one === "object" || typeof other === "object") { // null or a list
        const below = Array.isArray(one) - Array.isArray(other);
        if (below || !Array.isArray(one)) return below || (known(one) ? -1 : 1);
        return compare(way)(one[0], other[0]);
      }
      return one < other ? -way : way;
    };
  }

  function byId(id) {
    return document.getElementById(id);
  }

  class Board {
    constructor(data) {
      this.data = data;
      this.rows = window.vidsuite.decode(data);
      this.selects = Array.from(document.querySelectorAll("#controls select[data-filter]"));
      this.choices = Object.fromEntries(this.selects.map((select) => [
        select.dataset.filter, Array.from(select.options, (option) => option.value).filter(Boolean)]));
      this.live = { device: data.device };
      this.columns = window.vidsuite.columns(data, this.live);
      this.state = window.vidsuite.state.read(location.hash, data, this.choices);
      this.live.device = this.state.device;
      this.told = location.hash.slice(1);
      this.applying = false;
      this.searching = false;
      this.build();
      this.listen();
      this.apply();
    }

    /* DataTables on a table of this page's columns, in the place of the one that the page came with. */
    build() {
      const heads = this.columns.map((column) => el("th", { scope: "col", title: column.tip || null }, column.title));
      const table = el("table", { class: "results", id: "rows" },
        el("caption", null, el("span")), el("thead", null, el("tr", null, ...heads)));
      this.caption = table.caption.firstChild;
      const box = byId("table");
      const fresh = el("div", { id: "live" }, table);
      fresh.hidden = true;
      box.append(fresh);
      window.DataTable.ext.errMode = "throw";
      window.DataTable.type("known", { order: { asc: compare(1), desc: compare(-1) } });
      this.table = new window.DataTable(table, {
        data: this.rows, columns: this.columns.map((column) => this.column(column)),
        deferRender: true, autoWidth: false, orderMulti: false, order: [], orderClasses: false,
        pageLength: this.state.size, layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: null },
        language: { zeroRecords: "No row is left by these filters.", emptyTable: "There are no rows yet.", info: "_START_ to _END_ of _TOTAL_ rows",
          infoEmpty: "no rows", infoFiltered: "(of _MAX_)", thousands: " " },
        createdRow: (tr, row) => {
          tr.classList.toggle("reported", row.reported);
          tr.classList.toggle("incomplete", !row.reported && row.done < row.expected);
        },
        drawCallback: () => { if (this.table) this.drawn(); },
      });
      this.table.search.fixed("view", (text, cells, place) => this.matches(this.rows[place]));
      this.box = fresh.querySelector(".dt-layout-table");
      this.box.setAttribute("tabindex", "0");
      this.box.setAttribute("role", "region");
      this.box.setAttribute("aria-label", "Table of results");
      this.pager = this.pages(fresh.querySelector(".dt-layout-row:last-child"));
      this.fill = () => {
        byId("static").remove();
        fresh.hidden = false;
        this.fit();
      };
    }

    column(column) {
      const cell = (row) => {
        if (!this.visible(column)) return document.createTextNode(""); // filled by `refresh` once it is shown
        const node = column.node(row);
        if (column.kind === "score") (row.bars = row.bars || {})[column.place] = node.querySelector && node.querySelector(".bar");
        return node;
      };
      return {
        data: null, name: column.id, type: "known", searchable: false, visible: this.visible(column),
        className: column.kind + (column.id === "model" ? "" : " cell"), cellType: column.id === "model" ? "th" : "td",
        orderSequence: column.kind === "score" && column.better !== "lower" ? ["desc", "asc"] : ["asc", "desc"],
        createdCell: (node) => { if (column.id === "model") node.setAttribute("scope", "row"); },
        render: (row, type) => (type === "display" ? cell(row) : type === "filter" ? "" : sorted(row, column.sort(row))),
      };
    }

    /* Buttons to other pages below the table; those of DataTables measure themselves, which costs at each draw. */
    pages(below) {
      const button = (sign, label, place) => {
        const made = el("button", { type: "button", "aria-label": label }, sign);
        made.addEventListener("click", () => this.table.page(place).draw("page"));
        return made;
      };
      const at = el("span", { class: "number" });
      const back = [button("«", "first page", "first"), button("‹", "page before", "previous")];
      const on = [button("›", "next page", "next"), button("»", "last page", "last")];
      const nav = el("nav", { class: "pages no-print", "aria-label": "Pages" }, ...back, at, ...on);
      below.append(nav);
      return () => {
        const { page, pages } = this.table.page.info();
        nav.hidden = pages <= 1;
        at.textContent = "page " + (page + 1) + " of " + pages;
        for (const one of back) one.disabled = page === 0;
        for (const one of on) one.disabled = page >= pages - 1;
      };
    }

    visible(column) {
      if (column.kind === "across") return this.state.across;
      return this.state.shown.has(column.id) && !(column.kind === "speed" && this.state.across);
    }

    matches(row) {
      const { filters } = this.state;
      for (const [name, value] of Object.entries(filters)) {
        if (!value) continue;
        if (name === "on") {
          if (!row.speeds.some((one) => this.data.devices[one[0]] === value)) return false;
        } else if (row[name] !== value && !(row.reported && row[name] === "")) return false; // reported rows have no dataset
      }
      return this.words.every((word) => row.text.includes(word));
    }

    /* Shows `state`. */
    apply() {
      const { state, table } = this;
      this.applying = true;
      this.words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
      this.refresh();
      const id = state.sort.replace(/^-/, "");
      const place = this.columns.findIndex((column) => column.id === id);
      table.order(place < 0 ? [] : [[place, state.sort === id ? "asc" : "desc"]]);
      table.page.len(state.size).draw();
      if (state.page > 0 && state.page < table.page.info().pages) table.page(state.page).draw("page");
      this.controls();
      this.applying = false;
      if (this.fill) this.fill();
      this.fill = null;
    }

    /* The columns that `state` shows, and their cells where these are others than before. */
    refresh() {
      const { table, state } = this;
      let stale = this.live.device !== state.device;
      this.live.device = state.device;
      this.columns.forEach((column, place) => {
        const shown = this.visible(column);
        if (table.column(place).visible() === shown) return;
        table.column(place).visible(shown, false);
        stale = true;
      });
      if (stale) table.rows().invalidate("data");
    }

    /* After a change by the reader: shows it, and tells the address; `replace` for a search that goes on. */
    changed(replace) {
      this.apply();
      this.tell(replace);
    }

    tell(replace) {
      const fragment = window.vidsuite.state.write(this.state, this.data, this.choices);
      if (fragment === this.told) return;
      this.told = fragment;
      const address = fragment ? "#" + fragment : location.href.split("#")[0];
      if (replace) history.replaceState(null, "", address);
      else history.pushState(null, "", address);
    }

    /* The controls as `state` has them. */
    controls() {
      const { state } = this;
      const query = byId("query");
      if (query.value !== state.query && !this.searching) query.value = state.query;
      for (const select of this.selects) select.value = state.filters[select.dataset.filter];
      const speed = byId("speed");
      if (speed) speed.value = state.across ? "across" : "at:" + state.device;
      byId("size").value = String(state.size);
      byId("intervals").checked = state.intervals;
      byId("live").classList.toggle("intervals", state.intervals);
      for (const box of document.querySelectorAll("#columns input[data-column]")) box.checked = state.shown.has(box.dataset.column);
    }

    /* What has to follow each draw: the bars' scale, the caption, the page and the order that DataTables has now. */
    drawn() {
      const applied = this.table.rows({ search: "applied" }).indexes().toArray();
      const here = this.table.rows({ page: "current" }).indexes().toArray();
      for (const column of this.columns) {
        if (column.kind !== "score" || !this.visible(column)) continue;
        let low = Infinity, high = -Infinity;
        for (const index of applied) {
          const value = this.rows[index].scores[column.place];
          if (!Array.isArray(value)) continue;
          low = Math.min(low, value[2] ?? value[0], value[0]);
          high = Math.max(high, value[3] ?? value[0], value[0]);
        }
        for (const index of here) {
          const svg = (this.rows[index].bars || {})[column.place];
          if (svg) scale(svg, this.rows[index].scores[column.place], low, high);
        }
      }
      this.caption.textContent = this.describe(applied.map((index) => this.rows[index]));
      this.pager();
      if (!this.applying) this.follow();
    }

    follow() {
      const [order] = this.table.order();
      this.state.page = this.table.page();
      this.state.sort = order && order[1] ? (order[1] === "desc" ? "-" : "") + this.columns[order[0]].id : "";
      this.tell(false);
    }

    /* What the rows shown have in common, and which filters chose them. */
    describe(rows) {
      const parts = [rows.length === 1 ? "1 row" : rows.length + " rows"];
      const values = { dataset: new Set(), preset: new Set() };
      let synthetic = 0, measured = 0;
      for (const row of rows) {
        if (row.reported) continue;
        values.dataset.add(row.dataset);
        values.preset.add(row.preset);
        measured += 1;
        synthetic += row.synthetic;
      }
      for (const [name, found] of Object.entries(values)) {
        if (found.size === 1) parts.push(name + " " + [...found][0].split("/").pop());
      }
      if (measured && synthetic === measured) parts.push("synthetic data");
      for (const select of this.selects) {
        if (!select.value || ["dataset", "preset"].includes(select.dataset.filter)) continue;
        parts.push(select.labels[0].textContent + " " + select.selectedOptions[0].textContent);
      }
      if (this.state.across) parts.push("latency on each device class");
      else if (this.data.device) parts.push("speed on " + this.state.device);
      return parts.join(" · ");
    }

    /* The rows and columns shown, for downloads. */
    view() {
      const indexes = this.table.rows({ search: "applied", order: "applied" }).indexes().toArray();
      return {
        name: "vidsuite-" + this.data.name, caption: document.querySelector("h1").textContent.trim() + ": " + this.caption.textContent,
        intervals: this.state.intervals, rows: indexes.map((index) => this.rows[index]),
        columns: this.columns.filter((column) => this.visible(column)),
      };
    }

    listen() {
      const { state: addresses } = window.vidsuite;
      const again = () => {
        const fragment = location.hash.slice(1);
        if (fragment === this.told || (fragment && !fragment.includes("="))) return;
        this.told = fragment;
        this.state = addresses.read(fragment, this.data, this.choices);
        this.searching = false;
        this.apply();
      };
      window.addEventListener("popstate", again);
      window.addEventListener("hashchange", again);
      for (const select of this.selects) {
        select.addEventListener("change", () => this.set(() => { this.state.filters[select.dataset.filter] = select.value; }));
      }
      const speed = byId("speed");
      if (speed) {
        speed.addEventListener("change", () => this.set(() => {
          this.state.across = speed.value === "across";
          if (!this.state.across) this.state.device = speed.value.slice("at:".length);
        }));
      }
      byId("size").addEventListener("change", (event) => this.set(() => { this.state.size = Number(event.target.value); }));
      byId("intervals").addEventListener("change", (event) => this.set(() => { this.state.intervals = event.target.checked; }));
      byId("reset").addEventListener("click", () => this.set(() => { this.state = addresses.initial(this.data, this.choices); }));
      for (const box of document.querySelectorAll("#columns input[data-column]")) {
        box.addEventListener("change", () => this.set(() => {
          this.state.shown[box.checked ? "add" : "delete"](box.dataset.column);
        }));
      }
      this.listenToSearch();
      this.listenToDownloads();
      window.vidsuite.menus();
      new ResizeObserver(() => this.fit()).observe(byId("table"));
    }

    set(change) {
      this.searching = false;
      this.state.page = 0;
      change();
      this.changed(false);
    }

    listenToSearch() {
      let waiting = 0;
      const query = byId("query");
      query.addEventListener("input", () => {
        window.clearTimeout(waiting);
        waiting = window.setTimeout(() => {
          const goesOn = this.searching;
          this.searching = true;
          this.state.query = query.value.trim();
          this.state.page = 0;
          this.changed(goesOn);
        }, 150);
      });
      query.addEventListener("blur", () => { this.searching = false; });
    }

    listenToDownloads() {
      const format = byId("format");
      const say = (text) => { byId("said").textContent = text; };
      byId("download").addEventListener("click", () => {
        downloads.download(this.view(), format.value);
        say("saved " + this.view().rows.length + " rows");
      });
      const copy = byId("copy");
      copy.addEventListener("click", async () => {
        say((await downloads.copied(this.view(), format.value)) ? "copied" : "the browser does not let pages copy");
      });
      format.addEventListener("change", () => { copy.disabled = format.value === "parquet"; });
      byId("link").addEventListener("click", async () => {
        say((await downloads.copy(location.href)) ? "link copied" : "the link is this page's address");
      });
    }

    /* A table that fits need not scroll in its box, and then its head stays in sight. */
    fit() {
      this.box.classList.toggle("fits", this.table.table().node().offsetWidth <= byId("table").clientWidth);
    }
  }

  /* Menus that open close again by Escape, and when something else is used. */
  function menus() {
    const open = Array.from(document.querySelectorAll("details.menu"));
    document.addEventListener("click", (event) => {
      for (const menu of open) if (!menu.contains(event.target)) menu.open = false;
    });
    for (const menu of open) {
      menu.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        menu.open = false;
        menu.querySelector("summary").focus();
      });
    }
  }

  window.vidsuite.menus = menus;
  window.vidsuite.table = (data) => { window.vidsuite.board = new Board(data); };
})();
