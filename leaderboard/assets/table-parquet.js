/* Writes a parquet file: one row group of one page a column, PLAIN and uncompressed, columns optional DOUBLE or UTF8.
   The format: https://github.com/apache/parquet-format, its metadata in Thrift's compact protocol. */
(function () {
  "use strict";
  const MAGIC = [0x50, 0x41, 0x52, 0x31]; // "PAR1"
  const DOUBLE = 5, BYTE_ARRAY = 6; // physical types
  const OPTIONAL = 1, UTF8 = 0, PLAIN = 0, RLE = 3, UNCOMPRESSED = 0, DATA_PAGE = 0;
  const I32 = 5, I64 = 6, BINARY = 8, LIST = 9, STRUCT = 12; // Thrift's compact types
  const encoder = new TextEncoder();

  /* Bytes that grow as they are written. */
  class Bytes {
    constructor() {
      this.array = new Uint8Array(1024);
      this.length = 0;
    }

    room(count) {
      if (this.length + count > this.array.length) {
        const larger = new Uint8Array(Math.max(2 * this.array.length, this.length + count));
        larger.set(this.array.subarray(0, this.length));
        this.array = larger;
      }
      this.length += count;
      return this.length - count;
    }

    put(bytes) {
      const at = this.room(bytes.length);
      this.array.set(bytes, at);
    }

    fixed32(value) {
      const at = this.room(4);
      new DataView(this.array.buffer).setUint32(at, value, true);
    }

    double(value) {
      const at = this.room(8);
      new DataView(this.array.buffer).setFloat64(at, value, true);
    }

    /* Base-128, the least significant part first; whole numbers below 2 ** 53. */
    varint(value) {
      let rest = value;
      while (rest >= 128) {
        this.put([(rest % 128) + 128]);
        rest = Math.floor(rest / 128);
      }
      this.put([rest]);
    }

    whole() {
      return this.array.slice(0, this.length);
    }
  }

  /* A Thrift struct of fields [id, type, value]: ids ascending, numbers not negative. */
  function struct(out, fields) {
    let before = 0;
    for (const [id, type, value] of fields) {
      out.put([((id - before) << 4) | type]);
      before = id;
      item(out, type, value);
    }
    out.put([0]);
  }

  function item(out, type, value) {
    if (type === I32 || type === I64) {
      out.varint(2 * value); // zigzag of a number that is not negative
    } else if (type === BINARY) {
      const text = encoder.encode(value);
      out.varint(text.length);
      out.put(text);
    } else if (type === STRUCT) {
      struct(out, value);
    } else {
      const [of, items] = value;
      if (items.length < 15) out.put([(items.length << 4) | of]);
      else {
        out.put([0xf0 | of]);
        out.varint(items.length);
      }
      for (const one of items) item(out, of, one);
    }
  }

  /* A page's bytes: which values there are, a bit each, then these values. */
  function page(column) {
    const out = new Bytes();
    const count = column.values.length;
    const groups = Math.ceil(count / 8);
    const there = new Uint8Array(groups);
    column.values.forEach((value, place) => { if (value !== null) there[place >> 3] |= 1 << (place & 7); });
    const levels = new Bytes();
    levels.varint(2 * groups + 1); // a bit-packed run of so many groups of eight
    levels.put(there);
    out.fixed32(levels.length);
    out.put(levels.whole());
    for (const value of column.values) {
      if (value === null) continue;
      if (column.type === "number") out.double(value);
      else {
        const text = encoder.encode(value);
        out.fixed32(text.length);
        out.put(text);
      }
    }
    return out.whole();
  }

  function physical(column) {
    return column.type === "number" ? DOUBLE : BYTE_ARRAY;
  }

  function described(column) {
    const utf8 = column.type === "number" ? [] : [[6, I32, UTF8], [10, STRUCT, [[1, STRUCT, []]]]];
    return [[1, I32, physical(column)], [3, I32, OPTIONAL], [4, BINARY, column.name], ...utf8];
  }

  /* The file of `columns`: [{name, type: "number" or "text", values}], values null where there is none. */
  function parquet(columns) {
    const rows = columns.length ? columns[0].values.length : 0;
    const out = new Bytes();
    out.put(MAGIC);
    const chunks = [];
    for (const column of rows ? columns : []) {
      const start = out.length;
      const data = page(column);
      struct(out, [[1, I32, DATA_PAGE], [2, I32, data.length], [3, I32, data.length],
        [5, STRUCT, [[1, I32, rows], [2, I32, PLAIN], [3, I32, RLE], [4, I32, RLE]]]]);
      out.put(data);
      const size = out.length - start;
      chunks.push([[2, I64, start], [3, STRUCT, [
        [1, I32, physical(column)], [2, LIST, [I32, [PLAIN, RLE]]], [3, LIST, [BINARY, [column.name]]],
        [4, I32, UNCOMPRESSED], [5, I64, rows], [6, I64, size], [7, I64, size], [9, I64, start]]]]);
    }
    const groups = rows ? [[[1, LIST, [STRUCT, chunks]], [2, I64, out.length - 4], [3, I64, rows]]] : [];
    const start = out.length;
    struct(out, [
      [1, I32, 1],
      [2, LIST, [STRUCT, [[[4, BINARY, "schema"], [5, I32, columns.length]], ...columns.map(described)]]],
      [3, I64, rows],
      [4, LIST, [STRUCT, groups]],
      [6, BINARY, "vidsuite"],
    ]);
    out.fixed32(out.length - start);
    out.put(MAGIC);
    return out.whole();
  }

  Object.assign(window.vidsuite, { parquet });
})();
