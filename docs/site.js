// On a phone, site.css shows each row of a wide table as a block: its cells need the names of their columns there.
for (const table of document.querySelectorAll("article table")) {
  const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, column) => names[column] && (cell.dataset.column = names[column]));
  }
}
