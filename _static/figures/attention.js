/* Chapter 4: whom each pixel of a window listens to in every head, and why: scores by
content, and the entry of the bias table for the offset of two pixels. */

"use strict";

figure.define("attention", async (stage, data) => {
  const { M, content, table, photo, corner, asking } = data;
  const image = await figure.photograph(photo);
  const side = 2 * M - 1;
  const kinds = ["content and position", "content alone", "position alone"];
  const bound = largestBias();
  let [asks, asked, head, kind] = [asking, asking, 0, 0];

  const place = (token) => [Math.floor(token / M), token % M];
  const named = (token) => `(${place(token).join(", ")})`;
  const signed = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(2);

  /* The entry of the table for the offset of two pixels. */
  function entry(from, to) {
    const [[a, b], [c, d]] = [place(from), place(to)];
    return (a - c + M - 1) * side + (b - d + M - 1);
  }

  /* The largest bias of each head, either sign, for the colours of its table. */
  function largestBias() {
    return content.map((_, h) => Math.max(...table.map((row) => Math.abs(row[h]))));
  }

  /* The weights with which a pixel takes from all in one head: softmax of scores. */
  function weights(h, from) {
    const scores = content[h][from].map((score, to) => {
      const bias = table[entry(from, to)][h];
      return [score + bias, score, bias][kind];
    });
    const most = Math.max(...scores);
    const raised = scores.map((score) => Math.exp(score - most));
    const sum = raised.reduce((a, b) => a + b);
    return raised.map((x) => x / sum);
  }

  function cross(context, unit, token) {
    const [row, column] = place(token);
    context.strokeStyle = PALETTE.series[1];
    context.lineWidth = 3 * unit;
    context.beginPath();
    context.moveTo(column + 0.2, row + 0.5);
    context.lineTo(column + 0.8, row + 0.5);
    context.moveTo(column + 0.5, row + 0.2);
    context.lineTo(column + 0.5, row + 0.8);
    context.stroke();
  }

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Point at the pixel that asks, in the window; and in a head's map " +
      "at a pixel that is asked. Or use Tab and the arrow keys. Over each map stands " +
      "the head and its largest weight.",
  });
  const draws = [];
  const above = figure.element(stage, "div", { className: "panels" });
  figure.board(figure.panel(above, "The photograph", "small"), {
    columns: image.width,
    rows: image.height,
    label: "The photograph, with a frame around one window of 8 by 8 pixels",
    draw: (context, unit) => {
      context.drawImage(image, 0, 0);
      const [top, left] = corner;
      figure.frame(context, unit, "white", [left - 1, top - 1, M + 2, M + 2], 3);
      figure.frame(context, unit, PALETTE.axis.M, [left, top, M, M], 3);
    },
  });
  draws.push(figure.board(figure.panel(above, "Who asks", "small"), {
    columns: M,
    rows: M,
    label: "The window; arrow keys move the pixel that asks",
    at: () => place(asks),
    choose: (row, column) => {
      asks = row * M + column;
      show();
    },
    draw: (context, unit) => {
      context.drawImage(image, corner[1], corner[0], M, M, 0, 0, M, M);
      cross(context, unit, asks);
    },
  }));
  const last = figure.panel(above, "Bias table", "small");
  draws.push(figure.board(last, {
    columns: side,
    rows: side,
    label: "The bias table of the head; the entries that the asking pixel uses stand " +
      "out, and the one in use has a frame",
    draw: (context, unit) => {
      const [row, column] = place(asks);
      figure.cells(context, side, side, (y, x) => {
        const share = 0.5 + table[y * side + x][head] / (2 * bound[head]);
        const used = y >= row && y < row + M && x >= column && x < column + M;
        return figure.mapped(PALETTE.diverging, share) + (used ? "" : "40");
      });
      const text = figure.themed("text-base");
      figure.frame(context, unit, text, [column, row, M, M], 2);
      const used = entry(asks, asked);
      figure.frame(context, unit, PALETTE.series[1],
        [used % side, Math.floor(used / side), 1, 1], 4);
    },
  }));

  figure.choice(stage, "Weights from", kinds, (k) => {
    kind = k;
    show();
  });
  const maps = figure.element(stage, "div", { className: "panels maps" });
  const titles = content.map((_, h) => {
    const panel = figure.panel(maps, " ", "tiny");
    draws.push(figure.board(panel, {
      columns: M,
      rows: M,
      label: `Head ${h + 1}: whom the pixel listens to; arrow keys move the pixel ` +
        "that is asked",
      at: () => place(asked),
      choose: (row, column) => {
        [head, asked] = [h, row * M + column];
        show();
      },
      draw: (context, unit) => {
        const shares = weights(h, asks);
        const most = Math.max(...shares);
        figure.cells(context, M, M, (y, x) =>
          figure.mapped(PALETTE.sequential, shares[y * M + x] / most));
        cross(context, unit, asks);
        const [y, x] = place(asked);
        if (h === head) figure.frame(context, unit, "white", [x, y, 1, 1], 3);
      },
    }));
    return panel.querySelector(".title");
  });
  const say = figure.live(stage);

  function show() {
    last.querySelector(".title").textContent = `Bias table, head ${head + 1}`;
    titles.forEach((title, h) => {
      const most = Math.max(...weights(h, asks));
      title.textContent = `${h + 1}: max ${(100 * most).toFixed(0)}%`;
    });
    const share = 100 * weights(head, asks)[asked];
    const score = content[head][asks][asked];
    const used = entry(asks, asked);
    const bias = table[used][head];
    say(`Head ${head + 1}: pixel ${named(asks)} takes ${share.toFixed(1)}% from ` +
      `pixel ${named(asked)}, by ${kinds[kind]}. Content ${signed(score)}, ` +
      `bias ${signed(bias)} from entry ${used} of the table: together ` +
      `${signed(score + bias)}.`);
    draws.forEach((draw) => draw());
  }

  const first = weights(head, asks);
  asked = first.indexOf(Math.max(...first));
  show();
});
