"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);

  // What works by script only is hidden until there is one.
  for (const tool of all("[data-script]")) tool.hidden = false;

  // Theme: the system's, unless the reader chose one. A page from a file may have no storage.
  const theme = one("#theme");
  const kept = { get() { try { return localStorage.getItem("pgwatch-theme"); } catch { return null; } },
                 set(value) { try { localStorage.setItem("pgwatch-theme", value); } catch { /* not kept */ } } };
  const show = (value) => {
    if (value === "light" || value === "dark") root.dataset.theme = value; else delete root.dataset.theme;
  };
  theme.value = ["light", "dark"].includes(kept.get()) ? kept.get() : "system";
  show(theme.value);
  theme.addEventListener("change", () => { show(theme.value); kept.set(theme.value); });

  // Sorting: by a column's numbers where it has some, else by its text; rows that are equal keep their order.
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text.toLowerCase();
  };
  const compare = (a, b) => typeof a === typeof b
    ? (typeof a === "number" ? a - b : a.localeCompare(b))
    : (typeof a === "number" ? -1 : 1);
  const sort = (table, heading) => {
    const column = heading.cellIndex;
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
    rows.sort((a, b) => sign * compare(a[0], b[0]));
    for (const cell of heading.parentElement.cells) cell.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", order);
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  for (const table of all("table")) {
    for (const heading of all("thead th", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      if (!heading.hasAttribute("aria-sort")) heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(table, heading));
    }
  }

  // Filter: every word has to be in a row; the time line's waits follow their rows.
  const filter = one("#filter");
  const texts = new Map();
  const text = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (row) => words.every((word) => text(row).includes(word));
    for (const table of all("table")) {
      const rows = [...table.tBodies[0].rows];
      for (const row of rows) row.hidden = !fits(row);
      const shown = rows.filter((row) => !row.hidden).length;
      const count = one("[data-count]", table);
      if (count) count.textContent = words.length ? `${shown} of ${rows.length} rows fit` : "";
    }
    for (const card of all(".card")) card.hidden = !fits(card);
    for (const bar of all(".bars a")) {
      const row = document.getElementById(bar.getAttribute("href").slice(1));
      bar.classList.toggle("out", Boolean(row && row.hidden));
    }
    for (const lane of all(".lane")) lane.hidden = all(".bars a", lane).every((bar) => bar.classList.contains("out"));
  };
  filter.addEventListener("input", apply);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(input|select|textarea)$/i.test(event.target.tagName)) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape") {
      tell(null);
      if (event.target === filter) { filter.value = ""; apply(); }
    }
  });

  // Details of a wait in the time line: by pointer, by tap, and by the arrow keys.
  const told = one("#told");
  const tell = (bar) => {
    for (const chosen of all(".bars a.chosen")) chosen.classList.remove("chosen");
    told.hidden = bar === null;
    if (bar === null) return;
    bar.classList.add("chosen");
    one("p", told).textContent = one("title", bar).textContent;
    one("a", told).setAttribute("href", bar.getAttribute("href"));
  };
  for (const bar of all(".bars a")) {
    bar.addEventListener("mouseenter", () => tell(bar));
    bar.addEventListener("click", (event) => { event.preventDefault(); tell(bar); });
  }
  one("button", told).addEventListener("click", () => tell(null));
  for (const plot of all(".scroll")) {
    plot.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      const bars = all(".bars a:not(.out)", plot).sort(
        (a, b) => parseFloat(one("rect", a).getAttribute("x")) - parseFloat(one("rect", b).getAttribute("x")));
      if (!bars.length) return;
      event.preventDefault();
      const at = bars.findIndex((bar) => bar.classList.contains("chosen"));
      const step = event.key === "ArrowRight" ? 1 : -1;
      const next = at < 0 ? (step > 0 ? 0 : bars.length - 1) : Math.min(bars.length - 1, Math.max(0, at + step));
      tell(bars[next]);
      bars[next].scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }
  for (const zoom of all("[data-zoom]")) {
    zoom.addEventListener("click", () => {
      const figure = zoom.closest(".figure");
      figure.classList.remove("zoom-4", "zoom-16");
      if (zoom.dataset.zoom !== "1") figure.classList.add(`zoom-${zoom.dataset.zoom}`);
      for (const other of all("[data-zoom]", figure)) other.setAttribute("aria-pressed", String(other === zoom));
    });
  }
})();
