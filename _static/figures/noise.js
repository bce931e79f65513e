/* Chapter 11: noise of any level, taken away by non-local means and by the network, both
computed here. The network runs in the worker of the page "Try it". */

"use strict";

figure.define("noise", async (stage, data) => {
  const { height, width, spread, patch, reach, levels } = data;
  const WAIT = 60; // milliseconds for which a slider rests before much is computed
  const TRY = new URL("../_static/try/", document.baseURI);
  const size = height * width;

  /* The colours of a picture from 0 to 1, three values a pixel. */
  async function coloursOf(address) {
    const image = await figure.photograph(address);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data: pixels } = context.getImageData(0, 0, width, height);
    return Float32Array.from({ length: 3 * size },
      (_, i) => pixels[4 * Math.floor(i / 3) + (i % 3)] / 255);
  }

  const clean = await coloursOf(data.photo);
  const noise = (await coloursOf(data.noise)).map((v) => (255 * v - 128) / spread);
  const rounded = (v) => Math.round(255 * Math.min(1, Math.max(0, v)));

  /* PSNR in dB against the clean photograph, as rounded to 8 bits. */
  function psnr(colours) {
    let sum = 0;
    colours.forEach((v, i) => {
      sum += (rounded(v) - rounded(clean[i])) ** 2;
    });
    return 10 * Math.log10((255 ** 2 * 3 * size) / sum);
  }

  /* A picture with a rim of reflected pixels around it. */
  function padded(colours, rim) {
    const reflected = (k, count) => (k < 0 ? -k : k < count ? k : 2 * count - 2 - k);
    const [tall, wide] = [height + 2 * rim, width + 2 * rim];
    const values = new Float64Array(3 * tall * wide);
    for (let y = 0; y < tall; y++) {
      for (let x = 0; x < wide; x++) {
        const from = reflected(y - rim, height) * width + reflected(x - rim, width);
        for (let c = 0; c < 3; c++) {
          values[3 * (y * wide + x) + c] = colours[3 * from + c];
        }
      }
    }
    return { values, wide };
  }

  /* Average each pixel over those whose surroundings look alike, as in
  chapters/noise_levels.py; sigma on 0..1. */
  function nonLocalMeans(noisy, sigma, strength) {
    const side = 2 * patch + 1;
    const rim = patch + reach;
    const { values, wide } = padded(noisy, rim);
    const [rows, columns] = [height + 2 * patch, width + 2 * patch];
    const total = new Float64Array(3 * size);
    const weights = new Float64Array(size);
    const sums = new Float64Array((rows + 1) * (columns + 1));
    const scale = 1 / (side * strength * sigma) ** 2;
    /* Sums of the squared differences above and left of each pixel. */
    function difference(offset) {
      for (let y = 0; y < rows; y++) {
        let row = 0;
        for (let x = 0; x < columns; x++) {
          const a = 3 * ((y + reach) * wide + x + reach);
          const b = a + offset;
          const square = (values[a] - values[b]) ** 2
            + (values[a + 1] - values[b + 1]) ** 2
            + (values[a + 2] - values[b + 2]) ** 2;
          row += square / 3 - 2 * sigma ** 2;
          sums[(y + 1) * (columns + 1) + x + 1] = sums[y * (columns + 1) + x + 1] + row;
        }
      }
    }
    function gather(offset) {
      for (let y = 0; y < height; y++) {
        const [top, bottom] = [y * (columns + 1), (y + side) * (columns + 1)];
        for (let x = 0; x < width; x++) {
          const sum = sums[bottom + x + side] - sums[top + x + side]
            - sums[bottom + x] + sums[top + x];
          const weight = Math.exp(-Math.max(sum, 0) * scale);
          const p = y * width + x;
          const from = 3 * ((y + rim) * wide + x + rim) + offset;
          weights[p] += weight;
          for (let c = 0; c < 3; c++) total[3 * p + c] += weight * values[from + c];
        }
      }
    }
    for (let down = -reach; down <= reach; down++) {
      for (let right = -reach; right <= reach; right++) {
        const offset = 3 * (down * wide + right);
        difference(offset);
        gather(offset);
      }
    }
    return Float32Array.from(total, (v, i) => v / weights[Math.floor(i / 3)]);
  }

  /* The strength that was best in Python at the next level that it tried. */
  function strengthAt(sigma) {
    const above = levels.findIndex((level) => level.sigma >= sigma);
    return levels[above < 0 ? levels.length - 1 : above].strength;
  }

  const shown = { noisy: null, classical: null, network: null, clean };
  let { sigma } = data;
  let network = null; // once it is asked for
  let latest = 0; // the number of the last computation

  figure.element(stage, "p", {
    className: "hint",
    textContent: "Move the slider: your browser adds noise of this level and takes it " +
      "away again, by non-local means at once, by the network when you start it.",
  });
  const values = figure.range(5, levels[levels.length - 1].sigma + 1, 5);
  figure.slider(stage, {
    label: "Noise, sigma",
    values,
    value: sigma,
    change: (chosen) => {
      sigma = chosen;
      compute();
    },
  });
  const start = figure.element(stage, "button", {
    type: "button", textContent: "Start the network here (about 17 MB to load)",
  });
  start.addEventListener("click", load);
  const panels = figure.element(stage, "div", { className: "panels" });
  const titles = {
    noisy: "Noisy", classical: "Non-local means", network: "SwinIR", clean: "Clean",
  };
  const draws = Object.entries(titles).map(([name, title]) => {
    const panel = figure.panel(panels, title, "small");
    return figure.board(panel, {
      columns: width,
      rows: height,
      label: title,
      draw: (context) => {
        const colours = shown[name];
        if (colours) {
          figure.cells(context, width, height, (y, x) => {
            const p = 3 * (y * width + x);
            const channels = [0, 1, 2].map((c) => rounded(colours[p + c]));
            return `rgb(${channels.join(" ")})`;
          });
        }
      },
    });
  });
  const say = figure.live(stage);

  async function load() {
    start.disabled = true;
    start.textContent = "Loading ...";
    try {
      // this first: a module that did not come once is not asked for again
      const answer = await fetch(new URL("models.json", TRY)).catch(() => null);
      if (!answer?.ok) throw new Error("its files could not be loaded");
      const { models } = await answer.json();
      const { Network } = await import(new URL("network.js", TRY));
      let bytes = 0;
      const made = new Network(({ more = 0 }) => {
        bytes += more;
        start.textContent = `Loading: ${(bytes / 1e6).toFixed(1)} MB so far`;
      });
      await made.load(models.color_denoise);
      network = made;
      start.hidden = true;
      compute();
    } catch (error) {
      start.textContent = `Try again: the network did not start (${error.message})`;
      start.disabled = false;
    }
  }

  /* Run the network on one tile, or return null when something newer was asked. */
  async function restored(noisy, number) {
    network.stop();
    const part = (length) => ({
      start: 0, stop: length, low: 0, high: length, weights: new Float32Array(length).fill(1),
    });
    const tile = { row: part(height), column: part(width) };
    const answer = network.restore({ width, height, colours: noisy }, [tile], 1, () => {});
    const found = await answer;
    return found && number === latest ? found.colours : null;
  }

  function compute() {
    const number = ++latest;
    const noisy = clean.map((v, i) => v + (sigma / 255) * noise[i]);
    Object.assign(shown, { noisy, classical: null, network: null });
    tell();
    setTimeout(() => number === latest && denoise(noisy, number), WAIT);
  }

  async function denoise(noisy, number) {
    shown.classical = nonLocalMeans(noisy, sigma / 255, strengthAt(sigma));
    tell();
    if (!network) return;
    const colours = await restored(noisy, number);
    if (!colours) return;
    shown.network = colours;
    tell();
  }

  function tell() {
    const found = Object.entries(titles)
      .filter(([name]) => shown[name] && name !== "clean")
      .map(([name, title]) => `${title} ${psnr(shown[name]).toFixed(2)} dB`);
    const wait = network && !shown.network ? " SwinIR is computing." : "";
    say(`Sigma ${sigma}: ${found.join(", ")}.${wait}`);
    draws.forEach((draw) => draw());
  }

  compute();
});
