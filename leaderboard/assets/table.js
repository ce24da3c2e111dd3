/* The table of a page: its rows come by `vidsuite.table(data)`, table-rows.js chooses and sorts them, DataTables asks for
   a page of them at a time and shows it, the controls above it say which are shown, and the page's address tells the view,
   so that it can be linked and gone back to. */
(function () {
  "use strict";
  const { el } = window.vidsuite.format;
  const { downloads } = window.vidsuite;

  function byId(id) {
    return document.getElementById(id);
  }

  /* A column as DataTables has it. */
  function described(column) {
    return {
      data: null, name: column.id, type: "string",
      className: column.kind + (column.id === "model" ? "" : " cell"), cellType: column.id === "model" ? "th" : "td",
      orderSequence: column.kind === "score" && column.better !== "lower" ? ["desc", "asc"] : ["asc", "desc"],
      createdCell: (node) => { if (column.id === "model") node.setAttribute("scope", "row"); },
      render: (row, type) => (type === "display" ? column.node(row) : ""),
    };
  }

  class Board {
    constructor(data) {
      this.data = data;
      this.rows = new window.vidsuite.Rows(window.vidsuite.decode(data));
      this.selects = Array.from(document.querySelectorAll("#controls select[data-filter]"));
      this.choices = Object.fromEntries(this.selects.map((select) => [
        select.dataset.filter, Array.from(select.options, (option) => option.value).filter(Boolean)]));
      this.live = { device: data.device, range: (place, measure) => this.rows.range(place, measure) };
      this.columns = window.vidsuite.columns(data, this.live);
      this.state = window.vidsuite.state.read(location.hash, data, this.choices);
      this.told = location.hash.slice(1);
      this.applying = true;
      this.searching = false;
      this.choose();
      this.build();
      this.listen();
      this.show();
    }

    /* DataTables on a table of the columns that `state` shows, in the place of the one before or that the page came with. */
    build() {
      const before = byId("live") || byId("static");
      const stale = this.table;
      this.shown = this.columns.filter((column) => this.visible(column));
      const heads = this.shown.map((column) => el("th", { scope: "col", title: column.tip || null }, column.title));
      const table = el("table", { class: "results", id: "rows" },
        el("caption", null, el("span")), el("thead", null, el("tr", null, ...heads)));
      this.caption = table.caption.firstChild;
      const fresh = el("div", { id: "live" }, table);
      window.DataTable.ext.errMode = "throw";
      this.table = new window.DataTable(table, {
        serverSide: true, ajax: (asked, answer) => answer(this.page(asked)), columns: this.shown.map(described),
        autoWidth: false, searching: false, orderMulti: false, orderClasses: false, order: this.order(),
        pageLength: this.state.size, displayStart: this.state.page * this.state.size,
        layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: null },
        language: { zeroRecords: "No row is left by these filters.", emptyTable: "There are no rows yet.", info: "_START_ to _END_ of _TOTAL_ rows",
          infoEmpty: "no rows", infoFiltered: "(of _MAX_)", thousands: " " },
        createdRow: (tr, row) => {
          tr.classList.toggle("reported", row.reported);
          tr.classList.toggle("incomplete", !row.reported && row.done < row.expected);
        },
        drawCallback: () => { if (!this.applying) this.follow(); },
      });
      if (stale) stale.destroy();
      before.replaceWith(fresh);
      this.box = fresh.querySelector(".dt-layout-table");
      this.box.setAttribute("tabindex", "0");
      this.box.setAttribute("role", "region");
      this.box.setAttribute("aria-label", "Table of results");
      this.pager = this.pages(fresh.querySelector(".dt-layout-row:last-child"));
      this.fit();
    }

    /* What DataTables asks for: the rows of a page. A reader sorts by a column's head; a column sorted by may be hidden. */
    page({ draw, start, length, order: [asked] }) {
      if (!this.applying && asked) this.state.sort = (asked.dir === "desc" ? "-" : "") + this.shown[asked.column].id;
      const id = this.state.sort.replace(/^-/, "");
      const column = this.columns.find((one) => one.id === id);
      const name = column && column.kind === "speed" ? id + " on " + this.state.device : id;
      this.listed = this.rows.sorted(column, this.state.sort === id ? 1 : -1, name);
      const data = this.listed.slice(start, start + length);
      return { draw, recordsTotal: this.rows.all.length, recordsFiltered: this.listed.length, data };
    }

    /* The order that `state` has, as DataTables says it. */
    order() {
      const id = this.state.sort.replace(/^-/, "");
      const place = this.shown.findIndex((column) => column.id === id);
      return place < 0 ? [] : [[place, this.state.sort === id ? "asc" : "desc"]];
    }

    /* Chooses the rows that `state` tells, and a page that there is. */
    choose() {
      const { state } = this;
      const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
      const filters = Object.entries(state.filters).filter(([, value]) => value);
      this.live.device = state.device;
      this.rows.choose((row) => this.matches(row, filters, words));
      if (state.page * state.size >= this.rows.count) state.page = 0;
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

    matches(row, filters, words) {
      for (const [name, value] of filters) {
        if (name === "on") {
          if (!row.speeds.some((one) => this.data.devices[one[0]] === value)) return false;
        } else if (row[name] !== value && !(row.reported && row[name] === "")) return false; // reported rows have no dataset
      }
      return words.every((word) => row.text.includes(word));
    }

    /* Shows `state` where the table shows another. */
    apply() {
      const { state, table } = this;
      this.applying = true;
      this.choose();
      const shown = this.columns.filter((column) => this.visible(column));
      if (shown.length === this.shown.length && shown.every((column, place) => column === this.shown[place])) {
        table.order(this.order());
        table.page.len(state.size).draw();
        if (state.page > 0) table.page(state.page).draw("page");
      } else {
        this.build();
      }
      this.show();
    }

    /* What the page shows of `state` beside the table's rows. */
    show() {
      this.controls();
      this.caption.textContent = this.describe();
      this.pager();
      this.applying = false;
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

    /* After the reader sorted or turned the page: the address tells it. */
    follow() {
      this.pager();
      this.state.page = this.table.page();
      this.tell(false);
    }

    /* What the rows shown have in common, and which filters chose them. */
    describe() {
      const { count, facts } = this.rows;
      const parts = [count === 1 ? "1 row" : count + " rows"];
      for (const name of ["dataset", "preset"]) {
        if (facts[name].size === 1) parts.push(name + " " + [...facts[name]][0].split("/").pop());
      }
      if (facts.synthetic) parts.push("synthetic data");
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
      return {
        name: "vidsuite-" + this.data.name, caption: document.querySelector("h1").textContent.trim() + ": " + this.caption.textContent,
        intervals: this.state.intervals, rows: this.listed,
        columns: this.shown,
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
