// One digit that moves, the map that moves with it, and what pooling leaves of the move.
const side = lesson.image.length;

const moved = (map, by) => map.map((line) => line.map((_, x) => line[(x - by + line.length) % line.length]));

// The rectified map of the kernel, as large as the image.
function mapOf(image) {
  const size = lesson.kernel.length, half = (size - 1) / 2;
  return image.map((line, y) => line.map((_, x) => {
    let sum = 0;
    for (let u = 0; u < size; u++) {
      for (let v = 0; v < size; v++) sum += lesson.kernel[u][v] * (image[y + u - half]?.[x + v - half] ?? 0);
    }
    return Math.max(0, sum);
  }));
}

function pool(map, window, how) {
  const places = [...Array(Math.floor(side / window)).keys()];
  return places.map((y) => places.map((x) => {
    const values = [];
    for (let u = 0; u < window; u++) for (let v = 0; v < window; v++) values.push(map[y * window + u][x * window + v]);
    return how === "maximum" ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / values.length;
  }));
}

// How long the difference of two maps is, in hundredths of the second.
function change(after, before) {
  let difference = 0, length = 0;
  before.forEach((line, y) => line.forEach((value, x) => {
    difference += (after[y][x] - value) ** 2;
    length += value ** 2;
  }));
  return 100 * Math.sqrt(difference / length);
}

function paint(canvas, map) {
  canvas.width = map[0].length;
  canvas.height = map.length;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--x");
  const limit = Math.max(...map.flat()) || 1;
  map.forEach((line, y) => line.forEach((value, x) => {
    context.globalAlpha = value / limit;
    context.fillRect(x, y, 1, 1);
  }));
}

function redraw() {
  const shift = Number(one("#shift").value), window = Number(one("#window").value), how = one("#pooling").value;
  const image = moved(lesson.image, shift), before = mapOf(lesson.image), map = mapOf(image);
  const pooled = pool(map, window, how);
  one("#shift-shown").textContent = shift;
  paint(one("#image"), image);
  paint(one("#map"), map);
  paint(one("#pooled"), pooled);
  show({ followed: change(map, moved(before, shift)), in_place: change(map, before), pooled: change(pooled, pool(before, window, how)) }, 1);
}

for (const field of all(".controls input, .controls select")) field.addEventListener("input", redraw);
redraw();
