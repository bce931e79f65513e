/* Chapter 8: SwinIR as a map; each part with its shapes, its parameters, and what a
photograph has become there. */

"use strict";

figure.define("architecture", (stage, { rows, channels, dim }) => {
  const parts = rows.flatMap((row) => row.parts);
  const hues = {
    RSTB: "M", STL: "M", attention: "h", MLP: "d", conv: "C", head: "H", norm: "B",
  };
  const buttons = [];
  let chosen = 0;

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Choose a part: click, tap, or the left and right arrow keys.",
  });
  for (const row of rows) {
    figure.element(stage, "p", { className: "title", textContent: row.title });
    const line = figure.element(stage, "div", { className: "choice map" });
    line.setAttribute("role", "group");
    line.setAttribute("aria-label", row.title);
    for (const part of row.parts) {
      const button = figure.element(line, "button", {
        type: "button", textContent: part.name,
      });
      const k = buttons.push(button) - 1;
      const hue = hues[part.name.split(" ")[0]];
      if (hue) button.style.borderBottom = `4px solid ${PALETTE.axis[hue]}`;
      button.addEventListener("click", () => show(k));
    }
    line.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      show((chosen + step + parts.length) % parts.length);
      buttons[chosen].focus();
    });
  }
  const say = figure.live(stage);
  const panels = figure.element(stage, "div", { className: "panels" });

  function show(k) {
    chosen = k;
    const { text, shape, parameters, pictures } = parts[k];
    const count = parameters
      ? `${figure.grouped(parameters)} parameters` : "no parameters";
    const [, first] = shape;
    const axes = first === 3 || first === dim ? "(B, C, H, W)" : "(B, H, W, C)";
    say(`${text} Output ${axes} = (${shape.join(", ")}), ${count}.`);
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === k)));
    panels.replaceChildren();
    const names = pictures.length === 1 ? [""]
      : [`all ${dim} channels`, ...channels.map((c) => `channel ${c + 1} of ${dim}`)];
    pictures.forEach((picture, i) => {
      const panel = figure.panel(panels, names[i], "small");
      figure.element(panel, "img", {
        className: "map", src: picture, alt: `${parts[k].name}: ${names[i] || text}`,
      });
    });
  }

  show(2);
});
