/* Bicubic resizing as in chapter 1 (MATLAB's `imresize`), which serves as the plain
enlargement and makes pictures small without aliasing. */

function cubic(x) {
  x = Math.abs(x);
  if (x <= 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  if (x < 2) return -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2;
  return 0;
}

/** For every output row the input rows it reads, and with which weights. */
function taps(length, scale) {
  const stretch = Math.min(scale, 1);
  const reach = 2 / stretch;
  return Array.from({ length: Math.ceil(length * scale) }, (_, row) => {
    const centre = (row + 0.5) / scale - 0.5;
    const first = Math.floor(centre - reach);
    const found = [];
    let sum = 0;
    for (let at = first; at <= first + Math.ceil(2 * reach) + 1; at++) {
      const weight = cubic((centre - at) * stretch);
      if (!weight) continue;
      const within = ((at % (2 * length)) + 2 * length) % (2 * length);
      found.push([within < length ? within : 2 * length - 1 - within, weight]);
      sum += weight;
    }
    return found.map(([at, weight]) => [at, weight / sum]);
  });
}

function resizeRows(values, rowLength, rows, scale) {
  const plan = taps(rows, scale);
  const result = new Float32Array(plan.length * rowLength);
  plan.forEach((read, row) => {
    const target = row * rowLength;
    for (const [at, weight] of read) {
      const source = at * rowLength;
      for (let i = 0; i < rowLength; i++)
        result[target + i] += weight * values[source + i];
    }
  });
  return result;
}

function transposed(values, height, width, channels) {
  const result = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        result[(x * height + y) * channels + c] =
          values[(y * width + x) * channels + c];
      }
    }
  }
  return result;
}

/** Resize (height, width, channels) by a factor; sides are rounded up. */
export function resize(values, height, width, channels, scale) {
  const tall = Math.ceil(height * scale);
  const wide = Math.ceil(width * scale);
  const rows = resizeRows(values, width * channels, height, scale);
  const columns = transposed(rows, tall, width, channels);
  const both = resizeRows(columns, tall * channels, width, scale);
  return transposed(both, wide, tall, channels);
}
