/* Pictures: from a file to what a network sees, and back to pixels.

A picture is {name, width, height, colours, alpha}: colours are (height, width, 3) in
[0, 1], also beyond where noise was added; alpha is (height, width), or null. */

import { resize } from "./resize.js";

const LUMA = [0.299, 0.587, 0.114]; // of red, green and blue
const SPREAD = [1, 2, 4, 8, 16]; // where visible colours are looked for, in pixels

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

/** Read a file upright, in sRGB; an Error says in a line what is wrong with it. */
export async function decode(file) {
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Error(`${file.name || "This"} is no picture that this browser can read.`);
  }
}

/** The pixels of a part of a bitmap, made smaller if a width is given. */
export function pixelsOf(bitmap, { left, top, width, height }, wide = width) {
  const tall = Math.max(1, Math.round((height * wide) / width));
  const context = canvasOf(wide, tall).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, width, height, 0, 0, wide, tall);
  const pixels = context.getImageData(0, 0, wide, tall);
  const isOpaque = pixels.data.every((value, i) => i % 4 < 3 || value === 255);
  return isOpaque || wide !== width
    ? pixels
    : (unmultipliedPixelsOf(bitmap, { left, top, width, height }) ?? pixels);
}

/** The same where a picture is transparent: a canvas stores colours multiplied by
 * alpha, and so forgets those of what is nearly invisible. Null without WebGL. */
function unmultipliedPixelsOf(bitmap, { left, top, width, height }) {
  const gl = canvasOf(1, 1).getContext("webgl2");
  if (
    !gl ||
    Math.max(bitmap.width, bitmap.height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)
  ) {
    return null;
  }
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  const [target, kind] = [gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0];
  gl.framebufferTexture2D(
    target,
    kind,
    gl.TEXTURE_2D,
    gl.getParameter(gl.TEXTURE_BINDING_2D),
    0,
  );
  const data = new Uint8ClampedArray(4 * width * height);
  gl.readPixels(
    left,
    top,
    width,
    height,
    gl.RGBA,
    gl.UNSIGNED_BYTE,
    new Uint8Array(data.buffer),
  );
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return new ImageData(data, width, height);
}

/** Give pixels of alpha 0 the mean colour of the visible ones near by: whatever a
 * file holds there, the network would let it bleed into what is visible. */
function fillHidden(colours, alpha, width, height) {
  let hidden = [];
  alpha.forEach((value, at) => value === 0 && hidden.push(at));
  const visible = alpha.map((value) => (value > 0 ? 1 : 0));
  for (const reach of SPREAD) {
    hidden = hidden.filter((at) => {
      const [y, x] = [Math.floor(at / width), at % width];
      const sums = [0, 0, 0, 0];
      for (let v = Math.max(0, y - reach); v <= Math.min(height - 1, y + reach); v++) {
        for (let u = Math.max(0, x - reach); u <= Math.min(width - 1, x + reach); u++) {
          const from = v * width + u;
          if (!visible[from]) continue;
          for (let c = 0; c < 3; c++) sums[c] += colours[3 * from + c];
          sums[3]++;
        }
      }
      for (let c = 0; c < 3; c++) colours[3 * at + c] = sums[3] ? sums[c] / sums[3] : 0;
      return !sums[3];
    });
  }
}

/** A picture from the pixels of a canvas. */
export function fromPixels({ data, width, height }, name) {
  const colours = new Float32Array(3 * width * height);
  const alpha = new Float32Array(width * height);
  for (let i = 0; i < alpha.length; i++) {
    for (let c = 0; c < 3; c++) colours[3 * i + c] = data[4 * i + c] / 255;
    alpha[i] = data[4 * i + 3] / 255;
  }
  const hasAlpha = alpha.some((value) => value < 1);
  if (hasAlpha) fillHidden(colours, alpha, width, height);
  return { name, width, height, colours, alpha: hasAlpha ? alpha : null };
}

/** Whether a picture's three colours are equal everywhere. */
export function isGray({ colours }) {
  return colours.every((value, i) => value === colours[i - (i % 3)]);
}

/** Restored colours as gray again, each pixel's luma: a network tints it a little. */
export function toGray(colours) {
  const gray = new Float32Array(colours.length);
  for (let i = 0; i < gray.length; i += 3) {
    const luma = LUMA.reduce(
      (sum, weight, c) => sum + weight * Math.min(1, Math.max(0, colours[i + c])),
      0,
    );
    gray.fill(luma, i, i + 3);
  }
  return gray;
}

/** RGBA pixels of a picture, rounded and within 0..255. */
export function toPixels({ width, height, colours, alpha }) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 255 * colours[3 * i + c];
    pixels[4 * i + 3] = alpha ? 255 * alpha[i] : 255;
  }
  return pixels;
}

/** A picture on a canvas of its own. */
export function toCanvas(picture) {
  const canvas = canvasOf(picture.width, picture.height);
  const image = new ImageData(toPixels(picture), picture.width, picture.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** A picture enlarged or made smaller by bicubic interpolation, within [0, 1]. */
export function resized(picture, scale) {
  const { width, height, colours, alpha } = picture;
  const within = (values) => values.map((value) => Math.min(1, Math.max(0, value)));
  return {
    ...picture,
    width: Math.ceil(width * scale),
    height: Math.ceil(height * scale),
    colours: within(resize(colours, height, width, 3, scale)),
    alpha: alpha && within(resize(alpha, height, width, 1, scale)),
  };
}
