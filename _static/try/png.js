/* Write a PNG pixel by pixel: a canvas would lose colours where a picture is nearly
transparent, since it stores them multiplied by alpha. */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++)
    byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function chunk(name, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, checksum(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

async function deflated(bytes) {
  const stream = new Blob([bytes])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** RGBA pixels as a PNG; without alpha where all of them are opaque. */
export async function encodePng({ width, height, pixels, hasAlpha }) {
  const bands = hasAlpha ? 4 : 3;
  const rows = new Uint8Array(height * (1 + width * bands));
  let to = 0;
  for (let y = 0, from = 0; y < height; y++) {
    rows[to++] = 1; // each value less its left neighbour's: a half of the bytes
    for (let x = 0; x < width; x++, from += 4) {
      for (let c = 0; c < bands; c++) {
        rows[to++] = pixels[from + c] - (x ? pixels[from + c - 4] : 0);
      }
    }
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, hasAlpha ? 6 : 2], 8);
  const chunks = [
    new Uint8Array(SIGNATURE),
    chunk("IHDR", header),
    chunk("sRGB", new Uint8Array([0])),
    chunk("IDAT", await deflated(rows)),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(chunks, { type: "image/png" });
}
