// A class map, added up from the maps of the last layer, over the image.
const height = lesson.maps[0].length, width = lesson.maps[0][0].length, count = lesson.maps.length;
const SHOWN_TERMS = 10;
let place = lesson.place;

const chosen = () => Number(one("#class").value);
const weightOf = (n) => lesson.weight[chosen()][n];
const zeros = () => lesson.maps[0].map((line) => line.map(() => 0));

// The channels, that first which adds or takes most in all.
const order = () => lesson.means.map((mean, n) => [Math.abs(mean * weightOf(n)), n]).sort((a, b) => b[0] - a[0]).map((pair) => pair[1]);

function added(channels) {
  const sum = zeros();
  for (const n of channels) sum.forEach((line, y) => line.forEach((_, x) => { line[x] += weightOf(n) * lesson.maps[n][y][x]; }));
  return sum;
}

const limitOf = (map) => Math.max(...map.flat().map(Math.abs)) || 1;

// Red for the class, blue against it.
function paint(canvas, map, limit) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  map.forEach((line, y) => line.forEach((value, x) => {
    context.fillStyle = value < 0 ? `rgba(27, 108, 233, ${-value / limit})` : `rgba(227, 18, 26, ${value / limit})`;
    context.fillRect(x, y, 1, 1);
  }));
}

function photo(canvas) {
  const context = canvas.getContext("2d"), size = canvas.width / lesson.image.length;
  lesson.image.forEach((line, y) => line.forEach((value, x) => {
    const grey = Math.round(40 + 200 * value);
    context.fillStyle = `rgb(${grey}, ${grey}, ${grey})`;
    context.fillRect(x * size, y * size, size + 0.5, size + 0.5);
  }));
}

function heat(map, limit) {
  const small = document.createElement("canvas");
  paint(small, map, limit);
  const context = one("#heat").getContext("2d");
  context.clearRect(0, 0, 320, 320);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, 320, 320);
}

function fibre(map) {
  const [y, x] = place;
  const terms = lesson.maps.map((each, n) => [n, each[y][x], weightOf(n), each[y][x] * weightOf(n)]).sort((a, b) => Math.abs(b[3]) - Math.abs(a[3]));
  const rows = terms.slice(0, SHOWN_TERMS).map((term) => [term[0] + 1, ...term.slice(1).map((value) => shown(value))]);
  const rest = terms.slice(SHOWN_TERMS).reduce((sum, term) => sum + term[3], 0);
  rows.push([lesson.others.replace("{count}", count - SHOWN_TERMS), "", "", shown(rest)], [`M[${y},${x}]`, "", "", shown(map[y][x])]);
  one("#fibre tbody").replaceChildren(...rows.map((cells) => {
    const line = document.createElement("tr");
    for (const cell of cells) line.insertCell().textContent = cell;
    return line;
  }));
  one("#fibre tbody tr:last-child td:last-child").id = "at-place";
  for (const frame of all(".place")) {
    frame.style.left = `${(100 * x) / width}%`;
    frame.style.top = `${(100 * y) / height}%`;
    frame.style.width = `${100 / width}%`;
    frame.style.height = `${100 / height}%`;
  }
}

function redraw() {
  const sorted = order(), upTo = Number(one("#count").value);
  const map = added(sorted), limit = limitOf(map), mean = map.flat().reduce((sum, value) => sum + value, 0) / (width * height);
  const weighted = lesson.means.reduce((sum, value, n) => sum + value * weightOf(n), 0), bias = lesson.bias[chosen()];
  one("#added").textContent = lesson.added.replace("{count}", upTo).replace("{all}", count);
  paint(one("#built"), added(sorted.slice(0, upTo)), limit);
  heat(map, limit);
  fibre(map);
  show({ weighted, bias, output: weighted + bias, mean, summed: mean + bias });
  one("#channels").replaceChildren(...sorted.map((n, rank) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
    const part = lesson.maps[n].map((line) => line.map((value) => value * weightOf(n)));
    paint(canvas, part, limit);
    caption.textContent = `A${n + 1} · ${shown(weightOf(n), 2)}`;
    figure.append(canvas, caption);
    figure.classList.toggle("out", rank >= upTo);
    return figure;
  }));
}

for (const canvas of [one("#photo"), one("#built")]) {
  const pick = (event) => {
    const box = canvas.getBoundingClientRect();
    const within = (share, size) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
    place = [within((event.clientY - box.top) / box.height, height), within((event.clientX - box.left) / box.width, width)];
    fibre(added(order()));
  };
  canvas.addEventListener("pointermove", pick);
  canvas.addEventListener("click", pick);
}
for (const field of [one("#class"), one("#count")]) field.addEventListener("input", redraw);
photo(one("#photo"));
photo(one("#under"));
redraw();
