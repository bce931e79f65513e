/* Chapter 19: the ladder of records and their loss curves, with every record's row. */

"use strict";

figure.define("speedrun", (stage, { rungs, target, sets }) => {
  let [chosen, set] = [rungs.length - 1, sets[0]];
  const dashes = ["", "7 3", "2 3"];
  const more = (rung) => rung.images > 2000;
  const color = (rung) => PALETTE.series[more(rung) ? 1 : 0];

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Point at a run in either chart, or step through the runs with the " +
      "left and right arrow keys; + and \u2212 zoom. Squares learned from more " +
      "photographs; solid lines join runs that differ in one thing.",
  });
  const say = figure.live(stage);
  figure.choice(stage, "Test set", sets, (k) => {
    set = sets[k];
    ladder.view("y", view());
    show();
  });

  /* Whether a run and the one that it is compared with were measured on the set. */
  const both = (rung) =>
    rung.against && rung.psnr[set] && rungs[rung.against - 1].psnr[set];
  const ink = "var(--pst-color-text-base)";
  const level = (from, to, more) => (
    { points: [from, to].map((x) => [x, target[set]]), color: ink, ...more });
  const paper = () => (target[set]
    ? [level(0.01, 1e3, { dash: "6 4" }), level(11, 11, { text: "the paper" })] : []);

  /* The range of PSNR on the chosen test set, with some room. */
  function view() {
    const scores = rungs.map(({ psnr }) => psnr[set]).filter(Boolean);
    if (target[set]) scores.push(target[set]);
    const [low, high] = [Math.min(...scores), Math.max(...scores)];
    return [low - 0.12 * (high - low), high + 0.12 * (high - low)];
  }
  /* A run's PSNR on a test set in words, the mean where it has several seeds. */
  function score({ psnr, spread }, name) {
    if (!psnr[name]) return "not measured";
    const mean = psnr[name].toFixed(3);
    return spread ? `mean ${mean}, seeds ${spread[name].toFixed(3)} apart` : mean;
  }
  const choose = (k) => {
    chosen = k;
    show();
  };
  const common = { count: rungs.length, at: () => chosen, choose };

  const ladder = chart(stage, {
    ...common,
    x: { title: "GPU minutes in all", log: true, view: [6.5, 48] },
    y: { title: "PSNR in dB", view: view() },
    label: "The ladder: PSNR over minutes of training; arrow keys step through the runs",
    contents: () => ({
      curves: [...paper(), ...rungs.filter(both).map((rung) => ({
        points: [rungs[rung.against - 1], rung].map((r) => [r.minutes, r.psnr[set]]),
        color: "var(--pst-color-text-muted)", wide: 1,
        dash: rung.changes === 1 ? "" : "2 3",
      }))],
      marks: rungs.map((rung, k) => ({
        x: rung.minutes, y: rung.psnr[set], k, color: color(rung), text: k + 1,
        shape: more(rung) ? "square" : "circle",
      })).filter(({ y }) => y),
    }),
  });

  const ends = rungs.flatMap(({ curve }) => curve);
  const losses = chart(stage, {
    ...common,
    x: {
      title: "GPU minutes of this run", log: true,
      view: [ends.reduce((a, [m]) => Math.min(a, m), 1e9), 30],
    },
    y: {
      title: "training loss", log: true,
      view: [0.97, 1.03].map((f, k) => f * Math[k ? "max" : "min"](
        ...ends.map(([, loss]) => loss))),
    },
    label: "Loss curves of all runs; arrow keys step through the runs",
    contents: () => {
      const curves = rungs.map((rung, k) => ({
        points: rung.curve, k, color: color(rung), faint: k !== chosen,
        dash: dashes[k % 3], wide: k === chosen ? 3 : 1.5,
        text: k === chosen ? `${k + 1}` : "",
      }));
      return { curves: [...curves.filter((c) => c.faint), curves[chosen]] };
    },
  });
  const table = figure.element(stage, "table", { className: "table row" });

  function show() {
    const rung = rungs[chosen];
    say(`Run ${chosen + 1}: ${rung.changed}.`);
    const scores = sets.map((name) => [`${name}, dB`, score(rung, name)]);
    const first = rung.spread ? `steps, seed ${rung.seeds[0]}` : "steps";
    const rows = [
      ["minutes in all", rung.minutes], [first, figure.grouped(rung.steps)],
      ["optimiser, rate", `${rung.optimizer}, ${rung.lr}`],
      ["batch, patch", `${rung.batch}, ${rung.patch}`],
      ["photographs", figure.grouped(rung.images)], ...scores,
      ["seeds", rung.seeds.join(", ")], ["on", `${rung.device}, ${rung.date}`],
    ];
    figure.fill(table, rows);
    ladder.draw();
    losses.draw();
  }

  show();
});
