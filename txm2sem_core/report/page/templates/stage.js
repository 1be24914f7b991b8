/* Geometry and drawing of sections; nothing here knows of controls. */

/* Colours of 0 to 255 as 32-bit pixels, between given colours at equal distances. */
function colourTable(colours) {
  const table = new Uint32Array(256);
  const bytes = new Uint8Array(table.buffer);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (colours.length - 1);
    const [low, share] = [Math.min(Math.floor(place), colours.length - 2), place];
    for (let part = 0; part < 3; part++) {
      const [a, b] = [colours[low][part], colours[low + 1][part]];
      bytes[4 * level + part] = Math.round(a + (b - a) * (share - low));
    }
    bytes[4 * level + 3] = 255;
  }
  return table;
}

const COLOURS = {
  grey: colourTable([[0, 0, 0], [255, 255, 255]]),
  // cividis (Nuñez et al., PLoS ONE 13 (2018) e0199239): the same order of brightness for all kinds of sight
  cividis: colourTable([[0, 32, 77], [65, 77, 107], [124, 123, 120], [188, 175, 111], [255, 234, 70]]),
  // blue below, red above (ColorBrewer RdBu)
  difference: colourTable([[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]]),
};

/* The plane across an axis: which axes run down and to the right, its voxels and its size in nm (or in voxels). */
function planeAcross(axis, shape, voxelNm) {
  const [down, right] = [[1, 2], [0, 2], [0, 1]][axis];
  const known = voxelNm[down] !== null && voxelNm[right] !== null;
  const [stepDown, stepRight] = known ? [voxelNm[down], voxelNm[right]] : [1, 1];
  return {
    axis, down, right, known, stepDown, stepRight,
    rows: shape[down], columns: shape[right],
    height: shape[down] * stepDown, width: shape[right] * stepRight,
  };
}

/* How a plane lies in a frame of `width` x `height` CSS pixels: pixels a nm, and where its corner is. `centre` has
   the shares, of each axis, in the middle of the frame; it is moved so that the plane fills the frame. */
function fitPlane(plane, width, height, zoom, centre) {
  const scale = Math.min(width / plane.width, height / plane.height) * zoom;
  const place = (axis, extent, room) => {
    const half = room / scale / extent / 2;
    const middle = half >= 0.5 ? 0.5 : Math.min(Math.max(centre[axis], half), 1 - half);
    if (half < 0.5) centre[axis] = middle;
    return room / 2 - middle * extent * scale;
  };
  return { scale, left: place(plane.right, plane.width, width), top: place(plane.down, plane.height, height) };
}

/* Greatest of 1, 2, 5 times a power of ten that is at most `greatest`. */
function roundLength(greatest) {
  const power = 10 ** Math.floor(Math.log10(greatest));
  return Math.max(...[1, 2, 5].map((step) => step * power).filter((length) => length <= greatest));
}

function lengthWords(nm) {
  if (nm >= 1e6) return nm / 1e6 + " mm";
  return nm >= 1000 ? nm / 1000 + " µm" : Number(nm.toPrecision(1)) + " nm";
}

/* A section as a small canvas of one pixel a voxel. */
class Section {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.key = "";
  }

  /* `fill` gives the levels, 0 to 255; it is asked only where `key` has changed. */
  update(plane, key, fill, colours) {
    if (key === this.key) return;
    this.key = key;
    const { columns, rows } = plane;
    if (this.canvas.width !== columns || this.canvas.height !== rows) [this.canvas.width, this.canvas.height] = [columns, rows];
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const levels = fill(new Uint8Array(columns * rows));
    for (let i = 0; i < pixels.length; i++) pixels[i] = colours[levels[i]];
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

function drawSection(context, section, plane, lie) {
  const density = window.devicePixelRatio || 1;
  context.imageSmoothingEnabled = lie.scale * Math.min(plane.stepDown, plane.stepRight) * density < 3; // then voxels show
  context.imageSmoothingQuality = "high";
  context.drawImage(section.canvas, lie.left, lie.top, plane.width * lie.scale, plane.height * lie.scale);
}

/* A bar of round length at the lower left; gives its words. */
function drawScaleBar(context, plane, lie, width, height) {
  const seen = Math.min(width, plane.width * lie.scale);
  const nm = roundLength((seen * 0.3) / lie.scale);
  const [length, x, y] = [nm * lie.scale, Math.max(lie.left, 0) + 12, Math.min(lie.top + plane.height * lie.scale, height) - 12];
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.font = "13px system-ui, sans-serif";
  context.fillStyle = "rgba(0, 0, 0, 0.65)";
  context.fillRect(x - 5, y - 24, Math.max(length, context.measureText(lengthWords(nm)).width) + 10, 29);
  context.fillStyle = "#fff";
  context.fillRect(x, y - 4, length, 4);
  context.fillText(lengthWords(nm), x, y - 6);
  return lengthWords(nm);
}

/* A name in the upper corner of a part of the frame; too long a one is squeezed. */
function drawName(context, name, from, to, onRight) {
  context.font = "600 13px system-ui, sans-serif";
  const most = to - from - 18;
  const shown = Math.min(context.measureText(name).width, most);
  const left = onRight ? to - shown - 13 : from + 5;
  context.fillStyle = "rgba(0, 0, 0, 0.65)";
  context.fillRect(left, 5, shown + 8, 21);
  context.fillStyle = "#fff";
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(name, left + 4, 16, most);
}

function drawDivide(context, x, height) {
  context.fillStyle = "#000";
  context.fillRect(x - 2, 0, 4, height);
  context.fillStyle = "#ffb000";
  context.fillRect(x - 1, 0, 2, height);
  context.beginPath();
  context.arc(x, height / 2, 11, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = "#000";
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("↔", x, height / 2 + 1);
}
