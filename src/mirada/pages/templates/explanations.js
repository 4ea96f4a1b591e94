"use strict";
const opacity = document.getElementById("opacity");
const show = () => document.documentElement.style.setProperty("--opacity", opacity.value / 100);
opacity.addEventListener("input", show);
for (const select of document.querySelectorAll(".image select")) {
  const image = select.closest(".image");
  const choose = () => {
    for (const part of image.querySelectorAll("[data-choice]")) part.hidden = part.dataset.choice !== select.value;
  };
  select.addEventListener("change", choose);
  choose();
}
show();
