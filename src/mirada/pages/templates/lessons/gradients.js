// Every number is a sum of products of two others; the page was written with which. One changes, all follow.
const begin = { ...lesson.cells };
const cells = { ...begin };
const free = Object.keys(cells).filter((name) => /^([XWT]\d|b$)/.test(name));
const value = (name, numbers) => (name === "1" ? 1 : numbers[name]);
const total = (entry, numbers) => entry.products.reduce((sum, { left, right }) => sum + value(left, numbers) * value(right, numbers), 0);
const forward = lesson.entries.filter((entry) => entry.name.startsWith("H"));
const gradients = lesson.entries.filter((entry) => entry.name.startsWith("d"));

function lossOf(numbers) {
  let loss = 0;
  for (const entry of forward) {
    numbers[entry.name] = total(entry, numbers) + numbers.b;
    const error = numbers[entry.name] - numbers[entry.name.replace("H", "T")];
    numbers[`d${entry.name}`] = error;
    loss += error * error / 2;
  }
  return loss;
}

function numeric(name) {
  const step = 1e-5;
  const sides = [step, -step].map((by) => lossOf({ ...cells, [name]: cells[name] + by }));
  return (sides[0] - sides[1]) / (2 * step);
}

function compute() {
  cells.L = lossOf(cells);
  for (const entry of gradients) cells[entry.name] = total(entry, cells);
  show(cells);
  for (const place of all("[data-numeric]")) {
    const name = place.dataset.numeric;
    const found = numeric(name.slice(1));
    place.textContent = shown(found, 6);
    const same = Math.abs(found - cells[name]) <= 1e-5 * Math.max(1, Math.abs(cells[name]));
    place.className = same ? "same" : "differs";
  }
}

// Under the pointer, or with the focus: what a number is made of.
function light(name) {
  const entry = lesson.entries.find((each) => each.name === name);
  const parts = new Set(entry ? [name, ...entry.products.flatMap(({ left, right }) => [left, right])] : []);
  if (entry && forward.includes(entry)) parts.add("b");
  for (const place of all("[data-cell]")) place.classList.toggle("lit", parts.has(place.dataset.cell));
  for (const place of all("[data-row]")) place.classList.toggle("lit", place.dataset.row === name);
}

for (const field of all("[data-edit]")) edited(field, (number) => { cells[field.dataset.edit] = number; compute(); });
for (const place of all("[data-row], td[data-cell]")) {
  const name = place.dataset.row ?? place.dataset.cell;
  for (const event of ["pointerenter", "focusin"]) place.addEventListener(event, () => light(name));
  for (const event of ["pointerleave", "focusout"]) place.addEventListener(event, () => light(""));
}
one("#step").addEventListener("click", () => {
  const rate = read(one("#rate").value);
  if (!Number.isFinite(rate)) return;
  for (const entry of gradients) {
    const name = entry.name.slice(1);
    if (/^(W|b)/.test(name)) cells[name] -= rate * cells[entry.name];
  }
  compute();
});
one("#again").addEventListener("click", () => { for (const name of free) cells[name] = begin[name]; compute(); });
compute();
