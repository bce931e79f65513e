/* Chapter 5: the moved grid, the shifted image, its regions and the mask of a window, all
for the same shift. */

"use strict";

figure.define("shift", async (stage, { M, side, photo, shifts, shift }) => {
  const image = await figure.photograph(photo);
  const N = M * M;
  const windows = side / M;
  const colors = ["transparent", ..."WHN".split("").map((k) => `${PALETTE.axis[k]}99`)];
  const meanings = [
    "came round in no direction", "came round by columns", "came round by rows",
    "came round by rows and columns",
  ];
  let now = shifts[shift];
  let masked = true;
  let [row, column] = [side - 1, side - 1]; // of the shifted image

  /* The place of the chosen pixel: its window, and its token within it. */
  const chosen = () => [
    Math.floor(row / M) * windows + Math.floor(column / M),
    (row % M) * M + (column % M),
  ];
  /* Whether a token of the chosen window is seen by the chosen pixel. */
  function seen(token) {
    const [window, looks] = chosen();
    return !masked || now.mask[window][looks][token] === "0";
  }
  /* Where a token of the chosen window lies: in the shifted image, in the image. */
  function where(token) {
    const [window] = chosen();
    const y = Math.floor(window / windows) * M + Math.floor(token / M);
    const x = (window % windows) * M + (token % M);
    return [[y, x], [(y + now.shift) % side, (x + now.shift) % side]];
  }

  /* Frames around what the chosen pixel sees, and a dot on itself. */
  function reach(context, unit, k) {
    for (const token of figure.range(0, N)) {
      const [y, x] = where(token)[k];
      if (!seen(token)) continue;
      context.fillStyle = "#ffffff70";
      context.fillRect(x, y, 1, 1);
      figure.frame(context, unit, "black", [x + 0.06, y + 0.06, 0.88, 0.88], 1.5);
    }
    const [y, x] = where(chosen()[1])[k];
    context.fillStyle = PALETTE.series[1];
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 0.25, 0, 7);
    context.fill();
    figure.frame(context, unit, "white", [x + 0.1, y + 0.1, 0.8, 0.8], 2);
  }

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Move the slider, and point at a pixel of the shifted image, or use " +
      "Tab and the arrow keys. The photograph stands for a map of 8 by 8 pixels; " +
      "framed are those that the marked one sees, tinted those that came round.",
  });
  figure.slider(stage, {
    label: "Shift s",
    values: shifts.map((one) => one.shift),
    value: shift,
    change: (s) => {
      now = shifts[s];
      show();
    },
  });
  figure.choice(stage, "Mask", ["mask on", "mask off"], (k) => {
    masked = k === 0;
    show();
  });

  const panels = figure.element(stage, "div", { className: "panels" });
  const draws = [
    figure.board(figure.panel(panels, "The image", "small"), {
      columns: side,
      rows: side,
      label: "The image under the moved grid; framed are the pixels that are seen",
      draw: (context, unit) => {
        context.drawImage(image, 0, 0, side, side);
        const borders = [0, ...figure.range(now.shift, side, M), side];
        figure.lines(context, 3 * unit, "white", side, side, borders, borders);
        reach(context, unit, 1);
      },
    }),
    figure.board(figure.panel(panels, "Shifted image", "small"), {
      columns: side,
      rows: side,
      label: "The shifted image with its windows, tinted by region; arrow keys move " +
        "the pixel that looks",
      at: () => [row, column],
      choose: (r, c) => {
        [row, column] = [r, c];
        show();
      },
      draw: (context, unit) => {
        const s = now.shift;
        for (const [dx, dy] of [[0, 0], [side, 0], [0, side], [side, side]]) {
          context.drawImage(image, dx - s, dy - s, side, side);
        }
        figure.cells(context, side, side, (y, x) => colors[now.regions[y][x]]);
        const borders = figure.range(0, side + 1, M);
        figure.lines(context, 3 * unit, "white", side, side, borders, borders);
        reach(context, unit, 0);
      },
    }),
  ];
  const third = figure.panel(panels, " ", "small");
  draws.push(figure.board(third, {
    columns: N,
    rows: N,
    label: "The mask of the window: rows look, columns are seen, dark means forbidden",
    draw: (context, unit) => {
      const [window, looks] = chosen();
      figure.cells(context, N, N, (y, x) =>
        (masked && now.mask[window][y][x] === "1" ? PALETTE.ink : PALETTE.paper));
      figure.lines(context, unit, PALETTE.axis.B, N, N,
        figure.range(0, N + 1, M), figure.range(0, N + 1, M));
      figure.frame(context, unit, PALETTE.series[1], [0, looks, N, 1], 3);
    },
  }));
  const say = figure.live(stage);

  function show() {
    const [window, looks] = chosen();
    const count = figure.range(0, N).filter(seen).length;
    const region = Number(now.regions[row][column]);
    third.querySelector(".title").textContent = `Mask of window ${window}`;
    const pairs = `${now.forbidden[window]} of ${N * N} pairs in this window.`;
    say(`Shift ${now.shift}. Pixel ${looks} of window ${window} ` +
      `${meanings[region]}; it sees ${count} of ${N} pixels. ` +
      `The mask ${masked ? "forbids" : "would forbid"} ${pairs}`);
    draws.forEach((draw) => draw());
  }

  show();
});
