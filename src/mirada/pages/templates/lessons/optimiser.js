// The three rules on a valley whose floor is at the middle; the start can be dragged.
const W = 640, H = 320, SCALE = 60;
const drawing = one("#paths");
const place = ([x, y]) => [W / 2 + x * SCALE, H / 2 + y * SCALE];
let start = lesson.start;

function descent(rule, rate, momentum, steps) {
  let w = [...start], memory = [0, 0];
  const path = [[...w]];
  for (let step = 0; step < steps; step++) {
    const g = w.map((value, n) => lesson.curvatures[n] * value);
    if (rule === "printed") {
      w = w.map((value, n) => value - rate * g[n] + momentum * memory[n]);
      memory = g;
    } else {
      const kept = rule === "corrected" ? momentum : 0;
      memory = memory.map((value, n) => kept * value - rate * g[n]);
      w = w.map((value, n) => value + memory[n]);
    }
    path.push([...w]);
  }
  return path;
}

// By how much the printed rule multiplies the weight across the valley at each step in the end.
function growth(rate, momentum) {
  const c = lesson.curvatures[1], b = rate * c - 1, under = b * b + 4 * momentum * c;
  return Math.max(Math.abs((-b + Math.sqrt(under)) / 2), Math.abs((-b - Math.sqrt(under)) / 2));
}

const lossOf = (w) => (lesson.curvatures[0] * w[0] ** 2 + lesson.curvatures[1] * w[1] ** 2) / 2;
const told = (loss) => (loss > lesson.far || !Number.isFinite(loss) ? lesson.runs_away : shown(loss));

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function redraw() {
  const rate = Number(one("#rate").value), momentum = Number(one("#momentum").value), steps = Number(one("#count").value);
  one("#rate-shown").textContent = shown(rate, 2);
  one("#momentum-shown").textContent = shown(momentum, 2);
  one("#count-shown").textContent = steps;
  const parts = [];
  for (const level of [0.2, 1, 3, 7, 14]) {
    const radius = lesson.curvatures.map((curvature) => Math.sqrt((2 * level) / curvature) * SCALE);
    parts.push(element("ellipse", { cx: W / 2, cy: H / 2, rx: radius[0], ry: radius[1] }));
  }
  for (const [rule, line] of Object.entries(lesson.lines)) {
    const path = descent(rule, rate, momentum, steps);
    const seen = [];
    for (const point of path.map(place)) {
      seen.push(point);
      if (Math.abs(point[0]) > 5000 || Math.abs(point[1]) > 5000) break;
    }
    parts.push(element("path", { class: `line ${line}`, d: `M${seen.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join("L")}` }));
    for (const [x, y] of seen) parts.push(element("circle", { class: `dot ${line}`, cx: x.toFixed(1), cy: y.toFixed(1), r: 2.4 }));
    one(`[data-value=loss_${rule}]`).textContent = told(lossOf(path[path.length - 1]));
  }
  one("[data-value=growth]").textContent = shown(growth(rate, momentum), 4);
  const [x, y] = place(start);
  parts.push(element("circle", { class: "here", cx: x, cy: y, r: 6 }));
  drawing.replaceChildren(...parts);
}

function drag(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = drawing.getBoundingClientRect();
  start = [((event.clientX - box.left) / box.width - 0.5) * (W / SCALE), ((event.clientY - box.top) / box.height - 0.5) * (H / SCALE)];
  redraw();
}

for (const field of all(".controls input")) field.addEventListener("input", redraw);
drawing.addEventListener("pointerdown", drag);
drawing.addEventListener("pointermove", drag);
redraw();
