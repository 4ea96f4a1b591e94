"use strict";
// What the pages of all lessons share: their numbers, how one is written and read, and where it is shown.
const lesson = JSON.parse(document.getElementById("lesson").textContent);
const spanish = document.documentElement.lang === "es";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);

// A number with at most so many decimals, as the page was written with.
function shown(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  let text = value.toFixed(digits);
  if (text.includes(".")) text = text.replace(/0+$/, "").replace(/\.$/, "");
  if (text === "-0") text = "0";
  return text.replace("-", "−").replace(".", spanish ? "," : ".");
}

// A count with its thousands apart.
const counted = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, spanish ? "\u202f" : ",");

// A number as a person writes it, with a point or a comma; NaN if it is none.
const read = (text) => (text.trim() === "" ? NaN : Number(text.trim().replace(",", ".").replace("−", "-")));

// Calls `use` with the number in a field whenever it changes; a text that is no number is marked and not used.
function edited(field, use) {
  field.addEventListener("input", () => {
    const value = read(field.value);
    field.classList.toggle("wrong", !Number.isFinite(value));
    if (Number.isFinite(value)) use(value);
  });
}

// Writes every number of a table of names wherever the page shows it, the field that is being edited left alone.
function show(values, digits = 4) {
  for (const place of all("[data-value]")) {
    const value = values[place.dataset.value];
    if (value === undefined) continue;
    place.textContent = shown(value, digits);
    place.classList.toggle("negative", value < 0);
  }
  for (const field of all("[data-edit]")) {
    if (field !== document.activeElement && field.dataset.edit in values) field.value = shown(values[field.dataset.edit], digits);
  }
}

// A sentence with what it names put in: "{count} weights".
const filled = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
