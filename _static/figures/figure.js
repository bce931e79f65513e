/* What all figures that move share.

A figure's script calls figure.define(name, build). On the pages that hold it, build is
given an empty element and the figure's numbers; once it has run, its elements stand in
the place of the still figure, which is printed as before. */

"use strict";

const figure = (() => {
  const redraws = [];

  /* An element with properties, within a parent. */
  function element(parent, name, properties = {}) {
    const made = document.createElement(name);
    Object.assign(made, properties);
    parent.append(made);
    return made;
  }

  /* A photograph from its address, ready to be drawn. */
  async function photograph(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  }

  /* A colour of the page as it is shown now: light or dark. */
  function themed(name) {
    const style = getComputedStyle(document.documentElement);
    return style.getPropertyValue(`--pst-color-${name}`).trim();
  }

  /* The colour at a share from 0 to 1 of one of the palette's maps. */
  function mapped(colors, share) {
    const k = Math.round(share * (colors.length - 1));
    return colors[Math.min(Math.max(k, 0), colors.length - 1)];
  }

  /* 1234567 as 1,234,567. */
  const grouped = (number) => number.toLocaleString("en-US");

  /* Text that changes, which screen readers say once the reader has stopped moving. */
  function live(parent) {
    const shown = element(parent, "p", { className: "says" });
    shown.setAttribute("role", "status");
    return (text) => {
      if (shown.textContent !== text) shown.textContent = text;
    };
  }

  /* Draw again whenever the canvas has another size or the page other colours. */
  function keepDrawn(canvas, draw) {
    redraws.push(draw);
    new ResizeObserver(draw).observe(canvas);
  }

  /* A context in which one unit is one cell of columns x rows, at the device's pixels,
  cleared; and how many units one pixel of the page is. */
  function prepared(canvas, columns, rows) {
    const { width, height } = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(canvas.width / columns, canvas.height / rows);
    context.imageSmoothingEnabled = false;
    return [context, columns / Math.max(width, 1)];
  }

  /* One model of pointing for mouse, touch and keyboard: choose(row, column). */
  function pointable(canvas, grid) {
    const clamp = (k, count) => Math.min(Math.max(k, 0), count - 1);
    const move = (row, column) =>
      grid.choose(clamp(row, grid.rows), clamp(column, grid.columns));
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top) / box.height) * grid.rows);
      const column = Math.floor(((event.clientX - box.left) / box.width) * grid.columns);
      move(row, column);
    };
    const steps = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const [row, column] = grid.at();
      const far = event.shiftKey ? 8 : 1;
      move(row + far * step[0], column + far * step[1]);
    });
  }

  /* A grid of cells to point at.

  grid.columns, grid.rows; grid.label for those who cannot see it; grid.draw(context,
  pixel); and, where it answers, grid.at() and grid.choose(row, column). Returns a
  function that draws it again. */
  function board(parent, grid) {
    const canvas = element(parent, "canvas", { className: "board" });
    canvas.style.aspectRatio = `${grid.columns} / ${grid.rows}`;
    canvas.setAttribute("aria-label", grid.label);
    canvas.setAttribute("role", grid.choose ? "application" : "img");
    if (grid.choose) {
      canvas.tabIndex = 0;
      pointable(canvas, grid);
    }
    const draw = () => grid.draw(...prepared(canvas, grid.columns, grid.rows));
    keepDrawn(canvas, draw);
    return draw;
  }

  /* A panel: boards and words under a title, beside others where there is room. */
  function panel(parent, title, size = "") {
    const made = element(parent, "div", { className: `panel ${size}` });
    if (title) element(made, "p", { className: "title", textContent: title });
    return made;
  }

  /* A slider over a list of values; change(value) when it moves. */
  function slider(parent, { label, values, value, change, text = String }) {
    const row = element(parent, "label", { className: "slider" });
    element(row, "span", { textContent: label });
    const input = element(row, "input", {
      type: "range", min: 0, max: values.length - 1, step: 1,
      value: values.indexOf(value),
    });
    const output = element(row, "output");
    const show = () => {
      output.textContent = text(values[input.value]);
      input.setAttribute("aria-valuetext", output.textContent);
    };
    show();
    input.addEventListener("input", () => {
      show();
      change(values[input.value]);
    });
  }

  /* Buttons of which one is on; change(k) when another is pressed. */
  function choice(parent, label, names, change) {
    const group = element(parent, "div", { className: "choice" });
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    const buttons = names.map((name, k) => {
      const button = element(group, "button", { type: "button", textContent: name });
      button.addEventListener("click", () => press(k));
      return button;
    });
    const press = (k) => {
      buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === k)));
      change(k);
    };
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === 0)));
  }

  /* Write rows of a name and a value into a table. */
  function fill(table, rows) {
    table.replaceChildren();
    for (const [name, value] of rows) {
      const line = table.insertRow();
      element(line, "th", { scope: "row", textContent: name });
      element(line, "td", { textContent: value });
    }
  }

  /* A frame on a grid, some pixels thick; `pixel` is how many units one takes. */
  function frame(context, pixel, color, [left, top, width, height], thick = 2) {
    context.strokeStyle = color;
    context.lineWidth = thick * pixel;
    context.strokeRect(left, top, width, height);
  }

  /* Colour every cell of a grid: color(row, column), without seams between them. */
  function cells(context, columns, rows, color) {
    const small = document.createElement("canvas");
    [small.width, small.height] = [columns, rows];
    const painted = small.getContext("2d");
    for (const row of range(0, rows)) {
      for (const column of range(0, columns)) {
        painted.fillStyle = color(row, column);
        painted.fillRect(column, row, 1, 1);
      }
    }
    context.drawImage(small, 0, 0, columns, rows);
  }

  /* Lines across a grid at the given columns and rows. */
  function lines(context, pixel, color, columns, rows, everyColumn, everyRow) {
    context.strokeStyle = color;
    context.lineWidth = pixel;
    context.beginPath();
    for (const x of everyColumn) {
      context.moveTo(x, 0);
      context.lineTo(x, rows);
    }
    for (const y of everyRow) {
      context.moveTo(0, y);
      context.lineTo(columns, y);
    }
    context.stroke();
  }

  /* Whole numbers from, from + step, ... below to. */
  const range = (from, to, step = 1) =>
    Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) },
      (_, k) => from + k * step);

  /* Let a figure stand in the still one's place once it is built. */
  async function start(place, stage, build) {
    try {
      await build();
      place.classList.add("runs");
    } catch (error) {
      stage.remove(); // the still figure stays
      throw error;
    }
  }

  /* Build the figures of this name on the page. */
  function define(name, build) {
    for (const place of document.querySelectorAll(`.moving[data-figure="${name}"]`)) {
      const numbers = JSON.parse(place.querySelector("script").textContent);
      const stage = document.createElement("div");
      stage.className = "stage";
      place.append(stage);
      start(place, stage, () => build(stage, numbers));
    }
  }

  new MutationObserver(() => redraws.forEach((draw) => draw())).observe(
    document.documentElement, { attributeFilter: ["data-theme"] },
  );

  return {
    board, cells, choice, define, element, fill, frame, grouped, lines, live, mapped, panel,
    photograph, range, slider, themed,
  };
})();
