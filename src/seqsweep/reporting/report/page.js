"use strict";
// The figures lie in the page as data; nothing of them is ever read as code or as HTML of ours.
const { figures, trials } = JSON.parse(document.getElementById("data").textContent);
const plots = [...document.querySelectorAll(".plot")];
const config = { displaylogo: false, displayModeBar: false, responsive: true, doubleClick: "reset+autosize" };

function draw(element) {
  const { data, layout } = figures[element.dataset.figure];
  for (const trace of data) {
    if (trace.customdata) trace.text = trace.customdata.map((trial) => trials[trial]);
  }
  return Plotly.newPlot(element, data, layout, config);
}

// On paper a plot has the paper's width, whatever the window's was.
function fit(width) {
  for (const element of plots) {
    const half = element.closest(".small");
    const size = width ? { width: half ? (width - 24) / 2 : width, autosize: false } : { width: null, autosize: true };
    Plotly.relayout(element, size);
  }
}

// "4.2 s", "3:07" and "2:03:07" are durations; whatever else stays as it is.
function seconds(text) {
  if (/^[\d.]+ s$/.test(text)) return text.slice(0, -2);
  return /^\d+(:\d\d)+$/.test(text) ? String(text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0)) : text;
}

function sort(table, column, header) {
  const rows = [...table.tBodies[0].rows];
  const down = header.getAttribute("aria-sort") === "ascending";
  const key = (row) => seconds(row.cells[column].textContent);
  const empty = (text) => text === "" || text === "-";
  rows.sort((a, b) => {
    const [one, other] = [key(a), key(b)];
    if (empty(one) || empty(other)) return empty(one) - empty(other);
    const difference = Number(one) - Number(other);
    const order = Number.isNaN(difference) ? one.localeCompare(other) : difference;
    return down ? -order : order;
  });
  for (const each of table.querySelectorAll("th")) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th").forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => sort(table, column, header));
  });
}
for (const button of document.querySelectorAll("button.all")) {
  button.addEventListener("click", () => {
    button.parentElement.querySelector("table").classList.add("all");
    button.remove();
  });
}
Promise.all(plots.map(draw)).then(() => {
  addEventListener("beforeprint", () => fit(680));
  addEventListener("afterprint", () => fit(0));
  document.body.dataset.ready = "yes";
});
