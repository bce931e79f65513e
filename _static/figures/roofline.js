/* Chapter 17: every variant under the roofs of its machine, official and ours joined. */

"use strict";

figure.define("roofline", (stage, { variants, roofs, bandwidth, device }) => {
  const runs = ["official float32", "ours bfloat16"];
  const shapes = ["circle", "square", "diamond", "triangle"];
  const bodies = [...new Set(variants.map(({ body }) => body))];
  const count = runs.length * variants.length;
  let chosen = 1;

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Point at a mark, or step through them with the left and right arrow " +
      "keys. Hollow: official, float32. Filled: ours, bfloat16.",
  });
  const say = figure.live(stage);
  const key = figure.element(stage, "p", { className: "key" });
  bodies.forEach((body, k) => {
    const name = { circle: "●", square: "■", diamond: "◆", triangle: "▲" }[shapes[k]];
    const entry = figure.element(key, "span");
    const mark = figure.element(entry, "span", { textContent: `${name} ` });
    mark.style.color = PALETTE.series[k];
    entry.append(body);
  });

  function contents() {
    const curves = roofs.map(({ name, rate }, k) => {
      const ridge = rate / bandwidth;
      const ends = [[0.1, 0.1 * bandwidth], [ridge, rate], [5e3, rate]];
      const color = "var(--pst-color-text-base)";
      return { points: ends, color, dash: k ? "" : "6 4", text: `roof of ${name.split(" ").pop()}` };
    });
    const marks = [];
    variants.forEach((variant, v) => {
      const body = bodies.indexOf(variant.body);
      const color = PALETTE.series[body];
      const faint = Math.floor(chosen / 2) !== v;
      const points = variant.runs.map(({ intensity, rate }) => [intensity, rate]);
      curves.push({ points, color, faint, wide: faint ? 1 : 2.5 });
      points.forEach(([x, y], r) => marks.push({
        x, y, k: 2 * v + r, color, faint, hollow: r === 0, shape: shapes[body],
      }));
    });
    return { curves, marks };
  }

  const plot = chart(stage, {
    x: { title: "operations per byte moved", log: true, view: [1, 5e3] },
    y: { title: "10¹² operations a second", log: true, view: [0.3, 3000] },
    label: "Roofline of all variants; arrow keys step through them",
    tall: 380,
    count,
    at: () => chosen,
    choose: (k) => {
      chosen = k;
      show();
    },
    contents,
  });

  function show() {
    const variant = variants[Math.floor(chosen / 2)];
    const run = variant.runs[chosen % 2];
    const [official, ours] = variant.runs;
    say(`${variant.name}, ${variant.image}, ${runs[chosen % 2]}: ${run.ms} ms on ` +
      `${device}. ${run.intensity} operations a byte, ${run.rate} · 10¹² operations a ` +
      `second, ${run.share}% of its roof. Ours takes 1/${variant.ratio} of the ` +
      `official ${official.ms} ms (${ours.ms} ms).`);
    plot.draw();
  }

  show();
});
