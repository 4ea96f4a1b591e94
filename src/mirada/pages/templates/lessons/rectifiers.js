// One activation and its derivative; the others stay faintly behind it.
const state = { name: "relu", alpha: 0, z: lesson.at };
const logistic = (z) => 1 / (1 + Math.exp(-z));
const SIGMOIDS = {
  sigmoid: [logistic, (z) => logistic(z) * (1 - logistic(z))],
  tanh: [Math.tanh, (z) => 1 - Math.tanh(z) ** 2],
  scaled_tanh: [(z) => 1.7159 * Math.tanh(2 * z / 3), (z) => 1.7159 * 2 / 3 * (1 - Math.tanh(2 * z / 3) ** 2)],
};
const rectifier = (alpha) => [(z) => Math.max(0, z) + alpha * Math.min(0, z), (z) => (z > 0 ? 1 : alpha)];
const curve = () => SIGMOIDS[state.name] ?? rectifier(state.alpha);

const box = { left: 44, right: 428, top: 14, bottom: 258 };
function scales(low, high) {
  return [
    (z) => box.left + (z + lesson.reach) / (2 * lesson.reach) * (box.right - box.left),
    (value) => box.bottom - (value - low) / (high - low) * (box.bottom - box.top),
  ];
}

// The commands of a path; where the derivative of a rectifier jumps, the line is lifted.
function path(use, [x, y], jumps) {
  let commands = "", pen = "M";
  for (let step = -160; step <= 160; step++) {
    const z = step / 160 * lesson.reach;
    if (jumps && step === 0) { commands += `L${x(0)},${y(use(-1e-9))}M${x(0)},${y(use(1e-9))}`; pen = "L"; continue; }
    commands += `${pen}${x(z).toFixed(1)},${y(use(z)).toFixed(1)}`;
    pen = "L";
  }
  return commands;
}

function plot(id, which, low, high, kind, marks) {
  const scale = scales(low, high), [x, y] = scale, use = curve()[which];
  const inside = `<clipPath id="${id.slice(1)}-clip"><rect x="${box.left}" y="${box.top - 8}" width="${box.right - box.left}" height="${box.bottom - box.top + 16}"/></clipPath>`;
  const rules = marks.map((mark) => `<line class="rule" x1="${box.left}" y1="${y(mark)}" x2="${box.right}" y2="${y(mark)}"/><text class="tick end" x="${box.left - 7}" y="${y(mark) + 4}">${shown(mark)}</text>`);
  const ticks = [-4, -2, 0, 2, 4].map((mark) => `<text class="tick middle" x="${x(mark)}" y="${box.bottom + 20}">${shown(mark)}</text>`);
  const others = [...Object.values(lesson.slopes).map((alpha) => [rectifier(alpha)[which], which]), ...Object.values(SIGMOIDS).map((pair) => [pair[which], 0])];
  const faint = others.map(([each, jumps]) => `<path class="faint t" d="${path(each, scale, jumps)}"/>`);
  const jumps = which === 1 && !(state.name in SIGMOIDS);
  one(id).innerHTML = `${inside}${rules.join("")}${ticks.join("")}<line class="zero" x1="${x(0)}" y1="${box.top}" x2="${x(0)}" y2="${box.bottom}"/><line class="zero" x1="${box.left}" y1="${y(0)}" x2="${box.right}" y2="${y(0)}"/>
    <g clip-path="url(#${id.slice(1)}-clip)">${faint.join("")}<path class="curve ${kind}" d="${path(use, scale, jumps)}"/></g>
    <line class="drop" x1="${x(state.z)}" y1="${y(0)}" x2="${x(state.z)}" y2="${y(use(state.z))}"/><circle class="here ${kind}" cx="${x(state.z)}" cy="${y(use(state.z))}" r="6"/>`;
}

function draw() {
  const [value, slope] = curve();
  plot("#value-plot", 0, -4, 4, "h", [-4, -2, 0, 2, 4]);
  plot("#slope-plot", 1, -1.25, 1.25, "d", [-1, -0.5, 0, 0.5, 1]);
  show({ alpha: state.alpha, z: state.z, g: value(state.z), slope: slope(state.z) });
  const named = Object.keys(lesson.slopes).find((name) => lesson.slopes[name] === state.alpha);
  const chosen = state.name in SIGMOIDS ? state.name : named;
  for (const button of all("[data-choose]")) button.setAttribute("aria-pressed", button.dataset.choose === chosen);
  one("#about").innerHTML = lesson.about[chosen] ?? lesson.about.other;
}

one("#alpha").addEventListener("input", (event) => { state.name = "relu"; state.alpha = Number(event.target.value); draw(); });
one("#z").addEventListener("input", (event) => { state.z = Number(event.target.value); draw(); });
for (const button of all("[data-choose]")) button.addEventListener("click", () => {
  state.name = button.dataset.choose;
  if (state.name in lesson.slopes) { state.alpha = lesson.slopes[state.name]; one("#alpha").value = state.alpha; }
  draw();
});
draw();
