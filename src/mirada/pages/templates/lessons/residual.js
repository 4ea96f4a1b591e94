// The toy network without and with its skip, for the numbers in the fields; Wa and Wb times a factor.
const numbers = { X0: [...lesson.X0], T: [...lesson.T], W0: lesson.W0.map((row) => [...row]), Wa: lesson.Wa.map((row) => [...row]), Wb: lesson.Wb.map((row) => [...row]) };
let factor = 1;

const times = (row, matrix) => matrix[0].map((_, j) => row.reduce((sum, value, i) => sum + value * matrix[i][j], 0));
const turned = (matrix) => matrix[0].map((_, j) => matrix.map((row) => row[j]));
const scaled = (matrix, by) => matrix.map((row) => row.map((value) => value * by));
const relu = (row) => row.map((value) => Math.max(0, value));
const gated = (row, before) => row.map((value, at) => (before[at] > 0 ? value : 0));
const outer = (left, right) => left.map((a) => right.map((b) => a * b));
const length = (matrix) => Math.hypot(...matrix.flat());

function pass(skip, by, W0 = numbers.W0) {
  const Wa = scaled(numbers.Wa, by), Wb = scaled(numbers.Wb, by);
  const Y0 = times(numbers.X0, W0), X1 = relu(Y0), Y1 = times(X1, Wa), X2 = relu(Y1);
  const Y2 = times(X2, Wb).map((value, at) => value + (skip ? X1[at] : 0)), X3 = relu(Y2);
  const L = X3.reduce((sum, value, at) => sum + (value - numbers.T[at]) ** 2, 0);
  const delta = gated(X3.map((value, at) => 2 * (value - numbers.T[at])), Y2);
  const middle = gated(times(delta, turned(Wb)), Y1);
  const through = outer(numbers.X0, gated(times(middle, turned(Wa)), Y0));
  const around = outer(numbers.X0, gated(skip ? delta : delta.map(() => 0), Y0));
  return { X1, X2, X3, L, delta, through, around, gradient: through.map((row, i) => row.map((value, j) => value + around[i][j])) };
}

function numeric(skip) {
  const step = 1e-6;
  return numbers.W0.map((row, i) => row.map((_, j) => {
    const sides = [step, -step].map((by) => pass(skip, factor, numbers.W0.map((each, a) => each.map((value, b) => value + (a === i && b === j ? by : 0)))).L);
    return (sides[0] - sides[1]) / (2 * step);
  }));
}

function compute() {
  const cells = {};
  for (const [kind, skip] of [["plain", false], ["skip", true]]) {
    const found = { ...pass(skip, factor), numeric: numeric(skip) };
    for (const [name, value] of Object.entries(found)) {
      if (typeof value === "number") cells[`${kind}.${name}`] = value;
      else value.forEach((each, i) => (typeof each === "number" ? (cells[`${kind}.${name}.${i + 1}`] = each) : each.forEach((inner, j) => { cells[`${kind}.${name}.${i + 1}${j + 1}`] = inner; })));
    }
  }
  show(cells);
  one("#factor-shown").textContent = shown(factor, 2);
  lengths();
}

// The length of the gradient of W0 over the factor, on an axis of powers of ten.
function lengths() {
  const box = { left: 52, right: 428, top: 50, bottom: 250 }, low = -4, high = 4;
  const x = (by) => box.left + by / 3 * (box.right - box.left);
  const y = (value) => box.bottom - (Math.min(high, Math.max(low, Math.log10(Math.max(value, 1e-9)))) - low) / (high - low) * (box.bottom - box.top);
  const parts = [-4, -2, 0, 2, 4].map((power) => `<line class="rule" x1="${box.left}" y1="${y(10 ** power)}" x2="${box.right}" y2="${y(10 ** power)}"/><text class="tick end" x="${box.left - 7}" y="${y(10 ** power) + 4}">10${[..."" + power].map((letter) => (letter === "-" ? "⁻" : "⁰¹²³⁴"[letter])).join("")}</text>`);
  parts.push(...[0, 1, 2, 3].map((mark) => `<text class="tick middle" x="${x(mark)}" y="${box.bottom + 18}">${mark}</text>`), `<text class="axis end" x="${box.right}" y="284">× W<tspan dy="3" font-size="9">a</tspan><tspan dy="-3">, W</tspan><tspan dy="3" font-size="9">b</tspan></text>`);
  [["plain", false, "run2"], ["skip", true, "run1"]].forEach(([kind, skip, style], at) => {
    const places = Array.from({ length: 61 }, (_, step) => step / 20);
    parts.push(`<path class="line ${style}" d="M${places.map((by) => `${x(by).toFixed(1)},${y(length(pass(skip, by).gradient)).toFixed(1)}`).join("L")}"/>`);
    parts.push(`<line class="line ${style}" x1="${52 + 170 * at}" y1="20" x2="${76 + 170 * at}" y2="20"/><text class="name" x="${83 + 170 * at}" y="24">${lesson.names[kind]}</text>`);
    parts.push(`<circle class="dot ${style}" r="5" cx="${x(factor)}" cy="${y(length(pass(skip, factor).gradient))}"/>`);
  });
  one("#lengths").innerHTML = parts.join("");
}

for (const field of all("[data-edit]")) edited(field, (value) => {
  const [, name, row, column] = field.dataset.edit.match(/^(X0|W0|Wa|Wb|T)(\d)(\d)$/);
  if (name === "X0" || name === "T") numbers[name][column - 1] = value;
  else numbers[name][row - 1][column - 1] = value;
  compute();
});
one("#factor").addEventListener("input", (event) => { factor = Number(event.target.value); compute(); });
compute();
