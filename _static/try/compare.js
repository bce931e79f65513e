/* Before and after under one slider, on one canvas: zoom, drag, keys and touch. */

const MOST = 16; // screen pixels for one of the result, at most
const HIGHEST = 72; // how much of the window's height a picture takes, in percent

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Shows two pictures of one place, divided by an upright line.
 *
 * `canvas` shows them, `slider` (a range from 0 to 100) holds where the line is. */
export class Comparison {
  constructor(canvas, slider) {
    [this.canvas, this.slider] = [canvas, slider];
    [this.before, this.after, this.frame] = [null, null, null];
    [this.zoom, this.centre, this.pointers] = [1, [0.5, 0.5], new Map()];
    this.onframe = () => {};
    slider.addEventListener("input", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.release(event));
    }
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show two canvases or images; `after` may be null, or fill while it is shown. */
  show(before, after, size) {
    Object.assign(this, { before, after, size, complete: false });
    const ratio = size.width / size.height;
    this.canvas.style.aspectRatio = ratio;
    this.canvas.style.width = `min(100%, ${HIGHEST * ratio}vh)`;
    this.setZoom(1);
  }

  /** How large one pixel of the result is on the screen when all of it is seen. */
  get fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    return Math.min(width / this.size.width, height / this.size.height);
  }

  setZoom(zoom, centre = this.centre) {
    const most = Math.max(1, MOST / (this.size ? this.fit : 1));
    this.zoom = clamp(zoom, 1, most);
    const half = 0.5 / this.zoom;
    this.centre = centre.map((part) => clamp(part, half, 1 - half));
    this.canvas.classList.toggle("zoomed", this.zoom > 1);
    this.draw();
  }

  /** From a place on the canvas to one in the picture, both as parts of the whole. */
  toPicture([x, y]) {
    return [x, y].map((part, i) => this.centre[i] + (part - 0.5) / this.zoom);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      (event.clientX - box.left) / box.width,
      (event.clientY - box.top) / box.height,
    ];
  }

  /** Drawn with the next frame, however often this is called before. */
  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      if (this.before) this.paint();
    });
  }

  paint() {
    const { canvas, zoom, centre } = this;
    canvas.classList.toggle("framing", Boolean(this.frame));
    const density = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    const [wide, tall] = [box.width, box.height].map((side) =>
      Math.round(side * density),
    );
    if (canvas.width !== wide || canvas.height !== tall) {
      [canvas.width, canvas.height] = [wide, tall];
    }
    const context = canvas.getContext("2d");
    const line = (wide * this.slider.value) / 100;
    const corner = [wide, tall].map((side, i) => side * (0.5 - centre[i] * zoom));
    const place = [...corner, wide * zoom, tall * zoom];
    // single pixels are wanted once they are a few of the screen's
    context.imageSmoothingEnabled = (zoom * wide) / this.size.width < 3 * density;
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, wide, tall);
    const part = (left, right, pictures) => {
      context.save();
      context.beginPath();
      context.rect(left, 0, right - left, tall);
      context.clip();
      for (const picture of pictures) context.drawImage(picture, ...place);
      context.restore();
    };
    const restored =
      this.after && (this.complete ? [this.after] : [this.before, this.after]);
    part(0, this.after ? line : wide, [this.before]);
    if (restored) {
      part(line, wide, restored);
      this.paintLine(context, line, tall, density);
    }
    if (this.frame) this.paintFrame(context, place, density);
  }

  paintLine(context, line, tall, density) {
    context.fillStyle = "rgba(0, 0, 0, 0.35)";
    context.fillRect(line - 1.5 * density, 0, 3 * density, tall);
    context.fillStyle = "white";
    context.fillRect(line - density, 0, 2 * density, tall);
    context.beginPath();
    context.arc(line, tall / 2, 15 * density, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = "rgba(0, 0, 0, 0.35)";
    context.lineWidth = density;
    context.stroke();
    context.fillStyle = "#222222";
    for (const side of [-1, 1]) {
      context.beginPath();
      context.moveTo(line + side * 10 * density, tall / 2);
      context.lineTo(line + side * 4 * density, tall / 2 - 5 * density);
      context.lineTo(line + side * 4 * density, tall / 2 + 5 * density);
      context.fill();
    }
  }

  paintFrame(context, [left, top, wide, tall], density) {
    const { x, y, width, height } = this.frame;
    const box = [left + x * wide, top + y * tall, width * wide, height * tall];
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    context.beginPath();
    context.rect(0, 0, context.canvas.width, context.canvas.height);
    context.rect(...box);
    context.fill("evenodd");
    context.strokeStyle = "white";
    context.lineWidth = 2 * density;
    context.strokeRect(...box);
  }

  moveFrame(x, y) {
    this.frame.x = clamp(x, 0, 1 - this.frame.width);
    this.frame.y = clamp(y, 0, 1 - this.frame.height);
    this.onframe(this.frame);
    this.draw();
  }

  centreFrame(at) {
    const [x, y] = this.toPicture(at);
    this.moveFrame(x - this.frame.width / 2, y - this.frame.height / 2);
  }

  slide(part) {
    this.slider.value = 100 * part;
    this.draw();
  }

  press(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.place(event);
    const box = this.canvas.getBoundingClientRect();
    const near = Math.abs(at[0] - this.slider.value / 100) * box.width < 24;
    this.pointers.set(event.pointerId, at);
    this.slides = !this.frame && this.after && (this.zoom === 1 || near);
    if (this.frame) this.centreFrame(at);
    else if (this.slides) this.slide(at[0]);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const at = this.place(event);
    if (this.pointers.size === 2) this.pinch(event.pointerId, at);
    else if (this.frame) this.centreFrame(at);
    else if (this.slides) this.slide(at[0]);
    else
      this.setZoom(
        this.zoom,
        this.centre.map((part, i) => part - (at[i] - before[i]) / this.zoom),
      );
    this.pointers.set(event.pointerId, at);
  }

  pinch(moved, at) {
    const other = [...this.pointers].find(([id]) => id !== moved)[1];
    const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]);
    const factor = apart(at) / Math.max(apart(this.pointers.get(moved)), 0.01);
    this.zoomAt([(at[0] + other[0]) / 2, (at[1] + other[1]) / 2], factor);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
  }

  /** Zoom so that what lies at a place of the canvas stays there. */
  zoomAt(at, factor) {
    const kept = this.toPicture(at);
    const most = Math.max(1, MOST / this.fit);
    const zoom = clamp(this.zoom * factor, 1, most);
    this.setZoom(
      zoom,
      kept.map((part, i) => part - (at[i] - 0.5) / zoom),
    );
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    this.zoomAt(this.place(event), Math.exp(-event.deltaY / 200));
  }

  key(event) {
    const step = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const by = step[event.key];
    if (event.key === "+" || event.key === "=") this.setZoom(this.zoom * 1.5);
    else if (event.key === "-") this.setZoom(this.zoom / 1.5);
    else if (event.key === "0") this.setZoom(1);
    else if (by && this.frame)
      this.moveFrame(this.frame.x + by[0] / 50, this.frame.y + by[1] / 50);
    else if (by && this.zoom > 1) {
      this.setZoom(
        this.zoom,
        this.centre.map((part, i) => part + (by[i] * 0.1) / this.zoom),
      );
    } else if (by?.[0]) this.slide(clamp(this.slider.value / 100 + by[0] * 0.02, 0, 1));
    else return;
    event.preventDefault();
  }
}
