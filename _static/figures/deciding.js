/* Chapter 14: which input pixels decided an output pixel, for networks side by side. */

"use strict";

figure.define("deciding", async (stage, data) => {
  const { side, step, window, distance, decades, photo, networks } = data;
  const borders = figure.range(window, side, window);
  const count = side / step;
  const image = await figure.photograph(photo);
  const sheets = await Promise.all(networks.map(async ({ sheet }) => {
    const drawn = await figure.photograph(sheet);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [drawn.width, drawn.height];
    const context = canvas.getContext("2d");
    context.drawImage(drawn, 0, 0);
    return context.getImageData(0, 0, drawn.width, drawn.height);
  }));
  let [row, column] = [count >> 1, count >> 1];
  const centre = (k) => step * k + step / 2;

  /* The level of an input pixel for the chosen output pixel, 0 to 255. */
  const level = (sheet, y, x) =>
    sheet.data[4 * ((row * side + y) * sheet.width + column * side + x)];

  function cross(context, unit) {
    figure.frame(context, unit, "white", [centre(column), centre(row), 1, 1], 5);
    figure.frame(context, unit, PALETTE.series[1],
      [centre(column), centre(row), 1, 1], 3);
  }

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Point at an output pixel, in any of the pictures, or move with Tab " +
      `and the arrow keys. Bright pixels decided it; the colours span ${decades} ` +
      "powers of ten, and gray pixels had no say at all.",
  });
  const panels = figure.element(stage, "div", { className: "panels" });
  const answering = {
    columns: count,
    rows: count,
    at: () => [row, column],
    choose: (r, c) => {
      [row, column] = [r, c];
      show();
    },
  };
  /* Draw in input pixels on a board whose cells are those of the grid. */
  const inPixels = (draw) => (context, unit) => {
    context.scale(1 / step, 1 / step);
    draw(context, unit * step);
    cross(context, unit * step);
  };
  const draws = [figure.board(figure.panel(panels, "The photograph", "small"), {
    ...answering,
    label: "The photograph; arrow keys choose an output pixel",
    draw: inPixels((context) => context.drawImage(image, 0, 0, side, side)),
  })];
  networks.forEach(({ name }, n) => {
    draws.push(figure.board(figure.panel(panels, name, "small"), {
      ...answering,
      label: `${name}: which pixels decided it; arrow keys choose an output pixel`,
      draw: inPixels((context, unit) => {
        const none = figure.themed("border");
        figure.cells(context, side, side, (y, x) => {
          const shown = level(sheets[n], y, x);
          return shown ? figure.mapped(PALETTE.sequential, (shown - 1) / 254) : none;
        });
        figure.lines(context, unit, "#ffffff60", side, side, borders, borders);
      }),
    }));
  });
  const say = figure.live(stage);

  function show() {
    const parts = networks.map(({ name, beyond, reached }) =>
      `${name} ${beyond[row][column]}%, reaching ${figure.grouped(reached[row][column])} ` +
      `of ${figure.grouped(side * side)} pixels`);
    say(`Row ${centre(row)}, column ${centre(column)}. Of what decides it, this much lies ` +
      `more than ${distance} pixels away: ${parts.join("; ")}.`);
    draws.forEach((draw) => draw());
  }

  show();
});
