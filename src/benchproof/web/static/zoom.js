// Dragging over the chart of a trend asks for the page of the runs beneath it. Everything else works without this file.
"use strict";
for (const section of document.querySelectorAll("section.trend")) {
  const figure = section.querySelector("figure.zoom");
  const rows = [...section.querySelectorAll("table.points tbody tr")].reverse(); // as the chart has them
  if (!figure || rows.length < 2) continue;
  const shade = document.createElement("div");
  shade.className = "drag";
  let start = null;
  const ends = (event) => [start, event.clientX].sort((a, b) => a - b);
  figure.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch") start = event.clientX;
  });
  figure.addEventListener("dragstart", (event) => event.preventDefault()); // points are links
  addEventListener("pointermove", (event) => {
    if (start === null || Math.abs(event.clientX - start) < 5) return;
    const [left, right] = ends(event);
    shade.style.left = `${left - figure.getBoundingClientRect().left}px`;
    shade.style.width = `${right - left}px`;
    figure.append(shade);
  });
  addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [left, right] = ends(event);
    start = null;
    shade.remove();
    if (right - left < 5) return; // a click
    const inside = [...figure.querySelectorAll("svg a")].map((point) => {
      const box = point.getBoundingClientRect();
      const middle = (box.left + box.right) / 2;
      return left <= middle && middle <= right;
    });
    const first = inside.indexOf(true), last = inside.lastIndexOf(true);
    if (first < 0 || !rows[last]) return;
    const url = new URL(location.href);
    url.searchParams.set("from", rows[first].dataset.at);
    url.searchParams.set("to", rows[last].dataset.at);
    location.assign(url);
  });
}
