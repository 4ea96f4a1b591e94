// Equal layers over a row of pixels: what a place sees below it, and which places see it above.
const state = { layers: lesson.layers, kernel: lesson.kernel, stride: lesson.stride, chosen: null };

function grown() {
  const places = [lesson.pixels], fields = [1], jumps = [1];
  for (let layer = 1; layer <= state.layers; layer++) {
    places.push(Math.floor((places[layer - 1] - 1) / state.stride) + 1);
    fields.push(fields[layer - 1] + (state.kernel - 1) * jumps[layer - 1]);
    jumps.push(jumps[layer - 1] * state.stride);
  }
  return { places, fields, jumps };
}

// Walks the edges, down to what is seen or up to where it is seen; the places met, layer by layer.
function walk(places, layer, place, up) {
  const met = [new Set([place])], half = (state.kernel - 1) / 2;
  for (let at = layer; up ? at < state.layers : at > 0; at += up ? 1 : -1) {
    const next = new Set();
    for (let upper = 0; upper < places[up ? at + 1 : at]; upper++) for (let k = -half; k <= half; k++) {
      const lower = upper * state.stride + k;
      if (lower < 0 || lower >= places[up ? at : at - 1]) continue;
      if (up ? met.at(-1).has(lower) : met.at(-1).has(upper)) next.add(up ? upper : lower);
    }
    met.push(next);
  }
  return met;
}

function draw() {
  const { places, fields, jumps } = grown(), half = (state.kernel - 1) / 2;
  const [layer, place] = state.chosen ?? [state.layers, Math.floor(places.at(-1) / 2)];
  const down = walk(places, layer, place, false), up = walk(places, layer, place, true);
  const sees = (l, i) => l <= layer && down[layer - l].has(i), reaches = (l, i) => l >= layer && up[l - layer].has(i);
  const width = 760, gap = width / (lesson.pixels + 1), rise = 74, height = rise * state.layers + 60;
  const x = (l, i) => gap * (1 + i * jumps[l]), y = (l) => height - 24 - rise * l;
  const rays = [], marks = [];
  for (let l = 1; l <= state.layers; l++) for (let i = 0; i < places[l]; i++) for (let k = -half; k <= half; k++) {
    const lower = i * state.stride + k;
    if (lower < 0 || lower >= places[l - 1]) continue;
    const kind = sees(l, i) && sees(l - 1, lower) ? "sees" : reaches(l, i) && reaches(l - 1, lower) ? "reaches" : "";
    rays.push([kind, `<line class="ray ${kind}" x1="${x(l, i)}" y1="${y(l)}" x2="${x(l - 1, lower)}" y2="${y(l - 1)}"/>`]);
  }
  for (let l = 0; l <= state.layers; l++) for (let i = 0; i < places[l]; i++) {
    const kind = l === layer && i === place ? "chosen" : sees(l, i) ? "sees" : reaches(l, i) ? "reaches" : "";
    marks.push(l === 0 ? `<rect class="place ${kind}" data-place="${l},${i}" x="${x(l, i) - 9}" y="${y(l) - 9}" width="18" height="18" rx="2"/>` : `<circle class="place ${kind}" data-place="${l},${i}" cx="${x(l, i)}" cy="${y(l)}" r="9"/>`);
  }
  const figure = one("#cone");
  figure.setAttribute("viewBox", `0 0 ${width} ${height}`);
  figure.innerHTML = rays.sort(([a], [b]) => (a !== "") - (b !== "")).map(([, line]) => line).join("") + marks.join("");
  const middle = Math.floor(lesson.pixels / 2);
  const pixel = layer === 0 ? place : middle;
  const table = { sees: down.at(-1).size, reaches: walk(places, 0, pixel, true).at(-1).size };
  one("#grown").innerHTML = places.map((_, l) => `<tr><th scope="row">${l}</th><td data-value="r${l}"></td><td data-value="j${l}"></td><td data-value="v${l}"></td></tr>`).join("");
  places.forEach((count, l) => Object.assign(table, { [`r${l}`]: fields[l], [`j${l}`]: jumps[l], [`v${l}`]: count }));
  show(table);
  one("#layers-shown").textContent = state.layers;
}

for (const name of ["layers", "kernel", "stride"]) one(`#${name}`).addEventListener("input", (event) => {
  state[name] = Number(event.target.value);
  state.chosen = null;
  draw();
});
one("#cone").addEventListener("pointerover", (event) => {
  const name = event.target.dataset?.place;
  if (name && name !== `${state.chosen}`) { state.chosen = name.split(",").map(Number); draw(); }
});
one("#channels").addEventListener("input", (event) => {
  const c = Number(event.target.value), counts = { channels: c, three: 27 * c * c, seven: 49 * c * c };
  for (const place of all("[data-count]")) place.textContent = counted(counts[place.dataset.count]);
});
draw();

for (const canvas of all("[data-level]")) {
  const level = lesson.levels[canvas.dataset.level].flat(), context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  level.forEach((grey, p) => picture.data.set([grey, grey, grey, 255], 4 * p));
  context.putImageData(picture, 0, 0);
}
