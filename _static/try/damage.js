/* Damage a clean picture, so that what a network repairs is known: the degradations of
the book, as far as a browser has them. */

import { decode, fromPixels, pixelsOf, resized, toCanvas } from "./picture.js";

/** Numbers in [0, 1), the same at every call (xorshift; Marsaglia 2003). */
function uniform(state) {
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Add Gaussian noise; sigma is on the scale 0..255. Nothing is clipped. */
export function withNoise(picture, sigma) {
  const draw = uniform(20211010);
  const colours = picture.colours.map((value) => {
    const radius = Math.sqrt(-2 * Math.log(1 - draw()));
    return value + (sigma / 255) * radius * Math.cos(2 * Math.PI * draw());
  });
  return { ...picture, colours };
}

/** Compress by the browser's own JPEG encoder; transparency is set aside meanwhile. */
export async function withJpeg(picture, quality) {
  const canvas = toCanvas({ ...picture, alpha: null });
  const blob = await new Promise((done) =>
    canvas.toBlob(done, "image/jpeg", quality / 100),
  );
  const whole = { left: 0, top: 0, width: picture.width, height: picture.height };
  const read = fromPixels(pixelsOf(await decode(blob), whole), picture.name);
  return { ...read, alpha: picture.alpha };
}

/** Make a picture smaller by a whole number; what does not divide is cut off. */
export function madeSmall(picture, scale) {
  return resized(croppedTo(picture, scale), 1 / scale);
}

/** A picture without the rows and columns that a scale does not divide. */
export function croppedTo(picture, scale) {
  if (Math.min(picture.width, picture.height) < scale) {
    throw new Error(
      `${picture.name} is too small for it: ${scale} pixels a side are the least.`,
    );
  }
  const width = picture.width - (picture.width % scale);
  const height = picture.height - (picture.height % scale);
  const rows = (values, bands) => {
    const kept = new Float32Array(width * height * bands);
    for (let y = 0; y < height; y++) {
      const from = y * picture.width * bands;
      kept.set(values.subarray(from, from + width * bands), y * width * bands);
    }
    return kept;
  };
  return {
    ...picture,
    width,
    height,
    colours: rows(picture.colours, 3),
    alpha: picture.alpha && rows(picture.alpha, 1),
  };
}

/** PSNR in dB of one picture against another, over RGB as rounded pixels. */
export function psnr(picture, truth) {
  const level = (value) => Math.round(255 * Math.min(1, Math.max(0, value)));
  let sum = 0;
  for (let i = 0; i < truth.colours.length; i++) {
    sum += (level(picture.colours[i]) - level(truth.colours[i])) ** 2;
  }
  return 10 * Math.log10((255 ** 2 * truth.colours.length) / sum);
}
