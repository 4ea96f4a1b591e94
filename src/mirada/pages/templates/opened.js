"use strict";
const page = JSON.parse(document.getElementById("numbers").textContent);
const T = page.texts;
const stages = page.stages;
const consumers = stages.map(() => []);
stages.forEach((stage, n) => {
  stage.number = n;
  stage.place = new Map(stage.channels.map((channel, k) => [channel, k]));
  stage.inputs.forEach((from, i) => consumers[from].push({ stage, i }));
});
const last = stages.length - 1;
const SHOWN = 12; // terms of a sum that are written out
const WINDOWS = new Set(["convolution", "maximum", "average"]);
const ONE = [1, 1], NONE = [0, 0];

// Numbers ------------------------------------------------------------------------------------------------------------

/** The float32 numbers of an array of the page. */
function floats(array) {
  if (!array.data) array.data = new Float32Array(bytesOf(array.floats).buffer);
  return array.data;
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** A number of a stage, "values" or "gradients"; undefined for one that is not in this page. */
function at(stage, which, c, y, x) {
  return held(stage, stage[which], c, y, x);
}

/** A number of an array that has one for every channel and place shown. */
function held(stage, array, c, y, x) {
  const k = stage.place.get(c);
  const [, height, width] = stage.values.shape;
  const row = y - stage.corner[0], column = x - stage.corner[1];
  if (k === undefined || row < 0 || column < 0 || row >= height || column >= width) return undefined;
  return floats(array)[(k * height + row) * width + column];
}

function inside(stage, y, x) {
  return y >= 0 && x >= 0 && y < stage.shape[1] && x < stage.shape[2];
}

/** One number per channel shown, such as a bias. */
function own(stage, name, c) {
  return floats(stage.arrays[name])[stage.place.get(c)];
}

/** Seven significant digits, as the language writes them. */
function shown(value) {
  if (value === undefined) return "·";
  const text = Number.isFinite(value) ? String(Number(value.toPrecision(7))) : String(value);
  return (page.language === "es" ? text.replace(".", ",") : text).replaceAll("-", "−");
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
}

// What a neuron is made of -------------------------------------------------------------------------------------------

/** The first place and the one behind the last of a window that is one of a grid laid over the maps. */
function cellOf(stage, axis, place) {
  const length = stages[stage.inputs[0]].shape[axis + 1], count = stage.numbers.grid[axis];
  return [Math.floor((place * length) / count), Math.ceil(((place + 1) * length) / count)];
}

/** The window of a convolution or pooling: every place of it that lies on the maps. */
function windowOf(stage, y, x) {
  if (stage.numbers.grid) {
    const [top, bottom] = cellOf(stage, 0, y), [left, right] = cellOf(stage, 1, x), places = [];
    for (let row = top; row < bottom; row++) for (let column = left; column < right; column++) places.push({ ky: row - top, kx: column - left, y: row, x: column });
    return places;
  }
  const { kernel, stride, padding = NONE, dilation = ONE } = stage.numbers;
  const from = stages[stage.inputs[0]], places = [];
  for (let ky = 0; ky < kernel[0]; ky++) {
    for (let kx = 0; kx < kernel[1]; kx++) {
      const row = y * stride[0] - padding[0] + ky * dilation[0], column = x * stride[1] - padding[1] + kx * dilation[1];
      if (inside(from, row, column)) places.push({ ky, kx, y: row, x: column });
    }
  }
  return places;
}

/** By what an average is divided. */
function divisorOf(stage, y, x) {
  const { kernel, stride, padding, pads, divisor } = stage.numbers;
  if (divisor) return divisor;
  if (!kernel || !pads) return windowOf(stage, y, x).length;
  const from = stages[stage.inputs[0]];
  const side = (place, axis) => {
    const start = place * stride[axis] - padding[axis];
    return Math.min(start + kernel[axis], from.shape[axis + 1] + padding[axis]) - start;
  };
  return side(y, 0) * side(x, 1);
}

/** Whether a channel of the input is read by this channel, which differs in convolutions with groups. */
function reads(stage, c, from) {
  const { groups = 1, reads: each } = stage.numbers;
  return groups === 1 || Math.floor(from / each) === Math.floor(c / (stage.shape[0] / groups));
}

/** The channels whose energy divides this one; those that this one divides, where the window is turned round. */
function neighbours(stage, c, turned = false) {
  const { size } = stage.numbers, before = Math.floor((turned ? size - 1 : size) / 2);
  return [...Array(size).keys()].map((n) => c - before + n).filter((n) => n >= 0 && n < stage.shape[0]);
}

/** What local response normalization divides by, before its power. */
function responseOf(stage, c, y, x) {
  const { size, k, alpha } = stage.numbers;
  return k + (alpha / size) * held(stage, stage.arrays.energy, c, y, x);
}

/** Where a spatial transformer looks for a place: from −1 to 1, and in rows and columns; each step in float32. */
function lookedAt(stage, y, x) {
  const f = Math.fround, [, h, w] = stage.shape, motion = stages[stage.inputs[1]];
  const t = [0, 1, 2, 3, 4, 5].map((n) => at(motion, "values", n, 0, 0));
  const X = f(f((2 * x + 1) / w) - 1), Y = f(f((2 * y + 1) / h) - 1);
  const along = (first) => f(f(f(X * t[first]) + f(Y * t[first + 1])) + t[first + 2]);
  const pixel = (place, side) => f(f(f(place + 1) * f(side / 2)) - 0.5);
  const [toX, toY] = [along(0), along(3)];
  return { t, X, Y, toX, toY, row: pixel(toY, h), column: pixel(toX, w) };
}

/** The four pixels around the place that a spatial transformer looks at, and its slope by each of the six numbers. */
function movedEdges(stage, c, y, x) {
  const [maps] = stage.inputs.map((n) => stages[n]), [, h, w] = stage.shape;
  const { X, Y, row, column } = lookedAt(stage, y, x);
  const top = Math.floor(row), left = Math.floor(column), down = row - top, across = column - left;
  const value = (r, q) => (inside(maps, r, q) ? at(maps, "values", c, r, q) : 0);
  const [a, b, d, e] = [value(top, left), value(top, left + 1), value(top + 1, left), value(top + 1, left + 1)];
  const slopeX = (((b - a) * (1 - down) + (e - d) * down) * w) / 2, slopeY = (((d - a) * (1 - across) + (e - b) * across) * h) / 2;
  const pixels = [
    { i: 0, c, y: top, x: left, factor: (1 - down) * (1 - across) }, { i: 0, c, y: top, x: left + 1, factor: (1 - down) * across },
    { i: 0, c, y: top + 1, x: left, factor: down * (1 - across) }, { i: 0, c, y: top + 1, x: left + 1, factor: down * across },
  ].filter((edge) => inside(maps, edge.y, edge.x));
  const numbers = [slopeX * X, slopeX * Y, slopeX, slopeY * X, slopeY * Y, slopeY];
  return [...pixels, ...numbers.map((factor, n) => ({ i: 1, c: n, y: 0, x: 0, factor }))];
}

/** The numbers that a neuron reads, and by how much each counts; null where that is not written out. */
function edges(stage, c, y, x) {
  const sources = stage.inputs.map((n) => stages[n]);
  const same = (factor, i = 0) => [{ i, c, y, x, factor }];
  switch (stage.kind) {
    case "convolution": {
      const found = [], { kernel } = stage.numbers, size = kernel[0] * kernel[1];
      const weight = floats(stage.arrays.weight), k = stage.place.get(c), count = sources[0].channels.length;
      const places = windowOf(stage, y, x);
      sources[0].channels.forEach((from, j) => {
        if (!reads(stage, c, from)) return;
        for (const p of places) {
          const factor = weight[(k * count + j) * size + p.ky * kernel[1] + p.kx];
          found.push({ i: 0, c: from, y: p.y, x: p.x, ky: p.ky, kx: p.kx, factor });
        }
      });
      return found;
    }
    case "dense": {
      const weight = floats(stage.arrays.weight), k = stage.place.get(c), count = sources[0].channels.length;
      return sources[0].channels.map((from, j) => ({ i: 0, c: from, y: 0, x: 0, factor: weight[k * count + j] }));
    }
    case "distance": {
      const weight = floats(stage.arrays.weight), k = stage.place.get(c), count = sources[0].channels.length;
      return sources[0].channels.map((from, j) => {
        const code = weight[k * count + j];
        return { i: 0, c: from, y: 0, x: 0, code, factor: -2 * (at(sources[0], "values", from, 0, 0) - code) };
      });
    }
    case "response": {
      const { size, alpha, beta } = stage.numbers, entering = at(sources[0], "values", c, y, x);
      if (entering === undefined) return null;
      const scale = responseOf(stage, c, y, x), through = ((2 * alpha * beta) / size) * entering * scale ** (-beta - 1);
      return neighbours(stage, c).filter((from) => sources[0].place.has(from)).map((from) => {
        const other = at(sources[0], "values", from, y, x);
        return { i: 0, c: from, y, x, factor: (from === c ? scale ** -beta : 0) - through * other };
      });
    }
    case "moved":
      return movedEdges(stage, c, y, x);
    case "norm":
      return same(own(stage, "weight", c) / Math.sqrt(own(stage, "variance", c) + stage.numbers.eps));
    case "affine":
      return same(own(stage, "factor", c));
    case "rectifier": {
      const entering = at(sources[0], "values", c, y, x);
      return entering === undefined ? null : same(entering > 0 ? 1 : own(stage, "alpha", c));
    }
    case "squash": {
      const a = at(stage, "values", c, y, x);
      if (a === undefined) return null;
      if (stage.numbers.what === "sigmoid") return same(a * (1 - a));
      if (stage.numbers.what === "tanh") return same(1 - a * a);
      return same(1.7159 * (2 / 3) * (1 - (a / 1.7159) ** 2));
    }
    case "maximum": {
      let best = null;
      for (const p of windowOf(stage, y, x)) {
        const value = at(sources[0], "values", c, p.y, p.x);
        if (value === undefined) return null;
        if (!best || value > best.value) best = { value, p };
      }
      return [{ i: 0, c, y: best.p.y, x: best.p.x, factor: 1 }];
    }
    case "average": {
      const factor = 1 / divisorOf(stage, y, x);
      return windowOf(stage, y, x).map((p) => ({ i: 0, c, y: p.y, x: p.x, ky: p.ky, kx: p.kx, factor }));
    }
    case "sum":
      return stage.inputs.map((_, i) => ({ i, c, y, x, factor: 1 }));
    case "concatenation": {
      const offsets = stage.numbers.offsets;
      let i = offsets.length - 1;
      while (offsets[i] > c) i--;
      return [{ i, c: c - offsets[i], y, x, factor: 1 }];
    }
    case "flattening": {
      const [, height, width] = stage.numbers.from, rest = c % (height * width);
      return [{ i: 0, c: Math.floor(c / (height * width)), y: Math.floor(rest / width), x: rest % width, factor: 1 }];
    }
    case "taken": {
      const { offset, stride } = stage.numbers, from = c + offset;
      return from < 0 || from >= sources[0].shape[0] ? [] : [{ i: 0, c: from, y: y * stride, x: x * stride, factor: 1 }];
    }
  }
  return null;
}

/** The neurons of a later stage that may read one of its input's; those of channels that are not shown are left out. */
function readers(stage, i, c, y, x) {
  const found = [];
  if (stage.numbers.grid) {
    for (let row = 0; row < stage.shape[1]; row++) {
      for (let column = 0; column < stage.shape[2]; column++) {
        const [top, bottom] = cellOf(stage, 0, row), [left, right] = cellOf(stage, 1, column);
        if (top <= y && y < bottom && left <= x && x < right) found.push({ c, y: row, x: column });
      }
    }
    return found;
  }
  if (WINDOWS.has(stage.kind)) {
    const { kernel, stride, padding = NONE, dilation = ONE } = stage.numbers;
    const channels = stage.kind === "convolution" ? stage.channels.filter((k) => reads(stage, k, c)) : [c];
    for (let ky = 0; ky < kernel[0]; ky++) {
      for (let kx = 0; kx < kernel[1]; kx++) {
        const row = (y + padding[0] - ky * dilation[0]) / stride[0];
        const column = (x + padding[1] - kx * dilation[1]) / stride[1];
        if (Number.isInteger(row) && Number.isInteger(column) && inside(stage, row, column)) {
          for (const k of channels) found.push({ c: k, y: row, x: column, ky, kx });
        }
      }
    }
    return found;
  }
  switch (stage.kind) {
    case "dense":
    case "distance":
      return stage.channels.map((k) => ({ c: k, y: 0, x: 0 }));
    case "response":
      return neighbours(stage, c, true).map((k) => ({ c: k, y, x }));
    case "moved": {
      const [, h, w] = stage.shape;
      for (let row = 0; row < h; row++) {
        for (let column = 0; column < w; column++) {
          if (i === 1) for (const k of stage.channels) found.push({ c: k, y: row, x: column });
          else {
            const place = lookedAt(stage, row, column);
            if (Math.abs(place.row - y) < 1 && Math.abs(place.column - x) < 1) found.push({ c, y: row, x: column });
          }
        }
      }
      return found;
    }
    case "concatenation":
      return [{ c: c + stage.numbers.offsets[i], y, x }];
    case "flattening": {
      const [, height, width] = stage.numbers.from;
      return [{ c: (c * height + y) * width + x, y: 0, x: 0 }];
    }
    case "taken": {
      const { offset, stride } = stage.numbers;
      return y % stride || x % stride ? [] : [{ c: c - offset, y: y / stride, x: x / stride }];
    }
  }
  return [{ c, y, x }];
}

/** By how much a neuron of a later stage changes with one of its input's; undefined where that is not written out. */
function slope(stage, i, reader, c, y, x) {
  if (stage.kind === "convolution" || stage.kind === "dense") {
    const from = stages[stage.inputs[0]], [, count, height = 1, width = 1] = stage.arrays.weight.shape;
    const j = from.place.get(c), k = stage.place.get(reader.c);
    return floats(stage.arrays.weight)[((k * count + j) * height + (reader.ky || 0)) * width + (reader.kx || 0)];
  }
  if (!stage.place.has(reader.c)) return undefined;
  const found = edges(stage, reader.c, reader.y, reader.x);
  if (!found) return undefined;
  let sum = 0;
  for (const edge of found) if (edge.i === i && edge.c === c && edge.y === y && edge.x === x) sum += edge.factor;
  return Number.isNaN(sum) ? undefined : sum; // of places that are not in this page
}

// What a neuron sees and reaches: boxes [first row, last row, first column, last column] by stage ---------------------

function joined(boxes, n, box) {
  const old = boxes[n];
  boxes[n] = old
    ? [Math.min(old[0], box[0]), Math.max(old[1], box[1]), Math.min(old[2], box[2]), Math.max(old[3], box[3])]
    : box;
}

/** What a place depends on, padding included, through all branches. */
function seen(start, c, y, x) {
  const boxes = [];
  boxes[start.number] = [y, y, x, x];
  for (let n = start.number; n >= 0; n--) {
    const stage = stages[n], box = boxes[n];
    if (!box) continue;
    stage.inputs.forEach((from, i) => {
      const [, height, width] = stages[from].shape;
      const whole = [0, height - 1, 0, width - 1];
      if (stage.kind === "moved" && i === 0) {
        const places = [[0, 2], [0, 3], [1, 2], [1, 3]].map(([a, b]) => lookedAt(stage, box[a], box[b]));
        const ends = (name) => [Math.floor(Math.min(...places.map((p) => p[name]))), Math.ceil(Math.max(...places.map((p) => p[name])))];
        joined(boxes, from, [...ends("row"), ...ends("column")]);
      } else if (stage.numbers.grid) {
        const cell = (first, end, axis) => [cellOf(stage, axis, first)[0], cellOf(stage, axis, end)[1] - 1];
        joined(boxes, from, [...cell(box[0], box[1], 0), ...cell(box[2], box[3], 1)]);
      } else if (WINDOWS.has(stage.kind)) {
        const { kernel, stride, padding = NONE, dilation = ONE } = stage.numbers;
        const first = (place, axis) => place * stride[axis] - padding[axis];
        const end = (place, axis) => first(place, axis) + (kernel[axis] - 1) * dilation[axis];
        joined(boxes, from, [first(box[0], 0), end(box[1], 0), first(box[2], 1), end(box[3], 1)]);
      } else if (stage.kind === "taken") {
        const s = stage.numbers.stride;
        joined(boxes, from, box.map((place) => place * s));
      } else if (stage.kind === "flattening" && stage === start) {
        const [edge] = edges(stage, c, y, x);
        joined(boxes, from, [edge.y, edge.y, edge.x, edge.x]);
      } else if (stage.shape[1] === height && stage.shape[2] === width && stage.kind !== "dense") {
        joined(boxes, from, box);
      } else {
        joined(boxes, from, whole);
      }
    });
  }
  return boxes;
}

/** The places of later stages that depend on a place. */
function reached(start, y, x) {
  const boxes = [];
  boxes[start.number] = [y, y, x, x];
  for (let n = start.number + 1; n <= last; n++) {
    const stage = stages[n], [, height, width] = stage.shape;
    stage.inputs.forEach((from, i) => {
      const box = boxes[from];
      if (!box) return;
      if (stage.kind === "moved" && i === 0) {
        for (let row = 0; row < height; row++) {
          for (let column = 0; column < width; column++) {
            const place = lookedAt(stage, row, column);
            if (place.row > box[0] - 1 && place.row < box[1] + 1 && place.column > box[2] - 1 && place.column < box[3] + 1) joined(boxes, n, [row, row, column, column]);
          }
        }
      } else if (stage.numbers.grid) {
        const cells = (first, end, axis) => {
          const hit = [...Array(stage.shape[axis + 1]).keys()].filter((place) => {
            const [start, stop] = cellOf(stage, axis, place);
            return start <= end && first < stop;
          });
          return [hit[0], hit[hit.length - 1]];
        };
        joined(boxes, n, [...cells(box[0], box[1], 0), ...cells(box[2], box[3], 1)]);
      } else if (WINDOWS.has(stage.kind)) {
        const { kernel, stride, padding = NONE, dilation = ONE } = stage.numbers;
        const side = [height, width];
        const first = (place, axis) =>
          Math.max(0, Math.ceil((place + padding[axis] - (kernel[axis] - 1) * dilation[axis]) / stride[axis]));
        const end = (place, axis) => Math.min(side[axis] - 1, Math.floor((place + padding[axis]) / stride[axis]));
        const next = [first(box[0], 0), end(box[1], 0), first(box[2], 1), end(box[3], 1)];
        if (next[0] <= next[1] && next[2] <= next[3]) joined(boxes, n, next);
      } else if (stage.kind === "taken") {
        const s = stage.numbers.stride;
        const next = [Math.ceil(box[0] / s), Math.floor(box[1] / s), Math.ceil(box[2] / s), Math.floor(box[3] / s)];
        if (next[0] <= next[1] && next[2] <= next[3]) joined(boxes, n, next);
      } else if (stages[from].shape[1] === height && stages[from].shape[2] === width) {
        joined(boxes, n, box);
      } else {
        joined(boxes, n, [0, height - 1, 0, width - 1]);
      }
    });
  }
  return boxes;
}

// Elements -----------------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...inner) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...inner.filter((each) => each !== null && each !== undefined));
  return element;
}

/** A number, with all its digits in its attribute. */
function number(value, name) {
  const attributes = { class: "n", value: value === undefined ? "" : String(value) };
  if (name) attributes["data-name"] = name;
  return make("data", attributes, shown(value));
}

function link(stage, c, y, x) {
  const there = at(stage, "values", c, y, x) !== undefined;
  const text = stage.shape[1] * stage.shape[2] > 1 ? `${c} (${y}, ${x})` : String(c);
  if (!there) return make("span", {}, text);
  return make("button", { type: "button", class: "to", onclick: () => choose(stage, c, y, x, true) }, text);
}

function row(cells, attributes = {}) {
  return make("tr", attributes, ...cells.map((cell) => make("td", {}, cell ?? "")));
}

function table(head, rows) {
  const body = make("tbody", {}, ...rows);
  const inner = make("table", { class: "sum" }, make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))), body);
  return make("div", { class: "scroll", tabindex: "0" }, inner);
}

/** A window of numbers as it lies on the maps; the winner of a maximum stands out. */
function grid(size, cells, marked) {
  const rows = [];
  for (let ky = 0; ky < size[0]; ky++) {
    const line = [];
    for (let kx = 0; kx < size[1]; kx++) {
      const cell = cells.get(`${ky},${kx}`);
      const attributes = marked === `${ky},${kx}` ? { class: "winner" } : {};
      line.push(make("td", attributes, cell === undefined ? "" : cell === null ? "·" : number(cell)));
    }
    rows.push(make("tr", {}, ...line));
  }
  return make("table", { class: "grid" }, ...rows);
}

/** How many rows and columns a window has. */
function extentOf(cells) {
  const places = [...cells.keys()].map((key) => key.split(",").map(Number));
  return [0, 1].map((axis) => Math.max(...places.map((place) => place[axis])) + 1);
}

function sizeOf(stage) {
  const [c, h, w] = stage.shape;
  return h * w > 1 ? `${c} × ${h} × ${w}` : String(c);
}

function titleOf(stage) {
  const { kernel, grid: cells, stride, what } = stage.numbers;
  const values = { kernel: kernel ? kernel.join("×") : cells ? `→ ${cells.join("×")}` : "", channels: stage.shape[0], what };
  const step = stride && Array.isArray(stride) && Math.max(...stride) > 1 ? filled(T.stride, { stride: stride.join("×") }) : "";
  return filled(page.kinds[stage.kind] || page.kinds.other, values) + step;
}

// The formula of a neuron --------------------------------------------------------------------------------------------

/** The sum of a convolution, channel by channel: patch, kernel, what they make. */
function convolutionRows(stage, c, y, x) {
  const from = stages[stage.inputs[0]], byChannel = new Map();
  let missing = 0;
  for (const edge of edges(stage, c, y, x)) {
    if (!byChannel.has(edge.c)) byChannel.set(edge.c, { c: edge.c, sum: 0, patch: new Map(), kernel: new Map(), whole: true });
    const found = byChannel.get(edge.c), key = `${edge.ky},${edge.kx}`, value = at(from, "values", edge.c, edge.y, edge.x);
    found.patch.set(key, value === undefined ? null : value);
    found.kernel.set(key, edge.factor);
    found.y ??= edge.y; found.x ??= edge.x;
    if (value === undefined) { found.whole = false; missing++; } else found.sum += value * edge.factor;
  }
  const rows = [...byChannel.values()].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const absent = stage.numbers.reads - rows.length;
  return { rows, absent, missing };
}

function convolution(stage, c, y, x, value) {
  const from = stages[stage.inputs[0]], { kernel } = stage.numbers, bias = own(stage, "bias", c);
  const { rows, absent, missing } = convolutionRows(stage, c, y, x);
  const lines = rows.slice(0, SHOWN).map((each) =>
    row([link(from, each.c, each.y, each.x), number(each.sum, "term"), grid(kernel, each.patch), grid(kernel, each.kernel)]));
  const total = (text, sum) => [text, sum, "", ""];
  return summed(stage, [T.channel, T.product_sum, T.patch, T.kernel], lines, rows.map((each) => each.sum), { bias, value, absent, missing, total });
}

function dense(stage, c, y, x, value) {
  const from = stages[stage.inputs[0]], bias = own(stage, "bias", c);
  const terms = edges(stage, c, y, x).map((edge) => ({ ...edge, value: at(from, "values", edge.c, 0, 0) }));
  terms.forEach((term) => { term.product = term.value * term.factor; });
  terms.sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  const lines = terms.slice(0, SHOWN).map((term) =>
    row([link(from, term.c, 0, 0), number(term.value), number(term.factor), number(term.product, "term")]));
  const total = (text, sum) => [text, "", "", sum], absent = stage.numbers.reads - terms.length;
  return summed(stage, [T.input, "x", "w", "w · x"], lines, terms.map((term) => term.product), { bias, value, absent, missing: 0, total });
}

function distance(stage, c, y, x, value) {
  const from = stages[stage.inputs[0]];
  const terms = edges(stage, c, y, x).map((edge) => ({ ...edge, value: at(from, "values", edge.c, 0, 0) }));
  terms.forEach((term) => { term.part = -((term.value - term.code) ** 2); });
  terms.sort((a, b) => a.part - b.part);
  const lines = terms.slice(0, SHOWN).map((term) => row([link(from, term.c, 0, 0), number(term.value), number(term.code), number(term.part, "term")]));
  const total = (text, sum) => [text, "", "", sum], absent = stage.numbers.reads - terms.length;
  return summed(stage, [T.input, "x", T.code, "−(x − w)²"], lines, terms.map((term) => term.part), { bias: 0, value, absent, missing: 0, total });
}

function response(stage, c, y, x, value) {
  const from = stages[stage.inputs[0]], { size, k, alpha, beta } = stage.numbers, energy = held(stage, stage.arrays.energy, c, y, x);
  const all = neighbours(stage, c), there = all.filter((n) => from.place.has(n)).map((n) => ({ n, value: at(from, "values", n, y, x) }));
  const lines = there.map((each) => row([link(from, each.n, y, x), number(each.value), number(each.value ** 2, "square")]));
  const rest = energy - there.reduce((sum, each) => sum + each.value ** 2, 0);
  if (there.length < all.length) lines.push(row([filled(T.rest, { count: all.length - there.length }), "", number(rest, "rest_squares")], { class: "rest" }));
  lines.push(row([T.makes, "", number(energy, "energy")], { class: "result" }));
  return [
    line("x / (k + α/n · Σ x²)^β"),
    table([T.channel, "x", "x²"], lines),
    line("k + α/n · Σ x² = ", number(k), " + ", number(alpha / size), " · ", number(energy), " = ", number(responseOf(stage, c, y, x), "scale")),
    line(number(at(from, "values", c, y, x), "part"), " / ", number(responseOf(stage, c, y, x)), "^", number(beta, "beta"), " = ", number(value, "result")),
  ];
}

function moved(stage, c, y, x, value) {
  const from = stages[stage.inputs[0]], motion = stages[stage.inputs[1]], { t, X, Y, toX, toY, row: r, column } = lookedAt(stage, y, x);
  const six = (first) => [0, 1, 2].map((n) => make("span", {}, number(t[first + n]), " ", make("span", { class: "from" }, link(motion, first + n, 0, 0))));
  const terms = edges(stage, c, y, x).filter((edge) => edge.i === 0).map((edge) => ({ ...edge, value: at(from, "values", c, edge.y, edge.x) }));
  const there = terms.filter((term) => term.value !== undefined);
  const lines = there.map((term) => row([link(from, c, term.y, term.x), number(term.value), number(term.factor), number(term.value * term.factor, "term")]));
  const total = (text, sum) => [text, "", "", sum], sums = there.map((term) => term.value * term.factor);
  return [
    line(T.looks, " X = ", number(X), ", Y = ", number(Y)),
    table(["", "· X", "· Y", "· 1", T.makes], [row(["X′", ...six(0), number(toX)]), row(["Y′", ...six(3), number(toY)])]),
    line(filled(T.between, { row: shown(r), column: shown(column) })),
    ...summed(stage, [T.channel, "x", "w", "w · x"], lines, sums, { bias: 0, value, absent: 0, missing: terms.length - there.length, total }),
  ];
}

/** The end of a long sum: more terms, those that are not in the page, the bias, and what it all makes. */
function summed(stage, head, lines, sums, { bias, value, absent, missing, total }) {
  const more = sums.slice(SHOWN), sum = sums.reduce((all, each) => all + each, 0);
  if (more.length) lines.push(row(total(filled(T.more, { count: more.length }), number(more.reduce((a, b) => a + b, 0), "more"))));
  if (absent || missing) {
    const text = filled(missing ? T.rest_places : T.rest, { count: absent, missing });
    lines.push(row(total(text, number(value - bias - sum, "rest")), { class: "rest" }));
  }
  if (stage.numbers.has_bias) lines.push(row(total(T.bias, number(bias, "bias"))));
  lines.push(row(total(T.makes, number(value, "result")), { class: "result" }));
  return [table(head, lines)];
}

function line(...parts) {
  return make("p", { class: "line" }, ...parts);
}

const FORWARD = {
  convolution,
  dense,
  distance,
  response,
  moved,
  norm(stage, c, y, x, value) {
    const from = stages[stage.inputs[0]], entering = at(from, "values", c, y, x);
    const [mean, variance, weight, bias] = ["mean", "variance", "weight", "bias"].map((name) => own(stage, name, c));
    return [
      line("(x − μ) / √(σ² + ε) · γ + β"),
      table(["x", "μ", "σ²", "ε", "γ", "β"], [row([entering, mean, variance, stage.numbers.eps, weight, bias].map((each) => number(each, "part")))]),
      line("= ", number(value, "result")),
      line(make("span", { class: "from" }, T.x_is, " ", link(from, c, y, x))),
    ];
  },
  rectifier(stage, c, y, x, value) {
    const from = stages[stage.inputs[0]], alpha = own(stage, "alpha", c), entering = at(from, "values", c, y, x);
    const text = alpha ? ["max(0, x) + ", number(alpha), " · min(0, x)"] : ["max(0, x)"];
    return [line(...text, ", x = ", number(entering, "part")), line("= ", number(value, "result")), line(make("span", { class: "from" }, T.x_is, " ", link(from, c, y, x)))];
  },
  squash(stage, c, y, x, value) {
    const from = stages[stage.inputs[0]];
    const text = { sigmoid: "1 / (1 + e⁻ˣ)", tanh: "tanh(x)", scaled_tanh: "1.7159 · tanh(2x / 3)" }[stage.numbers.what];
    return [line(text, ", x = ", number(at(from, "values", c, y, x), "part")), line("= ", number(value, "result")), line(make("span", { class: "from" }, T.x_is, " ", link(from, c, y, x)))];
  },
  maximum(stage, c, y, x, value) {
    const from = stages[stage.inputs[0]], cells = new Map(), best = edges(stage, c, y, x);
    let marked = "";
    for (const p of windowOf(stage, y, x)) {
      const there = at(from, "values", c, p.y, p.x);
      cells.set(`${p.ky},${p.kx}`, there === undefined ? null : there);
      if (best && best[0].y === p.y && best[0].x === p.x) marked = `${p.ky},${p.kx}`;
    }
    return [line(T.largest_of), grid(stage.numbers.kernel, cells, marked), line("= ", number(value, "result")), best ? line(make("span", { class: "from" }, T.winner, " ", link(from, c, best[0].y, best[0].x))) : null];
  },
  average(stage, c, y, x, value) {
    const from = stages[stage.inputs[0]], cells = new Map();
    for (const p of windowOf(stage, y, x)) {
      const there = at(from, "values", c, p.y, p.x);
      cells.set(`${p.ky},${p.kx}`, there === undefined ? null : there);
    }
    const places = [...cells.values()], sum = places.includes(null) ? undefined : places.reduce((a, b) => a + b, 0);
    return [
      line(filled(T.mean_of, { count: places.length })),
      make("div", { class: "scroll", tabindex: "0" }, grid(stage.numbers.kernel || extentOf(cells), cells)),
      line(...(sum === undefined ? [T.not_all, " "] : [number(sum, "part"), " / "]), number(divisorOf(stage, y, x)), " = ", number(value, "result")),
    ];
  },
  sum(stage, c, y, x, value) {
    const rows = stage.inputs.map((n) => row([stages[n].name, link(stages[n], c, y, x), number(at(stages[n], "values", c, y, x), "term")]));
    rows.push(row([T.makes, "", number(value, "result")], { class: "result" }));
    return [table([T.from, T.channel, T.value], rows)];
  },
  affine(stage, c, y, x, value) {
    const from = stages[stage.inputs[0]];
    return [
      line(number(at(from, "values", c, y, x), "part"), " · ", number(own(stage, "factor", c)), " + ", number(own(stage, "shift", c))),
      line("= ", number(value, "result")),
      line(make("span", { class: "from" }, T.x_is, " ", link(from, c, y, x))),
    ];
  },
  handed(stage, c, y, x, value) {
    const [edge] = edges(stage, c, y, x);
    if (!edge) return [line(T.zeros, " ", number(value, "result"))];
    const from = stages[stage.inputs[edge.i]];
    return [line(T.handed, " ", from.name, ", ", T.channel, " ", link(from, edge.c, edge.y, edge.x)), line("= ", number(value, "result"))];
  },
  image(stage, c, y, x, value) {
    return [line(T.pixel, " = ", number(value, "result"))];
  },
  covariates(stage, c, y, x, value) {
    return [line(page.covariates[c], ": ", T.scaled, " = ", number(value, "result"))];
  },
  other(stage, c, y, x, value) {
    return [line(filled(T.not_written, { what: stage.numbers.what || stage.kind })), line("= ", number(value, "result"))];
  },
};
FORWARD.concatenation = FORWARD.flattening = FORWARD.taken = FORWARD.handed;

/** How the gradient of a neuron comes from those of what reads it. */
function backward(stage, c, y, x) {
  const gradient = at(stage, "gradients", c, y, x), rows = [];
  let total = 0, absent = false;
  for (const { stage: later, i } of consumers[stage.number]) {
    const byChannel = new Map();
    for (const reader of readers(later, i, c, y, x)) {
      const above = at(later, "gradients", reader.c, reader.y, reader.x);
      const factor = slope(later, i, reader, c, y, x);
      if (above === undefined || factor === undefined) { absent = true; continue; }
      if (!byChannel.has(reader.c)) byChannel.set(reader.c, { sum: 0, terms: [], reader });
      const found = byChannel.get(reader.c);
      found.sum += above * factor;
      found.terms.push([above, factor]);
      if (Math.abs(above) > Math.abs(at(later, "gradients", found.reader.c, found.reader.y, found.reader.x))) found.reader = reader;
    }
    if (later.kind === "other") absent = true;
    if (later.kind === "convolution" && later.shape[0] / (later.numbers.groups || 1) > byChannel.size) absent = true;
    const all = later.kind === "dense" || later.kind === "distance" || (later.kind === "moved" && i === 1); // channels read it
    if (all && later.shape[0] > byChannel.size) absent = true;
    for (const [channel, found] of byChannel) {
      total += found.sum;
      rows.push({ sum: found.sum, cells: [later.name, link(later, channel, found.reader.y, found.reader.x), products(found.terms), number(found.sum, "term")] });
    }
  }
  if (stage.number === last) return [line(T.of_output, " ", number(gradient, "result"))];
  rows.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const lines = rows.slice(0, SHOWN).map((each) => row(each.cells));
  const more = rows.slice(SHOWN);
  if (more.length) lines.push(row([filled(T.more, { count: more.length }), "", "", number(more.reduce((sum, each) => sum + each.sum, 0), "more")]));
  if (absent) lines.push(row([T.rest_readers, "", "", number(gradient - total, "rest")], { class: "rest" }));
  lines.push(row([T.makes, "", "", number(gradient, "result")], { class: "result" }));
  return [table([T.to, T.channel, T.gradient_times, T.sum], lines)];
}

/** Up to three products of a gradient from above and a weight. */
function products(terms) {
  const written = terms.slice(0, 3).flatMap(([above, factor], n) => [n ? " + " : "", number(above), " · ", number(factor)]);
  return make("span", {}, ...written, terms.length > 3 ? ` + … (${terms.length})` : "");
}

// The page -----------------------------------------------------------------------------------------------------------

const list = document.getElementById("stages");
const photo = document.getElementById("photo");
const told = document.getElementById("told");
const formula = make("div", { id: "formula", class: "formula", "aria-live": "polite" });
let which = "values";
let chosen = null;

function build() {
  let part = null, body = null;
  for (const stage of stages) {
    const name = stage.name.split(".")[0];
    if (name !== part) {
      part = name;
      body = make("div", { class: "part-body" });
      const details = make("details", { class: "part" }, make("summary", {}, T[name] || name), body);
      details.addEventListener("toggle", () => { if (details.open) paintAll(details); });
      list.append(details);
    }
    body.append(rowOf(stage));
  }
  for (const details of list.querySelectorAll("details.part")) {
    const count = details.querySelectorAll(".stage").length;
    details.querySelector("summary").append(make("small", {}, ` ${filled(count === 1 ? T.step : T.steps, { count })}`));
  }
}

function rowOf(stage) {
  const all = stage.channels.length === stage.shape[0] && !stage.shades;
  const said = [titleOf(stage), sizeOf(stage)];
  const noun = stage.shape[1] * stage.shape[2] > 1 ? T.channels : T.numbers;
  if (stage.channels.length < stage.shape[0]) said.push(filled(T.strongest, { shown: stage.channels.length, all: stage.shape[0], noun }));
  if (stage.shades) said.push(filled(T.exact_places, { h: stage.values.shape[1], w: stage.values.shape[2], y: stage.corner[0], x: stage.corner[1] }));
  const from = stage.inputs.map((n) => stages[n].name || T.image);
  const joint = from.length > 1 || stage.inputs.some((n) => n !== stage.number - 1);
  stage.element = make("div", { class: "stage", id: `stage-${stage.number}` },
    make("h4", {}, make("code", {}, stage.name), make("span", {}, said.join(" · "))),
    joint && from.length ? make("p", { class: "inputs" }, `${T.reads} ${[...new Set(from)].slice(0, 8).join(" + ")}${new Set(from).size > 8 ? " + …" : ""}`) : null,
    make("div", { class: stage.shape[1] * stage.shape[2] > 1 ? "tiles-of maps" : "tiles-of bars" }));
  stage.element.dataset.whole = all;
  return stage.element;
}

function paintAll(details) {
  for (const element of details.querySelectorAll(".stage")) paint(stages[Number(element.id.slice(6))]);
}

/** The maps of a stage as pictures; plain numbers as one bar of them. */
function paint(stage) {
  const holder = stage.element.lastElementChild;
  if (!holder.childElementCount) stage.shape[1] * stage.shape[2] > 1 ? tiles(stage, holder) : bars(stage, holder);
  for (const canvas of holder.querySelectorAll("canvas")) draw(stage, canvas);
}

function tiles(stage, holder) {
  for (const channel of stage.channels) {
    const [, h, w] = stage.shape;
    const canvas = make("canvas", {});
    canvas.dataset.channel = channel;
    const tile = make("button", { type: "button", class: "tile", title: `${T.channel} ${channel}`, style: `aspect-ratio: ${w} / ${h}` }, canvas);
    const place = (event) => {
      const box = tile.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top) / box.height) * h), column = Math.floor(((event.clientX - box.left) / box.width) * w);
      return [Math.min(h - 1, Math.max(0, row)), Math.min(w - 1, Math.max(0, column))];
    };
    tile.addEventListener("pointermove", (event) => soon(() => hover(stage, channel, ...place(event))));
    tile.addEventListener("pointerleave", () => chosen && hover(...chosen));
    tile.addEventListener("click", (event) => {
      const at = event.detail ? place(event) : strongest(stage, channel);
      choose(stage, channel, ...at, false);
    });
    holder.append(make("div", { class: "map-cell" }, tile, make("small", {}, channel)));
  }
}

function bars(stage, holder) {
  for (const channel of stage.channels) {
    const tile = make("button", { type: "button", class: "bar-tile", title: `${channel}`, onclick: () => choose(stage, channel, 0, 0, false) });
    tile.addEventListener("pointerenter", () => hover(stage, channel, 0, 0));
    tile.addEventListener("pointerleave", () => chosen && hover(...chosen));
    const canvas = make("canvas", {});
    canvas.dataset.channel = channel;
    tile.append(canvas);
    holder.append(tile);
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Blue below 0, red above; 0 is the ground of the page. */
function colour(share) {
  const ground = dark.matches ? [29, 33, 37] : [255, 255, 255];
  const end = share < 0 ? (dark.matches ? [92, 160, 255] : [27, 108, 233]) : dark.matches ? [255, 110, 96] : [227, 18, 26];
  const strength = Math.min(1, Math.abs(share)) ** 0.7;
  return ground.map((from, n) => Math.round(from + (end[n] - from) * strength));
}

function paintPixels(canvas, height, width, share) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let p = 0; p < height * width; p++) image.data.set([...colour(share(p)), 255], p * 4);
  context.putImageData(image, 0, 0);
}

function limitOf(stage) {
  const key = `${which}Limit`;
  if (stage[key] === undefined) stage[key] = floats(stage[which]).reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  return stage[key];
}

function draw(stage, canvas) {
  const k = stage.place.get(Number(canvas.dataset.channel));
  if (stage.shades) {
    const [, shownChannels, h, w] = stage.shades.shape;
    stage.shades.data ||= bytesOf(stage.shades.bytes);
    const start = ((which === "values" ? 0 : shownChannels) + k) * h * w;
    paintPixels(canvas, h, w, (p) => (stage.shades.data[start + p] - 128) / 127);
  } else {
    const [, h, w] = stage.values.shape, numbers = floats(stage[which]), limit = limitOf(stage);
    paintPixels(canvas, h, w, (p) => numbers[k * h * w + p] / limit);
  }
}

let waiting = null;

/** Does the last of many things that are asked for before the next picture. */
function soon(work) {
  if (!waiting) requestAnimationFrame(() => { const last = waiting; waiting = null; last(); });
  waiting = work;
}

/** The place of a channel where the value times its gradient is largest. */
function strongest(stage, c) {
  const [, h, w] = stage.values.shape, k = stage.place.get(c);
  let best = 0, most = -1;
  for (let p = 0; p < h * w; p++) {
    const matter = Math.abs(floats(stage.values)[k * h * w + p] * floats(stage.gradients)[k * h * w + p]);
    if (matter > most) [best, most] = [p, matter];
  }
  return [stage.corner[0] + Math.floor(best / w), stage.corner[1] + (best % w)];
}

function percent(element, box, h, w) {
  const [top, bottom, left, right] = [Math.max(0, box[0]), Math.min(h, box[1] + 1), Math.max(0, box[2]), Math.min(w, box[3] + 1)];
  element.style.setProperty("--top", `${(100 * top) / h}%`);
  element.style.setProperty("--left", `${(100 * left) / w}%`);
  element.style.setProperty("--height", `${(100 * Math.max(0, bottom - top)) / h}%`);
  element.style.setProperty("--width", `${(100 * Math.max(0, right - left)) / w}%`);
}

/** Shows what a place sees and reaches, on the photo and on the maps of every stage. */
function hover(stage, c, y, x) {
  const before = seen(stage, c, y, x), after = reached(stage, y, x);
  const [, H, W] = stages[0].shape;
  let final = null;
  for (const each of stages) {
    const box = each.number <= stage.number ? before[each.number] : after[each.number];
    const [, h, w] = each.shape;
    each.element.classList.toggle("seen", Boolean(box) && each.number < stage.number);
    each.element.classList.toggle("reached", Boolean(box) && each.number > stage.number);
    each.element.classList.toggle("here", each === stage);
    if (box && h * w > 1) percent(each.element, box, h, w);
    if (box && h * w > 1 && each.number >= stage.number) final = { each, box };
  }
  const field = document.getElementById("field"), projected = document.getElementById("projected");
  const box = before[0];
  field.hidden = !box;
  if (box) percent(field, box, H, W);
  field.dataset.box = box ? box.join(",") : "";
  projected.hidden = !final;
  if (final) {
    const [, h, w] = final.each.shape;
    percent(projected, [(final.box[0] * H) / h, ((final.box[1] + 1) * H) / h - 1, (final.box[2] * W) / w, ((final.box[3] + 1) * W) / w - 1], H, W);
    projected.dataset.box = `${final.each.number}:${final.box.join(",")}`;
  }
  tell(stage, c, y, x, box, final);
}

function tell(stage, c, y, x, box, final) {
  const value = at(stage, "values", c, y, x), gradient = at(stage, "gradients", c, y, x);
  const place = stage.shape[1] * stage.shape[2] > 1 ? filled(T.place, { y, x }) : "";
  const rows = [
    make("strong", {}, stage.name), make("span", {}, `${T.channel} ${c}${place}`),
    make("span", {}, `${T.value} `, value === undefined ? T.not_here : number(value, "value")),
    make("span", {}, `${T.gradient} `, value === undefined ? T.not_here : number(gradient, "gradient")),
  ];
  if (box && stage.number) rows.push(make("span", { class: "field-text" }, filled(T.sees, { h: box[1] - box[0] + 1, w: box[3] - box[2] + 1, y0: box[0], y1: box[1], x0: box[2], x1: box[3] }).replaceAll("-", "−")));
  if (final && final.each !== stage) rows.push(make("span", { class: "projected-text" }, filled(T.reaches, { count: (final.box[1] - final.box[0] + 1) * (final.box[3] - final.box[2] + 1), all: final.each.shape[1] * final.each.shape[2], name: final.each.name })));
  told.replaceChildren(...rows);
}

/** Opens a neuron: its formula forwards and backwards, below its stage. */
function choose(stage, c, y, x, scroll) {
  chosen = [stage, c, y, x];
  const value = at(stage, "values", c, y, x);
  stage.element.closest("details").open = true;
  paint(stage);
  hover(stage, c, y, x);
  const content = [header(stage, c, y, x)];
  if (value === undefined) content.push(line(T.outside));
  else {
    content.push(make("h5", {}, T.forward), ...FORWARD[stage.kind in FORWARD ? stage.kind : "other"](stage, c, y, x, value).filter(Boolean));
    content.push(make("h5", {}, T.backward), ...backward(stage, c, y, x));
  }
  formula.replaceChildren(...content);
  stage.element.after(formula);
  history.replaceState(null, "", `#n=${stage.number},${c},${y},${x}`);
  if (scroll) stage.element.scrollIntoView({ block: "nearest" });
}

function header(stage, c, y, x) {
  const select = make("select", { "aria-label": T.channel, onchange: () => choose(stage, Number(select.value), y, x, false) });
  for (const channel of stage.channels) select.append(make("option", channel === c ? { value: channel, selected: "" } : { value: channel }, channel));
  const side = (label, value, size, move) => {
    const input = make("input", { type: "number", min: 0, max: size - 1, value, "aria-label": label, onchange: () => move(Math.min(size - 1, Math.max(0, Number(input.value)))) });
    return make("label", {}, `${label} `, input);
  };
  const places = stage.shape[1] * stage.shape[2] > 1
    ? [side(T.row, y, stage.shape[1], (to) => choose(stage, c, to, x, false)), side(T.column, x, stage.shape[2], (to) => choose(stage, c, y, to, false))]
    : [];
  return make("div", { class: "which" }, make("strong", {}, stage.name), make("label", {}, `${T.channel} `, select), ...places);
}

// Fibres -------------------------------------------------------------------------------------------------------------

function fibres() {
  const found = page.fibres, host = document.getElementById("fibre-map");
  if (!found || !host) return;
  const [count, h, w] = found.values.shape, values = floats(found.values), weights = floats(found.weights), map = floats(found.map);
  const constant = found.weights.shape[1] === 1 && h * w > 1;
  const part = (k, p) => values[k * h * w + p] * (constant ? weights[k] : weights[k * h * w + p]);
  const limit = map.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const whole = document.getElementById("whole-map"), built = document.getElementById("built-map"), slider = document.getElementById("added");
  slider.max = count;
  const paintMaps = () => {
    paintPixels(whole, h, w, (p) => map[p] / limit);
    const added = Number(slider.value);
    paintPixels(built, h, w, (p) => { let sum = 0; for (let k = 0; k < added; k++) sum += part(k, p); return sum / limit; });
    document.getElementById("added-text").textContent = filled(T.added, { count: added, all: found.total });
  };
  const place = (p) => {
    const terms = [...Array(count).keys()].map((k) => ({ k, sum: part(k, p) })).sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
    const lines = terms.slice(0, SHOWN).map(({ k, sum }) => row([found.channels[k], number(values[k * h * w + p]), number(constant ? weights[k] : weights[k * h * w + p]), number(sum, "term")]));
    const others = map[p] - terms.slice(0, SHOWN).reduce((sum, term) => sum + term.sum, 0);
    if (found.total > Math.min(SHOWN, count)) lines.push(row([filled(T.others, { count: found.total - Math.min(SHOWN, count) }), "", "", number(others, "rest")], { class: "rest" }));
    lines.push(row([`M(${Math.floor(p / w)}, ${p % w})`, "", "", number(map[p], "result")], { class: "result" }));
    host.replaceChildren(table([T.channel, "A", found.exact ? "W" : "∂y/∂A", found.exact ? "A · W" : "A · ∂y/∂A"], lines));
    for (const frame of document.querySelectorAll(".fibre-frame")) percent(frame, [Math.floor(p / w), Math.floor(p / w), p % w, p % w], h, w);
  };
  for (const canvas of [whole, built]) {
    const pick = (event) => {
      const box = canvas.getBoundingClientRect();
      const y = Math.min(h - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * h)));
      const x = Math.min(w - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * w)));
      place(y * w + x);
    };
    canvas.addEventListener("pointermove", pick);
    canvas.addEventListener("click", pick);
  }
  slider.addEventListener("input", paintMaps);
  dark.addEventListener("change", paintMaps);
  paintMaps();
  place(map.reduce((best, value, p) => (Math.abs(value) > Math.abs(map[best]) ? p : best), 0));
  const mean = map.reduce((sum, value) => sum + value, 0) / (h * w);
  const end = document.getElementById("fibre-sum");
  if (found.exact) end.append(`${T.mean_m} `, number(mean, "mean"), " + ", T.bias, " ", number(found.bias, "bias"), " = ", number(found.output, "output"));
}

function fromHash() {
  const found = /^#n=(\d+),(\d+),(\d+),(\d+)$/.exec(location.hash);
  if (!found) return false;
  const [n, c, y, x] = found.slice(1).map(Number);
  if (!stages[n]) return false;
  const stage = stages[n], [, h, w] = stage.shape;
  choose(stage, stage.place.has(c) ? c : stage.channels[0], Math.min(y, h - 1), Math.min(x, w - 1), true);
  return true;
}

build();
for (const radio of document.querySelectorAll("input[name=which]")) {
  radio.addEventListener("change", () => {
    which = radio.value;
    for (const details of list.querySelectorAll("details[open]")) paintAll(details);
  });
}
dark.addEventListener("change", () => { for (const details of list.querySelectorAll("details[open]")) paintAll(details); });
photo.addEventListener("pointermove", (event) => {
  const box = photo.getBoundingClientRect(), [, H, W] = stages[0].shape;
  const y = Math.min(H - 1, Math.floor(((event.clientY - box.top) / box.height) * H)), x = Math.min(W - 1, Math.floor(((event.clientX - box.left) / box.width) * W));
  hover(stages[0], stages[0].channels[0], Math.max(0, y), Math.max(0, x));
});
photo.addEventListener("pointerleave", () => chosen && hover(...chosen));
list.firstElementChild.open = true;
paintAll(list.firstElementChild);
fibres();
if (!fromHash()) {
  const output = stages[last];
  const gradients = floats(output.gradients);
  const answer = output.channels[gradients.findIndex((value) => value !== 0)] ?? output.channels[0];
  choose(output, answer, 0, 0, false);
}
addEventListener("hashchange", fromHash);
