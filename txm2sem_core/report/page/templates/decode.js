/* A volume [Z, Y, X] of 8 bits: its slices along z are JPEG within the page, decoded when they are needed. */
class Volume {
  constructor(about, element, shape) {
    Object.assign(this, about);
    this.element = element;
    [this.depth, this.rows, this.columns] = shape;
    this.voxels = null;
    this.slices = null;
    this.decoded = new Set();
    this.pending = new Map();
  }

  /* Decode one slice, at most once. */
  need(z) {
    if (this.decoded.has(z)) return null;
    if (!this.pending.has(z)) {
      this.pending.set(z, this.decode(z).finally(() => this.pending.delete(z)));
    }
    return this.pending.get(z);
  }

  async decode(z) {
    this.slices ??= this.element.textContent.split("\n");
    this.voxels ??= new Uint8Array(this.depth * this.rows * this.columns);
    const voxels = this.voxels;
    const bytes = Uint8Array.from(atob(this.slices[z]), (sign) => sign.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    const pixels = Volume.pixelsOf(bitmap, this.columns, this.rows);
    bitmap.close();
    const start = z * this.rows * this.columns;
    for (let i = 0, count = this.rows * this.columns; i < count; i++) voxels[start + i] = pixels[4 * i];
    if (voxels === this.voxels) this.decoded.add(z); // else it was forgotten meanwhile
  }

  /* Decode all slices, from one outwards, unless `wanted` says that nobody waits any more. */
  async needAll(from, wanted, onSlice) {
    for (let away = 0; away < this.depth; away++) {
      for (const z of away === 0 ? [from] : [from - away, from + away]) {
        if (!wanted()) return;
        if (z < 0 || z >= this.depth || this.decoded.has(z)) continue;
        await this.need(z);
        onSlice();
      }
    }
  }

  get complete() {
    return this.decoded.size === this.depth;
  }

  forget() {
    this.voxels = null;
    this.decoded.clear();
  }

  /* Copy a section across an axis into `target`, row by row; what is not decoded yet stays black. */
  section(axis, index, target) {
    const { voxels, rows, columns } = this;
    if (voxels === null) return target.fill(0);
    const plane = rows * columns;
    if (axis === 0) {
      target.set(voxels.subarray(index * plane, (index + 1) * plane));
    } else if (axis === 1) {
      for (let z = 0; z < this.depth; z++) {
        const start = z * plane + index * columns;
        target.set(voxels.subarray(start, start + columns), z * columns);
      }
    } else {
      for (let z = 0; z < this.depth; z++)
        for (let y = 0; y < rows; y++) target[z * rows + y] = voxels[z * plane + y * columns + index];
    }
    return target;
  }

  static pixelsOf(bitmap, width, height) {
    const canvas = (Volume.canvas ??= document.createElement("canvas"));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = (Volume.context ??= canvas.getContext("2d", { willReadFrequently: true }));
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height).data;
  }
}
