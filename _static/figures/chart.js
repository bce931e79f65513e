/* Curves and points on two axes, to point at, to step through and to zoom into. */

"use strict";

const chart = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const MARGIN = { left: 52, right: 12, top: 10, bottom: 44 };

  function drawn(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  /* Round values within a view: 1, 2, 5 and their tens. */
  function ticks({ log }, [low, high], count) {
    if (log) {
      const tens = figure.range(Math.floor(Math.log10(low)), Math.log10(high) + 1)
        .map((k) => 10 ** k);
      const all = tens.flatMap((ten) => [ten, 2 * ten, 5 * ten]);
      const within = (list) => list.filter((v) => v >= low && v <= high);
      if (within(all).length <= count) {
        if (within(all).length > 1) return within(all);
      } else if (within(tens).length > 1) return within(tens);
    }
    const rough = (high - low) / count;
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * ten).find((s) => s >= rough);
    return figure.range(Math.ceil(low / step), high / step + 1e-9)
      .map((k) => Number((k * step).toPrecision(6)));
  }

  /* The SVG path of a shape of radius 5 around the origin. */
  const SHAPES = {
    circle: "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z",
    square: "M-4.5 -4.5H4.5V4.5H-4.5Z",
    diamond: "M0 -6.2L6.2 0L0 6.2L-6.2 0Z",
    triangle: "M0 -6L5.5 4.5H-5.5Z",
  };

  /* A chart in `parent`.

  x and y: {title, log, view: [low, high]}; label for those who cannot see it; count
  things to choose from, of which choose(k) takes one and at() is the chosen one;
  contents() gives what is drawn: marks {x, y, k, shape, color, hollow, text, faint},
  curves {points, k, color, dash, text, faint}. Returns {draw, zoom, whole}. */
  return function chart(parent, { x, y, label, count, choose, at, contents, tall = 300 }) {
    const svg = drawn(parent, "svg", {
      class: "chart", tabindex: 0, role: "application", "aria-label": label,
    });
    const axes = { x, y };
    const views = { x: [...x.view], y: [...y.view] };
    const scaled = (axis, v) => (axes[axis].log ? Math.log(v) : v);
    let width = 0;
    let marks = [];
    let pointed = null; // the mark nearest to where the pointer was last

    /* Where a value lies on the page, in pixels of the drawing. */
    function place(axis, value) {
      const [low, high] = views[axis].map((v) => scaled(axis, v));
      const share = (scaled(axis, value) - low) / (high - low);
      return axis === "x"
        ? MARGIN.left + share * (width - MARGIN.left - MARGIN.right)
        : tall - MARGIN.bottom - share * (tall - MARGIN.top - MARGIN.bottom);
    }

    function drawAxes() {
      const [left, right] = [MARGIN.left, width - MARGIN.right];
      const [top, bottom] = [MARGIN.top, tall - MARGIN.bottom];
      for (const v of ticks(x, views.x, Math.max(3, width / 90))) {
        const p = place("x", v);
        drawn(svg, "path", { class: "grid", d: `M${p} ${top}V${bottom}` });
        drawn(svg, "text", { x: p, y: bottom + 16, "text-anchor": "middle" }, v);
      }
      for (const v of ticks(y, views.y, tall / 50)) {
        const p = place("y", v);
        drawn(svg, "path", { class: "grid", d: `M${left} ${p}H${right}` });
        drawn(svg, "text", { x: left - 6, y: p + 4, "text-anchor": "end" }, v);
      }
      const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
      drawn(svg, "text", { x: middle.x, y: tall - 6, "text-anchor": "middle" }, x.title);
      drawn(svg, "text", {
        transform: `translate(12 ${middle.y}) rotate(-90)`, "text-anchor": "middle",
      }, y.title);
      return drawn(svg, "svg", {
        x: left, y: top, width: right - left, height: bottom - top,
        viewBox: `${left} ${top} ${right - left} ${bottom - top}`,
      });
    }

    function drawCurve(inside, { points, color, dash = "", text, faint, wide = 2 }) {
      const ends = points.map(([a, b]) => `${place("x", a)} ${place("y", b)}`);
      drawn(inside, "path", {
        class: faint ? "curve faint" : "curve", d: `M${ends.join("L")}`,
        stroke: color, "stroke-dasharray": dash, "stroke-width": wide,
      });
      if (!text) return;
      const [a, b] = points[points.length - 1];
      const corner = { x: place("x", a) - 4, y: place("y", b) - 6 };
      drawn(inside, "text", { ...corner, "text-anchor": "end" }, text);
    }

    /* Whether another mark lies so close below that a text there would seem its own. */
    const isAbove = (mark, found) => found.some((other) => {
      const [across, down] = ["x", "y"].map((axis) =>
        place(axis, other[axis]) - place(axis, mark[axis]));
      return other !== mark && Math.abs(across) < 12 && down > 0 && down < 20;
    });

    /* Where each mark's text covers neither a mark nor another text, the chosen one's
    first; a text for which there is no such place is left out. */
    function placeTexts(found) {
      const box = (px, py, w, h) => ({ left: px, right: px + w, top: py, bottom: py + h });
      const apart = (a, b) => a.right <= b.left || b.right <= a.left ||
        a.bottom <= b.top || b.bottom <= a.top;
      const inner = box(MARGIN.left, MARGIN.top,
        width - MARGIN.left - MARGIN.right, tall - MARGIN.top - MARGIN.bottom);
      const within = (a) => a.left >= inner.left && a.right <= inner.right &&
        a.top >= inner.top && a.bottom <= inner.bottom;
      const taken = found.map(({ x: a, y: b }) =>
        box(place("x", a) - 6, place("y", b) - 6, 12, 12));
      const spots = new Map();
      const wanted = found.filter(({ text }) => text !== undefined)
        .sort((a, b) => (b.k === at()) - (a.k === at()));
      for (const mark of wanted) {
        const [px, py] = [place("x", mark.x), place("y", mark.y)];
        const [w, h] = [8 * `${mark.text}`.length + 2, 14];
        const below = [[8, 14], [-7 - w, 14]];
        const above = [[8, -5], [-7 - w, -5]];
        const beside = isAbove(mark, found) ? [above, below] : [below, above];
        for (const [dx, dy] of [...beside.flat(), [-w / 2, 22], [-w / 2, -12]]) {
          const area = box(px + dx, py + dy - 11, w, h);
          if (!within(area) || !taken.every((other) => apart(area, other))) continue;
          taken.push(area);
          spots.set(mark.k, { x: dx, y: dy });
          break;
        }
      }
      return spots;
    }

    function drawMark(inside, mark, spot) {
      const { x: a, y: b, k, shape, color, hollow, text, faint } = mark;
      const group = drawn(inside, "g", {
        class: faint ? "mark faint" : "mark",
        transform: `translate(${place("x", a)} ${place("y", b)})`,
      });
      if (k === at()) drawn(group, "circle", { class: "chosen", r: 10 });
      drawn(group, "path", { class: "rim", d: SHAPES[shape] });
      drawn(group, "path", {
        d: SHAPES[shape], stroke: color, "stroke-width": 2,
        fill: hollow ? "var(--pst-color-background)" : color,
      });
      if (spot) drawn(group, "text", spot, text);
    }

    function draw() {
      width = svg.getBoundingClientRect().width;
      if (!width) return; // in a fold that is closed
      svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
      svg.style.height = `${tall}px`;
      svg.replaceChildren();
      const inside = drawAxes();
      const found = contents();
      for (const curve of found.curves ?? []) drawCurve(inside, curve);
      const spots = placeTexts(found.marks ?? []);
      for (const mark of found.marks ?? []) drawMark(inside, mark, spots.get(mark.k));
      marks = [
        ...(found.marks ?? []),
        ...(found.curves ?? []).flatMap(({ points, k }) =>
          k === undefined ? [] : points.map(([a, b]) => ({ x: a, y: b, k }))),
      ].filter(({ k }) => k !== undefined);
    }

    /* Choose what is nearest to the pointer. */
    function point(event) {
      const box = svg.getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      const far = (m) => Math.hypot(place("x", m.x) - px, place("y", m.y) - py);
      let best = null;
      for (const mark of marks) {
        const distance = far(mark);
        if (!best || distance < best.distance) best = { distance, mark };
      }
      if (!best || best.distance > 40) return;
      pointed = best.mark;
      if (pointed.k !== at()) choose(pointed.k);
    }

    /* Show a part of the view around what is chosen, where the pointer was on it. */
    function zoom(factor) {
      const middle = pointed?.k === at() ? pointed : marks.findLast((m) => m.k === at());
      for (const axis of ["x", "y"]) {
        const [low, high] = views[axis].map((v) => scaled(axis, v));
        const centre = middle ? scaled(axis, middle[axis]) : (low + high) / 2;
        const half = (high - low) / 2 / factor;
        views[axis] = [centre - half, centre + half]
          .map((v) => (axes[axis].log ? Math.exp(v) : v));
      }
      draw();
    }

    function whole() {
      views.x = [...x.view];
      views.y = [...y.view];
      draw();
    }

    const keys = {
      ArrowRight: () => choose((at() + 1) % count),
      ArrowLeft: () => choose((at() + count - 1) % count),
      "+": () => zoom(2),
      "-": () => zoom(0.5),
      0: whole,
    };
    svg.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      act();
    });
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    new ResizeObserver(draw).observe(svg);

    const buttons = figure.element(parent, "div", { className: "choice" });
    for (const [text, act] of [
      ["Zoom in", () => zoom(2)], ["Zoom out", () => zoom(0.5)], ["Show all", whole],
    ]) {
      const button = figure.element(buttons, "button", { type: "button" });
      button.textContent = text;
      button.addEventListener("click", act);
    }
    return { draw, view(axis, view) { axes[axis].view = view; whole(); } };
  };
})();
