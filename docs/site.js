// On a phone, site.css shows each row of a wide table as a block: its cells need the names of their columns there.
for (const table of document.querySelectorAll("article table")) {
  const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, column) => names[column] && (cell.dataset.column = names[column]));
  }
}

// A line may break after each hyphen, also after those that an option begins with.
for (const code of document.querySelectorAll("article :is(p, li, td) code")) {
  if (code.childElementCount || !/(^|\s)-/.test(code.textContent)) continue;
  code.replaceChildren(
    ...code.textContent.split(/(\s+)/).map((word) => {
      if (!/^--?[\w-]{1,20}$/.test(word)) return word;
      const option = document.createElement("span");
      option.className = "option";
      option.textContent = word;
      return option;
    }),
  );
}
