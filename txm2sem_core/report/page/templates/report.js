/* Tables: a click on a heading sorts by it; a second click turns the order round. */
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sortBy(table, headings, column));
  });
}

function sortBy(table, headings, column) {
  const heading = headings[column];
  const numeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  const first = numeric ? "descending" : "ascending";
  const order = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => (numeric ? asNumber(row.cells[column].dataset.value) : row.cells[column].textContent.trim());
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (!numeric) return sign * x.localeCompare(y, "en", { numeric: true });
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is missing comes last
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? order : "none"));
}

function asNumber(text) {
  if (text === undefined || text === "") return NaN;
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

/* Figures: a click shows one large, with its caption. */
{
  const box = document.getElementById("lightbox");
  const plates = [...document.querySelectorAll(".plate:has(.enlarge)")];
  const find = (selector) => box.querySelector(selector);
  const image = find("img");
  let shown = 0;
  const show = (index) => {
    shown = (index + plates.length) % plates.length;
    const source = plates[shown].querySelector("img");
    image.src = source.src;
    image.alt = source.alt;
    find("#lightbox-title").textContent = plates[shown].querySelector("figcaption b").textContent;
    find(".lightbox-caption").textContent = plates[shown].querySelector("figcaption").textContent;
  };
  const actual = (on) => {
    box.classList.toggle("actual-size", on);
    find(".actual").setAttribute("aria-pressed", String(on));
  };
  plates.forEach((plate, index) => {
    plate.querySelector(".enlarge").addEventListener("click", () => {
      show(index);
      actual(false);
      box.showModal();
      find(".close").focus();
    });
  });
  find(".previous").addEventListener("click", () => show(shown - 1));
  find(".next").addEventListener("click", () => show(shown + 1));
  find(".actual").addEventListener("click", () => actual(!box.classList.contains("actual-size")));
  image.addEventListener("click", () => actual(!box.classList.contains("actual-size")));
  find(".close").addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.addEventListener("keydown", (event) => {
    if (box.classList.contains("actual-size") || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "ArrowLeft") show(shown - 1);
    if (event.key === "ArrowRight") show(shown + 1);
  });
}
