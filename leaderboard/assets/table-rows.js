/* Which rows a table shows, in which order, and what they have in common. */
(function () {
  "use strict";
  const { known } = window.vidsuite.format;

  class Rows {
    constructor(all) {
      this.all = all;
      this.orders = new Map();
      this.choose(() => true);
    }

    /* Shows the rows for which `matches(row)` holds; `ranges` of scores are kept for those only. */
    choose(matches) {
      this.chosen = Uint8Array.from(this.all, matches);
      this.count = this.chosen.reduce((sum, one) => sum + one, 0);
      this.ranges = new Map();
      this.facts = this.common();
    }

    /* The chosen rows by `column`, or as they came for none; `way` is 1 or -1, `name` all that the order hangs on. */
    sorted(column, way, name) {
      const order = column ? this.order(column, way, name + way) : this.all.keys();
      const rows = [];
      for (const place of order) if (this.chosen[place]) rows.push(this.all[place]);
      return rows;
    }

    /* All places in order: what is not known is last whichever way, reported rows come after that. */
    order(column, way, name) {
      if (this.orders.has(name)) return this.orders.get(name);
      const keys = this.all.map((row) => column.sort(row));
      const bands = [[], [], [], []];
      this.all.forEach((row, place) => bands[(row.reported ? 2 : 0) + (known(keys[place]) ? 0 : 1)].push(place));
      const compare = (a, b) => (keys[a] === keys[b] ? a - b : keys[a] < keys[b] ? -way : way);
      bands[0].sort(compare);
      bands[2].sort(compare);
      const order = bands.flat();
      this.orders.set(name, order);
      return order;
    }

    /* Lowest and highest end of the intervals of score `place` among rows of `measure`; [Infinity, -Infinity] for none. */
    range(place, measure) {
      const name = place + measure;
      if (!this.ranges.has(name)) {
        let low = Infinity, high = -Infinity;
        this.all.forEach((row, at) => {
          const value = this.chosen[at] && row.measure === measure && row.scores[place];
          if (!Array.isArray(value)) return;
          low = Math.min(low, value[2] ?? value[0], value[0]);
          high = Math.max(high, value[3] ?? value[0], value[0]);
        });
        this.ranges.set(name, [low, high]);
      }
      return this.ranges.get(name);
    }

    /* The datasets and presets of the measured ones, and whether all of those are of synthetic data. */
    common() {
      const dataset = new Set(), preset = new Set();
      let synthetic = 0, measured = 0;
      this.all.forEach((row, place) => {
        if (!this.chosen[place] || row.reported) return;
        dataset.add(row.dataset);
        preset.add(row.preset);
        measured += 1;
        synthetic += row.synthetic;
      });
      return { dataset, preset, synthetic: measured > 0 && synthetic === measured };
    }
  }

  window.vidsuite.Rows = Rows;
})();
