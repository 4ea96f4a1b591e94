// One kernel on the digit, as one large matrix, and on the photo; and the notes' example in one dimension.
const image = lesson.image, side = image.length;
const state = { kernel: lesson.kernel.map((row) => [...row]), stride: 1, padding: 0, place: [0, 0] };

const places = (size, k) => Math.floor((size - k + 2 * state.padding) / state.stride) + 1;

function convolved(pixels, height, width) {
  const k = state.kernel.length, rows = places(height, k), columns = places(width, k);
  const map = Array.from({ length: rows }, () => new Float64Array(columns));
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
    let sum = 0;
    for (let u = 0; u < k; u++) for (let v = 0; v < k; v++) {
      const y = state.stride * i + u - state.padding, x = state.stride * j + v - state.padding;
      if (y >= 0 && y < height && x >= 0 && x < width) sum += state.kernel[u][v] * pixels[y][x];
    }
    map[i][j] = sum;
  }
  return map;
}

const rows = (count, row) => Array.from({ length: count }, (_, i) => `<tr>${row(i)}</tr>`).join("");
const cells = (count, cell) => Array.from({ length: count }, (_, j) => cell(j)).join("");

function draw() {
  const map = convolved(image, side, side), c = state.padding, whole = side + 2 * c, most = Math.max(1e-9, ...map.flatMap((row) => [...row].map(Math.abs)));
  state.place = state.place.map((at) => Math.min(at, map.length - 1));
  one("#image").innerHTML = rows(whole, (i) => cells(whole, (j) => {
    const value = image[i - c]?.[j - c];
    return value === undefined ? `<td class="added" data-at="${i - c},${j - c}">0</td>` : `<td data-at="${i - c},${j - c}" style="--share:${value / 16}">${shown(value)}</td>`;
  }));
  one("#map").innerHTML = rows(map.length, (i) => cells(map.length, (j) =>
    `<td tabindex="0" class="${map[i][j] < 0 ? "below" : ""}" data-value="H${i + 1},${j + 1}" style="--share:${Math.abs(map[i][j]) / most}">${shown(map[i][j], 2)}</td>`));
  for (const cell of all("#map td")) for (const event of ["pointerenter", "focus", "click"]) cell.addEventListener(event, () => {
    state.place = cell.dataset.value.slice(1).split(",").map((each) => each - 1);
    look();
  });
  const k = state.kernel.length;
  one("#size").innerHTML = `⌊(<var>m</var> − <var>k</var> + 2<var>c</var>) / <var>p</var>⌋ + 1 = ⌊(${side} − ${k} + 2·${c}) / ${state.stride}⌋ + 1 = <b data-value="V">${map.length}</b>`;
  one("#stride-shown").textContent = state.stride;
  one("#padding-shown").textContent = c;
  toeplitz(map.length);
  photo();
  look();
}

// What lies under the kernel at the chosen place, written out; the same place as a row of the matrix.
function look() {
  const [i, j] = state.place, k = state.kernel.length, terms = [];
  let sum = 0;
  const under = new Set();
  for (let u = 0; u < k; u++) for (let v = 0; v < k; v++) {
    const y = state.stride * i + u - state.padding, x = state.stride * j + v - state.padding;
    under.add(`${y},${x}`);
    const pixel = image[y]?.[x] ?? 0, weight = state.kernel[u][v];
    sum += weight * pixel;
    terms.push(`<span class="w${weight < 0 ? " negative" : ""}" style="color:var(--w)">${shown(weight)}</span>·<span style="color:var(--x)">${shown(pixel)}</span>`);
  }
  for (const cell of all("#image td")) cell.classList.toggle("lit", under.has(cell.dataset.at));
  for (const cell of all("#map td")) cell.classList.toggle("lit", cell.dataset.value === `H${i + 1},${j + 1}`);
  one("#written").innerHTML = `<var class="h">H<sub>${i + 1},${j + 1}</sub></var> = ${terms.join(" + ")} = <b style="color:var(--h)">${shown(sum, 2)}</b>`;
  const size = Math.round(Math.sqrt(all("#map td").length));
  all("#toeplitz .row").forEach((row, number) => row.classList.toggle("chosen", number === i * size + j));
}

function toeplitz(count) {
  const k = state.kernel.length, most = Math.max(1e-9, ...state.kernel.flat().map(Math.abs)), parts = [];
  let held = 0;
  for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) {
    const row = i * count + j;
    parts.push(`<g class="row"><rect class="ground" x="0" y="${row}" width="${side * side}" height="1"/>`);
    for (let u = 0; u < k; u++) for (let v = 0; v < k; v++) {
      const y = state.stride * i + u - state.padding, x = state.stride * j + v - state.padding;
      if (y < 0 || y >= side || x < 0 || x >= side) continue;
      held += 1;
      const weight = state.kernel[u][v];
      parts.push(`<rect class="${weight < 0 ? "x" : "w"} weight" x="${y * side + x + 0.06}" y="${row + 0.06}" width=".88" height=".88" fill-opacity="${0.12 + 0.88 * Math.abs(weight) / most}"><title>${shown(weight)}</title></rect>`);
    }
    parts.push("</g>");
  }
  const figure = one("#toeplitz");
  figure.setAttribute("viewBox", `-0.5 -0.5 ${side * side + 1} ${count * count + 1}`);
  figure.innerHTML = parts.join("");
  one("#matrix-said").textContent = filled(lesson.matrix_said, {
    rows: count * count, columns: side * side, entries: counted(count * count * side * side), held: counted(held), weights: k * k,
  });
}

function photo() {
  if (!lesson.photo) return;
  const { width, height, grey } = lesson.photo;
  const bytes = Uint8Array.from(atob(grey), (letter) => letter.charCodeAt(0));
  const pixels = Array.from({ length: height }, (_, y) => bytes.subarray(y * width, (y + 1) * width));
  paint(one("#before"), pixels, (value) => value);
  const map = convolved(pixels, height, width);
  let low = 0, most = 1;
  for (const row of map) for (const value of row) { low = Math.min(low, value); most = Math.max(most, Math.abs(value)); }
  paint(one("#after"), map, low < 0 ? (value) => 128 + 127 * value / most : (value) => 255 * value / most);
}

function paint(canvas, values, level) {
  canvas.height = values.length;
  canvas.width = values[0].length;
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  values.forEach((row, y) => row.forEach((value, x) => picture.data.set([level(value), level(value), level(value), 255], 4 * (y * canvas.width + x))));
  context.putImageData(picture, 0, 0);
}

for (const field of all("[data-weight]")) edited(field, (value) => {
  const [u, v] = field.dataset.weight.split(",");
  state.kernel[u][v] = value;
  draw();
});
one("#kernels").addEventListener("change", (event) => {
  state.kernel = lesson.kernels[event.target.value].map((row) => [...row]);
  for (const field of all("[data-weight]")) {
    const [u, v] = field.dataset.weight.split(",");
    field.value = shown(state.kernel[u][v]);
    field.classList.remove("wrong");
  }
  draw();
});
for (const name of ["stride", "padding"]) one(`#${name}`).addEventListener("input", (event) => { state[name] = Number(event.target.value); draw(); });

let playing = 0;
one("#play").addEventListener("click", () => {
  clearInterval(playing);
  const count = Math.round(Math.sqrt(all("#map td").length));
  let number = 0;
  playing = setInterval(() => {
    if (number >= count * count) return clearInterval(playing);
    state.place = [Math.floor(number / count), number % count];
    number += 1;
    look();
  }, 180);
});

// One dimension -----------------------------------------------------------------------------------
const line = {};
lesson.x.forEach((value, at) => { line[`x${at + 1}`] = value; });
lesson.w.forEach((value, at) => { line[`w${at + 1}`] = value; });
function along() {
  const half = (lesson.w.length - 1) / 2;
  lesson.x.forEach((_, place) => {
    line[`s${place + 1}`] = lesson.w.reduce((sum, _, k) => sum + line[`w${k + 1}`] * (line[`x${place + k - half + 1}`] ?? 0), 0);
  });
  show(line);
}
for (const field of all("#line [data-edit]")) edited(field, (value) => { line[field.dataset.edit] = value; along(); });
draw();
along();
