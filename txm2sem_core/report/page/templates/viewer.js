/* The viewer of slices: controls, keys, mouse and touch. */
const MOST_ZOOM = 16;
const FLAT = 0.5; // planes lower than this share of their width stand above each other, not side by side
const MOST_DECODED = 4; // volumes in memory beside those that are shown

for (const root of document.querySelectorAll(".viewer")) startViewer(root);

function startViewer(root) {
  const find = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const meta = JSON.parse(find(".meta").textContent);
  const volumes = all(".strip").map((element, i) => new Volume(meta.volumes[i], element, meta.shape));
  const [stage, slider, divide] = [find(".stage"), find(".slice"), find(".divide")];
  const [canvases, picks] = [all("canvas"), all(".pick")];
  const sections = canvases.map(() => new Section());
  const roles = (...wanted) => volumes.findIndex((volume) => wanted.includes(volume.role));
  const best = Math.max(roles("prediction", "baseline"), 0);
  const other = roles("truth") >= 0 ? roles("truth") : Math.max(roles("txm"), 0);
  const state = {
    mode: "side",
    axis: 0,
    slice: meta.shape.map((count) => Math.floor(count / 2)),
    centre: [0.5, 0.5, 0.5],
    zoom: 1,
    divide: 0.5,
    side: [Math.max(roles("txm"), 0), best, roles("truth", "uncertainty", "residual")],
    swipe: [best, other],
    difference: [best, roles("truth") >= 0 ? roles("truth") : volumes.findIndex((v, i) => i !== best && isSem(v))],
  };
  let [waiting, job, near] = [false, 0, false];
  const recent = [];

  function isSem(volume) {
    return !["txm", "uncertainty", "residual"].includes(volume.role); // these share one grey scale
  }

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  const chosen = () => state[state.mode].filter((index) => index >= 0);
  const currentPlane = () => planeAcross(state.axis, meta.shape, meta.voxelNm);
  const fullIndex = (axis, index) =>
    axis === 0 ? index * meta.zStep : Math.floor(((index + 0.5) * meta.fullShape[axis]) / meta.shape[axis]);

  /* Decode what is to be seen: the slice itself first, all of them once the viewer is near the screen. */
  function load() {
    const own = ++job;
    const shown = [...new Set(chosen())];
    for (const index of shown) {
      recent.splice(0, recent.length, index, ...recent.filter((one) => one !== index));
      const volume = volumes[index];
      const from = state.slice[0];
      Promise.resolve(volume.need(from)).then(() => {
        redraw();
        return near ? volume.needAll(from, () => own === job, redraw) : null;
      });
    }
    for (const index of recent.splice(shown.length + MOST_DECODED)) volumes[index].forget();
  }

  function draw() {
    const plane = currentPlane();
    const names = chosen().map((index) => volumes[index].name);
    const frames = state.mode === "swipe" ? 1 : state.mode === "difference" ? 3 : names.length;
    canvases.forEach((canvas, i) => (canvas.hidden = i >= frames));
    stage.dataset.frames = frames;
    stage.dataset.layout = plane.height / plane.width < FLAT ? "rows" : "columns";
    // a single large image shall fit on the screen
    const most = (Math.max(320, 0.75 * window.innerHeight) * plane.width) / plane.height;
    stage.style.maxWidth = frames === 1 ? Math.round(most) + "px" : "";
    chosen().forEach((index, i) => {
      const volume = volumes[index];
      const fill = (target) => volume.section(state.axis, state.slice[state.axis], target);
      const colours = ["uncertainty", "residual"].includes(volume.role) ? COLOURS.cividis : COLOURS.grey;
      sections[i].update(plane, keyOf(index), fill, colours);
    });
    if (state.mode === "difference") drawDifference(plane);
    const place = "zyx"[state.axis] + " = " + fullIndex(state.axis, state.slice[state.axis]);
    for (let i = 0; i < frames; i++) {
      const name = state.mode === "difference" && i === 2 ? "Difference" : names[i];
      drawFrame(canvases[i], i, plane, state.mode === "swipe" ? names : [name]);
      canvases[i].setAttribute("aria-label", (state.mode === "swipe" ? names.join(" | ") : name) + ", " + place);
    }
    find(".position").textContent = place;
    slider.setAttribute("aria-valuetext", place);
    find(".zoom").textContent = Math.round(100 * state.zoom) + " %";
    stage.classList.toggle("zoomed", state.zoom > 1);
    stage.dataset.ready = String(chosen().every((i) => (state.axis === 0 ? volumes[i].decoded.has(state.slice[0]) : volumes[i].complete)));
  }

  function keyOf(index) {
    const { decoded } = volumes[index];
    const ready = state.axis === 0 ? decoded.has(state.slice[0]) : decoded.size;
    return [index, state.axis, state.slice[state.axis], ready].join();
  }

  /* First minus second, full colour at half of the grey scale. */
  function drawDifference(plane) {
    const [a, b] = state.difference.map((index) => volumes[index]);
    const fill = (target) => {
      const [left, right] = [a, b].map((v) => v.section(state.axis, state.slice[state.axis], new Uint8Array(target.length)));
      for (let i = 0; i < target.length; i++) target[i] = Math.min(Math.max(127.5 + left[i] - right[i], 0), 255);
      return target;
    };
    sections[2].update(plane, "difference " + state.difference.map(keyOf).join(" "), fill, COLOURS.difference);
  }

  function drawFrame(canvas, i, plane, names) {
    const width = canvas.clientWidth;
    const height = Math.round(width * Math.min(Math.max(plane.height / plane.width, 0.15), 2));
    const density = window.devicePixelRatio || 1;
    const size = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) {
      [canvas.width, canvas.height] = size;
      canvas.style.height = height + "px";
    }
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    const lie = fitPlane(plane, width, height, state.zoom, state.centre);
    drawSection(context, sections[i], plane, lie);
    if (names.length > 1) {
      const x = state.divide * width;
      context.save();
      context.beginPath();
      context.rect(x, 0, width - x, height);
      context.clip();
      context.fillRect(0, 0, width, height);
      drawSection(context, sections[1], plane, lie);
      context.restore();
      drawDivide(context, x, height);
    }
    canvas.dataset.bar = plane.known ? drawScaleBar(context, plane, lie, width, height) : "";
    const room = width / names.length;
    names.forEach((name, side) => drawName(context, name, side * room, (side + 1) * room, side === 1));
  }

  /* --- controls */

  function showControls() {
    slider.max = meta.shape[state.axis] - 1;
    slider.value = state.slice[state.axis];
    const places = state.mode === "side" ? ["First", "Second", "Third"] : ["Left", "Right"];
    if (state.mode === "difference") places.splice(0, 2, "Of", "minus");
    picks.forEach((pick, i) => {
      pick.parentElement.hidden = i >= places.length;
      if (i >= places.length) return;
      pick.parentElement.querySelector(".place").textContent = places[i];
      for (const option of pick.options)
        option.disabled = state.mode === "difference" && !(option.value >= 0 && isSem(volumes[option.value]));
      pick.value = state[state.mode][i];
    });
    find(".dividing").hidden = state.mode !== "swipe";
    showLegend();
    load();
    redraw();
  }

  function showLegend() {
    const level = (value) => String(Number(value.toPrecision(3)));
    const shown = chosen().map((index) => volumes[index]);
    const words = [];
    const sem = shown.find(isSem);
    const txm = shown.find((volume) => volume.role === "txm");
    const unsure = shown.find((volume) => volume.role === "uncertainty");
    if (sem) words.push(["grey", level(sem.low), level(sem.high), "grey levels, all FIB-SEM images alike"]);
    if (txm) words.push(["grey", level(txm.low), level(txm.high), "TXM"]);
    const left = shown.find((volume) => volume.role === "residual");
    if (unsure) words.push(["cividis", level(unsure.low), level(unsure.high), "uncertainty, one standard deviation in grey levels"]);
    if (left) words.push(["cividis", level(left.low), level(left.high), "TXM not explained, in units of its noise"]);
    if (state.mode === "difference") {
      const half = level((sem.high - sem.low) / 2);
      words.push(["difference", "−" + half, "+" + half, "difference in grey levels"]);
    }
    find(".legend").replaceChildren(
      ...words.map(([ramp, low, high, what]) => {
        const one = document.createElement("span");
        const bar = document.createElement("span");
        bar.className = "ramp " + ramp;
        one.append(low + " ", bar, " " + high + " " + what);
        return one;
      }),
    );
  }

  function goTo(index) {
    const last = meta.shape[state.axis] - 1;
    state.slice[state.axis] = Math.min(Math.max(index, 0), last);
    slider.value = state.slice[state.axis];
    if (state.axis === 0 && chosen().some((i) => !volumes[i].decoded.has(state.slice[0]))) load();
    redraw();
  }

  function setAxis(axis) {
    state.axis = axis;
    all("input[name^=axis]")[axis].checked = true;
    showControls();
  }

  /* Zoom so that the point under `x`, `y` (CSS pixels in the canvas) stays where it is; without, the middle. */
  function setZoom(zoom, canvas, x, y) {
    const next = Math.min(Math.max(zoom, 1), MOST_ZOOM);
    const frame = canvas ?? canvases[0];
    const [width, height, plane] = [frame.clientWidth, frame.clientHeight, currentPlane()];
    const [atX, atY] = [x ?? width / 2, y ?? height / 2];
    const old = fitPlane(plane, width, height, state.zoom, state.centre);
    const point = [(atY - old.top) / old.scale, (atX - old.left) / old.scale];
    const scale = (old.scale / state.zoom) * next;
    state.centre[plane.down] = (point[0] + (height / 2 - atY) / scale) / plane.height;
    state.centre[plane.right] = (point[1] + (width / 2 - atX) / scale) / plane.width;
    state.zoom = next;
    redraw();
  }

  function pan(dx, dy, canvas) {
    const plane = currentPlane();
    const { scale } = fitPlane(plane, canvas.clientWidth, canvas.clientHeight, state.zoom, state.centre);
    state.centre[plane.right] -= dx / scale / plane.width;
    state.centre[plane.down] -= dy / scale / plane.height;
    redraw();
  }

  function setDivide(share) {
    state.divide = Math.min(Math.max(share, 0), 1);
    divide.value = Math.round(100 * state.divide);
    redraw();
  }

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const now = state.slice[state.axis];
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
    const jump = { Home: 0, End: meta.shape[state.axis] - 1 }[event.key];
    const towards = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (event.shiftKey && towards) pan(...towards, canvases[0]);
    else if (step) goTo(now + step);
    else if (jump !== undefined) goTo(jump);
    else if (event.key === "+" || event.key === "=") setZoom(state.zoom * 1.25);
    else if (event.key === "-") setZoom(state.zoom / 1.25);
    else if (event.key === "0") setZoom(1);
    else if ("zyx".includes(event.key)) setAxis("zyx".indexOf(event.key));
    else return;
    event.preventDefault();
  }

  /* --- mouse and touch: one pointer moves the divide or the plane, two zoom */

  const pointers = new Map();
  let [dividing, spread] = [false, 0];
  const distance = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };

  function onDown(event) {
    if (event.button > 0) return;
    const box = event.currentTarget.getBoundingClientRect();
    event.currentTarget.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const near = Math.abs(event.clientX - box.left - state.divide * box.width) < 24;
    dividing = state.mode === "swipe" && (state.zoom === 1 || near);
    if (pointers.size === 2) spread = distance();
    else if (dividing) setDivide((event.clientX - box.left) / box.width);
  }

  function onMove(event) {
    const canvas = event.currentTarget;
    const box = canvas.getBoundingClientRect();
    showReadout(canvas, event.clientX - box.left, event.clientY - box.top);
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const wide = distance();
      if (spread > 0) setZoom((state.zoom * wide) / spread, canvas, (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
      spread = wide;
    } else if (dividing) setDivide((event.clientX - box.left) / box.width);
    else pan(event.clientX - before.x, event.clientY - before.y, canvas);
  }

  function onUp(event) {
    pointers.delete(event.pointerId);
  }

  function onWheel(event) {
    if (!event.ctrlKey && document.activeElement !== stage) return; // the page scrolls
    event.preventDefault();
    const box = event.currentTarget.getBoundingClientRect();
    const factor = Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : event.ctrlKey ? 0.01 : 0.0015));
    setZoom(state.zoom * factor, event.currentTarget, event.clientX - box.left, event.clientY - box.top);
  }

  /* Grey levels under the pointer. */
  function showReadout(canvas, x, y) {
    const plane = currentPlane();
    const lie = fitPlane(plane, canvas.clientWidth, canvas.clientHeight, state.zoom, state.centre);
    const row = Math.floor((y - lie.top) / lie.scale / plane.stepDown);
    const column = Math.floor((x - lie.left) / lie.scale / plane.stepRight);
    if (row < 0 || column < 0 || row >= plane.rows || column >= plane.columns) return;
    const place = [0, 0, 0];
    [place[state.axis], place[plane.down], place[plane.right]] = [state.slice[state.axis], row, column];
    const at = (place[0] * meta.shape[1] + place[1]) * meta.shape[2] + place[2];
    const values = chosen().map((index) => {
      const { name, low, high, voxels } = volumes[index];
      return name + " " + (voxels === null ? "–" : Number((low + (voxels[at] / 255) * (high - low)).toPrecision(3)));
    });
    const where = place.map((index, axis) => "zyx"[axis] + " " + fullIndex(axis, index)).join(", ");
    find(".readout").textContent = where + ": " + values.join(" · ") + " (about)";
  }

  slider.addEventListener("input", () => goTo(Number(slider.value)));
  divide.addEventListener("input", () => setDivide(divide.value / 100));
  stage.addEventListener("keydown", onKey);
  for (const radio of all("input[name^=mode]")) radio.addEventListener("change", () => ((state.mode = radio.value), showControls()));
  for (const radio of all("input[name^=axis]")) radio.addEventListener("change", () => setAxis(Number(radio.value)));
  picks.forEach((pick, i) => pick.addEventListener("change", () => ((state[state.mode][i] = Number(pick.value)), showControls())));
  find(".in").addEventListener("click", () => setZoom(state.zoom * 1.5));
  find(".out").addEventListener("click", () => setZoom(state.zoom / 1.5));
  find(".fit").addEventListener("click", () => setZoom(1));
  for (const canvas of canvases) {
    canvas.addEventListener("pointerdown", onDown);
    canvas.addEventListener("pointermove", onMove);
    canvas.addEventListener("pointerup", onUp);
    canvas.addEventListener("pointercancel", onUp);
    canvas.addEventListener("wheel", onWheel, { passive: false });
  }
  new ResizeObserver(redraw).observe(stage);
  const seen = ([entry]) => ((near = entry.isIntersecting), near && load());
  new IntersectionObserver(seen, { rootMargin: "300px" }).observe(root);
  if (window.matchMedia("(max-width: 640px)").matches && volumes.length > 1) {
    state.mode = "swipe";
    find("input[value=swipe]").checked = true;
  }
  showControls();
}
