/* Chapter 3: whom a pixel may ask in windows of any size, and what that costs. */

"use strict";

figure.define("windows", async (stage, { side, photo, pixel, sides, channels }) => {
  const image = await figure.photograph(photo);
  let [row, column] = pixel;
  let size = sides.find(({ M }) => M === 8);

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Point at a pixel, or move with the arrow keys.",
  });
  const panels = figure.element(stage, "div", { className: "panels" });
  const draw = figure.board(figure.panel(panels), {
    columns: side,
    rows: side,
    label: "Photograph under a grid of windows; arrow keys move the pixel that asks",
    at: () => [row, column],
    choose: (r, c) => {
      [row, column] = [r, c];
      show();
    },
    draw: (context, unit) => {
      const { M } = size;
      const [left, top] = [column - (column % M), row - (row % M)];
      const borders = figure.range(0, side + 1, M);
      context.drawImage(image, 0, 0, side, side);
      if (M > 2) figure.lines(context, unit, "#ffffff90", side, side, borders, borders);
      context.fillStyle = `${PALETTE.axis.M}66`;
      context.fillRect(left, top, M, M);
      figure.frame(context, unit, PALETTE.axis.M, [left, top, M, M], 3);
      context.fillStyle = PALETTE.series[1];
      context.beginPath();
      context.arc(column + 0.5, row + 0.5, Math.max(0.7, 4 * unit), 0, 7);
      context.fill();
    },
  });
  const beside = figure.panel(panels);
  figure.slider(beside, {
    label: "Window side M",
    values: sides.map(({ M }) => M),
    value: size.M,
    change: (M) => {
      size = sides.find((one) => one.M === M);
      show();
    },
  });
  const say = figure.live(beside);
  const table = figure.element(beside, "table", { className: "table" });

  function show() {
    const { M, asked, questions, multiplications, share } = size;
    const [left, top] = [column - (column % M), row - (row % M)];
    const whom = M === side
      ? `everybody, ${figure.grouped(asked)} pixels.`
      : `the ${figure.grouped(asked)} pixels of its window, rows ${top} to ` +
        `${top + M - 1} and columns ${left} to ${left + M - 1}.`;
    say(`The pixel in row ${row}, column ${column} may ask ${whom}`);
    const rows = [
      ["questions in the whole crop", figure.grouped(questions)],
      [`multiplications, C = ${channels}`, figure.grouped(multiplications)],
      ["of what asking everybody takes", `${share}%`],
    ];
    figure.fill(table, rows);
    draw();
  }

  show();
});
