/* The view of a table as a page's address tells it: `#dataset=…&sort=-score:miou&hide=flops`; only what is not as at first. */
(function () {
  "use strict";
  const SIZES = [25, 50, 100, 500];
  const MANY = 200; // rows, from which a page of them is short, so that sorting them is quick
  const ALL = "*";
  const PLAIN = { "%2F": "/", "%3A": ":", "%2C": ",", "%2A": "*", "%40": "@" };

  /* The view at first; `data` is what table_data.py wrote, `choices` name -> the values that a filter has. */
  function initial(data, choices) {
    const filters = {};
    for (const name of Object.keys(choices)) filters[name] = data.start[name] || "";
    return {
      query: "", filters, sort: data.sort, device: data.device, across: false, intervals: false, page: 0, size: data.rows.length > MANY ? 25 : 50,
      shown: new Set(data.columns.filter((column) => column.shown).map((column) => column.id)),
    };
  }

  function listed(found, name) {
    return (found.get(name) || "").split(",").filter(Boolean);
  }

  /* The view that `fragment` tells; what it names that there is not is passed over. */
  function read(fragment, data, choices) {
    const found = new URLSearchParams(fragment.replace(/^#/, ""));
    const state = initial(data, choices);
    const ids = new Set(data.columns.map((column) => column.id));
    state.query = found.get("q") || "";
    for (const [name, values] of Object.entries(choices)) {
      const value = found.get(name);
      if (value === ALL) state.filters[name] = "";
      else if (values.includes(value)) state.filters[name] = value;
    }
    const sort = found.get("sort") || "";
    if (ids.has(sort.replace(/^-/, ""))) state.sort = sort;
    for (const id of listed(found, "show")) if (ids.has(id)) state.shown.add(id);
    for (const id of listed(found, "hide")) state.shown.delete(id);
    const device = found.get("speed");
    if (device === "across" && data.devices.length > 1) state.across = true;
    else if (data.devices.includes(device)) state.device = device;
    state.intervals = found.get("intervals") === "1";
    const size = Number(found.get("rows"));
    if (SIZES.includes(size)) state.size = size;
    const page = Number(found.get("page"));
    if (Number.isSafeInteger(page) && page > 0) state.page = page - 1;
    return state;
  }

  /* The fragment of `state`, without "#"; empty for the view at first. */
  function write(state, data, choices) {
    const first = initial(data, choices);
    const told = new URLSearchParams();
    const tell = (name, value, before) => { if (value !== before) told.set(name, value); };
    tell("q", state.query, "");
    for (const name of Object.keys(choices)) tell(name, state.filters[name] || ALL, first.filters[name] || ALL);
    tell("sort", state.sort, first.sort);
    tell("speed", state.across ? "across" : state.device, first.device);
    tell("show", [...state.shown].filter((id) => !first.shown.has(id)).join(","), "");
    tell("hide", [...first.shown].filter((id) => !state.shown.has(id)).join(","), "");
    tell("intervals", state.intervals ? "1" : "", "");
    tell("rows", String(state.size), String(first.size));
    tell("page", String(state.page + 1), "1");
    return told.toString().replace(/%(2F|3A|2C|2A|40)/g, (code) => PLAIN[code]);
  }

  Object.assign(window.vidsuite, { state: { SIZES, initial, read, write } });
})();
