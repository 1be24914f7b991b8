"use strict";

/* Tables: a click on a heading sorts by it; a second click turns the order round. */
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const numeric = heading.classList.contains("number");
      const before = heading.getAttribute("aria-sort");
      const order = before === "none" ? (numeric ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => {
        const cell = row.cells[column];
        return numeric ? parseNumber(cell.dataset.value) : cell.textContent.trim();
      };
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (!numeric) return sign * x.localeCompare(y, "en", { numeric: true });
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // what is missing comes last
        return x === y ? 0 : sign * (x < y ? -1 : 1);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
      headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? order : "none"));
    });
  });
}

function parseNumber(text) {
  if (text === undefined || text === "") return NaN;
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const full = button.closest(".plate").classList.toggle("full");
    button.setAttribute("aria-pressed", String(full));
  });
}

for (const root of document.querySelectorAll(".viewer")) startViewer(root);

function startViewer(root) {
  const data = JSON.parse(document.getElementById(root.dataset.source).textContent);
  const find = (selector) => root.querySelector(selector);
  const panels = find(".panels");
  const frames = [...root.querySelectorAll(".frame")];
  const [slice, zoom, divide] = [find(".slice"), find(".zoom"), find(".divide")];
  const view = { zoom: 1, x: 0, y: 0 }; // x, y: the upper left corner of what is seen, as a share of the image
  const swiping = () => panels.classList.contains("swipe");

  function showSlice() {
    const index = Number(slice.value);
    const place = data.axis + " = " + data.positions[index];
    find(".position").textContent = data.positions[index];
    slice.setAttribute("aria-valuetext", place);
    frames.forEach((frame, name) => {
      const image = frame.querySelector("img");
      image.src = data.images[index][name];
      image.alt = data.names[name] + ", " + place;
    });
  }

  function showView() {
    const room = 1 - 1 / view.zoom;
    view.x = Math.min(Math.max(view.x, 0), room);
    view.y = Math.min(Math.max(view.y, 0), room);
    const seen = (data.width * data.pixel_nm) / view.zoom;
    const length = roundLength(seen * 0.25);
    for (const frame of frames) {
      frame.classList.toggle("zoomed", view.zoom > 1);
      frame.querySelector("img").style.transform =
        "scale(" + view.zoom + ") translate(" + -100 * view.x + "%, " + -100 * view.y + "%)";
      const bar = frame.querySelector(".bar");
      bar.hidden = data.pixel_nm === null; // no size, no bar
      bar.style.width = (100 * length) / seen + "%";
      bar.textContent = length >= 1000 ? length / 1000 + " µm" : length + " nm";
    }
  }

  function roundLength(greatest) {
    const power = 10 ** Math.floor(Math.log10(greatest));
    return Math.max(...[1, 2, 5].map((step) => step * power).filter((length) => length <= greatest));
  }

  function showMode() {
    const mode = find("input[type=radio]:checked");
    panels.classList.toggle("swipe", mode !== null && mode.value === "swipe");
    find(".swipe-only").hidden = !swiping();
    const chosen = [Number(find(".left").value), Number(find(".right").value)];
    [...panels.children].forEach((panel, name) => {
      panel.classList.toggle("shown", chosen.includes(name));
      panel.classList.toggle("over", chosen[1] === name && chosen[0] !== name);
    });
    panels.style.setProperty("--divide", divide.value + "%");
  }

  function step(event) {
    if (event.target.matches("select, input[type=radio], input[type=range]:not(.slice)")) return;
    const last = data.positions.length - 1;
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -last, End: last };
    if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    slice.value = Math.min(Math.max(Number(slice.value) + moves[event.key], 0), last);
    showSlice();
  }

  function drag(event) {
    const frame = event.currentTarget;
    const box = frame.getBoundingClientRect();
    if (swiping() && view.zoom === 1) {
      divide.value = (100 * (event.clientX - box.left)) / box.width;
      showMode();
      return;
    }
    view.x -= event.movementX / box.width / view.zoom;
    view.y -= event.movementY / box.height / view.zoom;
    showView();
  }

  slice.addEventListener("input", showSlice);
  root.addEventListener("keydown", step);
  divide.addEventListener("input", showMode);
  for (const control of root.querySelectorAll("select, input[type=radio]")) control.addEventListener("change", showMode);
  zoom.addEventListener("input", () => {
    const [middleX, middleY] = [view.x + 0.5 / view.zoom, view.y + 0.5 / view.zoom];
    view.zoom = Number(zoom.value);
    view.x = middleX - 0.5 / view.zoom;
    view.y = middleY - 0.5 / view.zoom;
    showView();
  });
  for (const frame of frames) {
    frame.addEventListener("pointerdown", (event) => {
      frame.setPointerCapture(event.pointerId);
      drag(event);
      frame.addEventListener("pointermove", drag);
    });
    for (const end of ["pointerup", "pointercancel"])
      frame.addEventListener(end, () => frame.removeEventListener("pointermove", drag));
  }
  showSlice();
  showView();
  showMode();
}
