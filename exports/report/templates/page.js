"use strict";
// Sorting: a button in every head cell of a table; numbers by data-value, text by itself, empty cells last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const key = (row) => row.cells[column].dataset.value || row.cells[column].textContent.trim();
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const [p, q] = [Number(x), Number(y)];
        const less = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
        return down ? -less : less;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
// Values under the pointer: of every line of a chart, at the epoch nearest to it.
for (const chart of document.querySelectorAll("svg.chart")) {
  const lines = [...chart.querySelectorAll("path[data-values]")].map((path) => {
    const places = path.getAttribute("d").slice(1).split("L").map((place) => place.split(" ").map(Number));
    const values = path.dataset.values.split(" ").map((value) => value.split(":"));
    return { name: path.dataset.name, places, values };
  });
  if (lines.length === 0) continue;
  const rule = document.createElementNS(chart.namespaceURI, "path");
  rule.setAttribute("class", "pointer");
  chart.append(rule);
  const note = document.createElement("p");
  note.className = "under-pointer";
  note.setAttribute("aria-hidden", "true");
  note.hidden = true;
  chart.parentElement.append(note);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const near = (places) => places.reduce((best, place, index) => (Math.abs(place[0] - x) < Math.abs(places[best][0] - x) ? index : best), 0);
    const found = lines.map((line) => ({ ...line, index: near(line.places) }));
    const nearest = found.reduce((best, line) => (Math.abs(line.places[line.index][0] - x) < Math.abs(best.places[best.index][0] - x) ? line : best));
    const epoch = nearest.values[nearest.index][0];
    rule.setAttribute("d", `M${nearest.places[nearest.index][0]} 10V165`);
    note.textContent = `epoch ${epoch}: ` + found.map((line) => [line, line.values.find((value) => value[0] === epoch)]).filter((pair) => pair[1]).map(([line, value]) => `${line.name} ${value[1].replaceAll("_", " ")}`).join(", ");
    note.hidden = false;
  });
  chart.addEventListener("pointerleave", () => { rule.removeAttribute("d"); note.hidden = true; });
}
// A link to a closed section opens it.
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", openTarget);
openTarget();
