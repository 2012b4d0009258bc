"use strict";
// The table without this script is whole: it only sorts, filters, and moves among figures by the arrow keys.
(() => {
  const table = document.getElementById("board");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const page = 200; // rows shown at once: a browser takes long to lay out a thousand
  const get = (id) => document.getElementById(id);
  const form = document.querySelector(".filters");
  const words = new Map(rows.map((row) => [row, row.cells[1].textContent.toLowerCase()]));
  let ordered = rows;
  let all = false;
  const filter = () => {
    const wanted = get("find").value.trim().toLowerCase();
    const level = Number(get("level").value);
    let found = 0;
    ordered.forEach((row) => {
      const trust = Number(row.cells[row.cells.length - 3].dataset.v);
      const keep = words.get(row).includes(wanted) && trust >= level
        && (!get("front").checked || row.classList.contains("p"))
        && (get("controls").checked || !row.classList.contains("c"));
      found += keep;
      row.hidden = !keep || (!all && found > page);
    });
    const shown = all ? found : Math.min(found, page);
    get("count").textContent = `${found} of ${rows.length} entries` + (shown < found ? `, ${shown} shown` : "");
    get("more").hidden = shown === found;
  };

  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent.trim().toLowerCase();
    return "v" in cell.dataset ? Number(cell.dataset.v) : null;
  };
  const sort = (column, numeric, descending) => {
    const keyed = rows.map((row, place) => ({ row, place, key: value(row, column, numeric) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      const order = numeric ? a.key - b.key : a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
      return (descending ? -order : order) || a.place - b.place;
    });
    ordered = keyed.map((one) => one.row);
    filter();
    body.replaceChildren(...ordered);
  };
  heads.forEach((head, column) => {
    if (!head.dataset.k) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(column, head.dataset.k === "n", descending);
    });
  });
  heads[0].setAttribute("aria-sort", "ascending");

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  get("more").addEventListener("click", () => {
    all = true;
    filter();
    get("find").focus(); // the button goes
  });
  filter();

  // Arrow keys move among the figures once the focus is in the table; Tab leaves it.
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, tbody th");
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!cell || !step) return;
    let row = cell.parentElement;
    let column = cell.cellIndex;
    for (;;) {
      column += step[1];
      if (step[0]) row = step[0] > 0 ? row.nextElementSibling : row.previousElementSibling;
      const next = row && row.cells[column];
      if (!next) return;
      const target = row.hidden ? null : next.querySelector(".f, a");
      if (target) {
        event.preventDefault();
        target.focus();
        return;
      }
    }
  });
})();
