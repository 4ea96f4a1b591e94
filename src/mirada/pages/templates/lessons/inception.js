// Counts of both modules from their widths, with biases; MACs at 28×28 places.
let widths = { ...Object.values(lesson.presets)[0] };

// A convolution k×k from some maps to others.
const conv = (k, from, to) => ({ parameters: k * k * from * to + to, macs: k * k * from * to * widths.side ** 2, to });

function modules() {
  const { channels, one, reduce3, three, reduce5, five, project } = widths;
  return {
    naive: { "1x1": [conv(1, channels, one)], "3x3": [conv(3, channels, three)], "5x5": [conv(5, channels, five)], pool: [{ parameters: 0, macs: 0, to: channels }] },
    bottleneck: {
      "1x1": [conv(1, channels, one)], "3x3": [conv(1, channels, reduce3), conv(3, reduce3, three)],
      "5x5": [conv(1, channels, reduce5), conv(5, reduce5, five)], pool: [conv(1, channels, project)],
    },
  };
}

function draw() {
  const counts = {};
  for (const [name, value] of Object.entries(widths)) counts[`width.${name}`] = value;
  for (const [kind, branches] of Object.entries(modules())) {
    for (const sum of ["parameters", "macs"]) {
      counts[`${kind}.${sum}`] = 0;
      for (const [name, layers] of Object.entries(branches)) {
        counts[`${kind}.${name}.${sum}`] = layers.reduce((total, layer) => total + layer[sum], 0);
        counts[`${kind}.${sum}`] += counts[`${kind}.${name}.${sum}`];
      }
    }
    counts[`${kind}.maps`] = Object.values(branches).reduce((total, layers) => total + layers.at(-1).to, 0);
  }
  const c = Number(one("#channels").value);
  Object.assign(counts, { channels: c, five: 25 * c * c, two: 18 * c * c });
  for (const place of all("[data-count]")) place.textContent = counted(counts[place.dataset.count]);
  for (const bar of all("[data-bar]")) bar.style.width = `${(100 * counts[bar.dataset.bar] / counts["naive.macs"]).toFixed(2)}%`;
  one("#ratio").textContent = shown(counts["naive.macs"] / counts["bottleneck.macs"], 2);
}

for (const field of all("[data-width]")) edited(field, (value) => {
  if (value < 1) return;
  widths[field.dataset.width] = Math.round(value);
  for (const button of all("[data-preset]")) button.setAttribute("aria-pressed", "false");
  draw();
});
for (const button of all("[data-preset]")) button.addEventListener("click", () => {
  widths = { ...lesson.presets[button.dataset.preset] };
  for (const field of all("[data-width]")) field.value = widths[field.dataset.width];
  for (const each of all("[data-preset]")) each.setAttribute("aria-pressed", each === button);
  draw();
});
one("#channels").addEventListener("input", draw);
draw();
