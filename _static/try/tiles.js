/* Where tiles lie and how they are put together without a seam: the rules of
swinir_lite/restoring (seams.py, tiles.py, tile_size.py), for pixels in the browser. */

const FADE = 8; // pixels of the input over which one tile fades into the next

/** To which length a side is extended, as the official test script does it. */
export function extendedLength(length, window) {
  return (Math.floor(length / window) + 1) * window;
}

/** Where the pixels of an extended side come from: abc|cba|abc. */
export function flippedPosition(position, length) {
  const within = position % (2 * length);
  return Math.min(within, 2 * length - 1 - within);
}

/** The sides of tiles, [height, width], for a picture to fill in early but cheaply:
 * the smallest that cost at most half as much again as the cheapest ones, where one
 * tile has `largest` pixels at most. Small tiles are mostly overlap. */
export function chooseTile(height, width, overlap, largest) {
  const sides = (length) => {
    const found = [];
    for (let count = 1; ; count++) {
      const side = Math.ceil((length + (count - 1) * overlap) / count);
      if (count > 1 && side < 1.25 * overlap) return found;
      found.push([count, side]);
    }
  };
  const choices = [];
  for (const [down, tall] of sides(height)) {
    for (const [across, wide] of sides(width)) {
      const area = tall * wide;
      choices.push({ tall, wide, area, cost: down * across * area });
    }
  }
  const fitting = choices.filter(({ area }) => area <= largest);
  const enough = Math.min(...fitting.map(({ cost }) => cost)) * 1.5;
  const [best] = fitting
    .filter(({ cost }) => cost <= enough)
    .sort((one, other) => one.area - other.area || one.cost - other.cost);
  return [best.tall, best.wide];
}

/** Where tiles start and stop on a side: of one size, at borders of windows. */
export function cut(length, longest, overlap, window) {
  let tile = Math.max(Math.floor(longest / window), 1) * window;
  if (tile >= length) return [[0, length]];
  overlap = Math.min(Math.ceil(overlap / window) * window, tile - window);
  const count = Math.ceil((length - overlap) / (tile - overlap));
  const share = (length + (count - 1) * overlap) / count;
  tile = Math.ceil(share / window) * window;
  const starts = new Set();
  for (let i = 0; i < count; i++) {
    starts.add(Math.min(i * (tile - overlap), length - tile));
  }
  return [...starts].sort((a, b) => a - b).map((start) => [start, start + tile]);
}

function shareOfNext(position, begin, end) {
  if (begin === end) return position >= begin ? 1 : 0;
  return Math.min(Math.max((position - begin) / (end - begin), 0), 1);
}

/** What is kept of tiles: {start, stop} in the input, {low, high} in the output,
 * and weights, which sum to 1 at every pixel. */
export function blend(spans, scale, kept) {
  const fades = [[0, 0]];
  for (let i = 1; i < spans.length; i++) {
    const [before, stop] = spans[i - 1];
    const start = spans[i][0];
    const half = Math.min(FADE, stop - start, start - before) / 2;
    const middle = (start + stop) / 2;
    fades.push([(middle - half) * scale, (middle + half) * scale]);
  }
  fades.push([Infinity, Infinity]);
  const pieces = [];
  spans.forEach(([start, stop], i) => {
    const low = Math.floor(fades[i][0]);
    const high = Math.min(kept, stop * scale, Math.ceil(fades[i + 1][1]));
    if (low >= high) return;
    const weights = new Float32Array(high - low);
    for (let k = 0; k < weights.length; k++) {
      const position = low + k + 0.5;
      weights[k] = shareOfNext(position, ...fades[i]);
      weights[k] -= shareOfNext(position, ...fades[i + 1]);
    }
    pieces.push({ start, stop, low, high, weights });
  });
  return pieces;
}

/** All tiles of a picture in reading order, as pairs of pieces: {row, column}. */
export function plan({ height, width }, { scale, window, overlap }, largest) {
  const sides = [height, width];
  const extended = sides.map((side) => extendedLength(side, window));
  const longest = chooseTile(...extended, overlap, largest);
  const [rows, columns] = sides.map((side, i) =>
    blend(cut(extended[i], longest[i], overlap, window), scale, side * scale),
  );
  return rows.flatMap((row) => columns.map((column) => ({ row, column })));
}

/** How many pixels the network has to see for all tiles. */
export function cost(tiles) {
  return tiles.reduce(
    (sum, { row, column }) =>
      sum + (row.stop - row.start) * (column.stop - column.start),
    0,
  );
}

/** A tile (3, h, w) in [0, 1] of a picture {width, height, colours}, where colours
 * are (height, width, 3) in [0, 1], extended by a flipped copy of itself. */
export function readTile({ width, height, colours }, { row, column }) {
  const [tall, wide] = [row.stop - row.start, column.stop - column.start];
  const tile = new Float32Array(3 * tall * wide);
  for (let y = 0; y < tall; y++) {
    const from = flippedPosition(row.start + y, height) * width;
    for (let x = 0; x < wide; x++) {
      const source = 3 * (from + flippedPosition(column.start + x, width));
      for (let c = 0; c < 3; c++) {
        tile[(c * tall + y) * wide + x] = colours[source + c];
      }
    }
  }
  return tile;
}

/** Add a restored tile (3, h * scale, w * scale) to sums (height, width, 3), and what
 * it contributes to shares (height, width). */
export function addTile({ sums, shares, width }, restored, { row, column }, scale) {
  const tall = (row.stop - row.start) * scale;
  const wide = (column.stop - column.start) * scale;
  for (let y = row.low; y < row.high; y++) {
    const from = (y - row.start * scale) * wide - column.start * scale;
    for (let x = column.low; x < column.high; x++) {
      const weight = row.weights[y - row.low] * column.weights[x - column.low];
      const target = y * width + x;
      shares[target] += weight;
      for (let c = 0; c < 3; c++) {
        sums[3 * target + c] += weight * restored[c * tall * wide + from + x];
      }
    }
  }
}
