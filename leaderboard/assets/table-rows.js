/* Which rows a table shows, in which order, and what they have in common. */
(function () {
  "use strict";
  const { known } = window.vidsuite.format;

  /* Sorted places from the last to the first, but equals in the order that they have. */
  function backwards(places, keys) {
    const turned = [];
    for (let end = places.length; end > 0;) {
      let start = end - 1;
      while (start > 0 && keys[places[start - 1]] === keys[places[start]]) start -= 1;
      for (let at = start; at < end; at += 1) turned.push(places[at]);
      end = start;
    }
    return turned;
  }

  class Rows {
    constructor(all) {
      this.all = all;
      this.bands = new Map();
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
      const order = column ? this.order(column, way, name) : this.all.keys();
      const rows = [];
      for (const place of order) if (this.chosen[place]) rows.push(this.all[place]);
      return rows;
    }

    /* All places in order: what is not known is last whichever way, reported rows come after that; equals as they came. */
    order(column, way, name) {
      if (!this.bands.has(name)) this.bands.set(name, this.sort(column));
      const { bands, keys } = this.bands.get(name);
      return (way > 0 ? bands : bands.map((band) => backwards(band, keys))).flat();
    }

    /* Places of known and unknown values, measured and reported, each upwards, and the values. */
    sort(column) {
      const keys = this.all.map((row) => column.sort(row));
      const bands = [[], [], [], []];
      this.all.forEach((row, place) => bands[(row.reported ? 2 : 0) + (known(keys[place]) ? 0 : 1)].push(place));
      const compare = (a, b) => (keys[a] === keys[b] ? a - b : keys[a] < keys[b] ? -1 : 1);
      bands[0].sort(compare);
      bands[2].sort(compare);
      return { bands, keys };
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
