/* Runs a network beside the page: loads the runtime and a model when it is asked to,
checks both on the golden tile, and restores tile by tile.

Asked {id, do: "load", model, threads}, {id, do: "restore", picture, tiles, scale} and
{do: "stop"}; tells what happens as {id, told: "news" or "done" or "failed", ...}. */

import { ask, read } from "./site.js";
import { addTile, readTile } from "./tiles.js";

const RUNTIME = new URL("runtime/", import.meta.url);
// Of what a restored value may differ on the golden tile, where white is 1
const TOLERANCE = 0.5 / 255;

let ort = null; // the runtime
let loaded = null; // {model, bytes, backend, sessions}
let asked = null; // the question that is being answered
let stopped = false; // whether nobody waits for its answer any more

function tell(told, more) {
  postMessage({ id: asked, told, ...more });
}

/** The bytes of a file of this site, with progress. */
async function fetched(url, what) {
  const answer = await ask(url, what);
  // where it comes compressed, its length is not that of what arrives here
  const whole = !answer.headers.get("content-encoding");
  const total = whole ? Number(answer.headers.get("content-length")) : 0;
  let bytes = 0;
  return read(answer, what, ({ length }) => {
    bytes += length;
    tell("news", { what, bytes, total, more: length });
  });
}

/** Why WebGPU cannot be tried here, or null. */
async function whyNoGpu() {
  if (!navigator.gpu) return "this browser offers no WebGPU";
  if (!("Suspending" in WebAssembly)) return "this browser cannot wait for WebGPU";
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return "WebGPU finds no graphics card it may use";
  const { isFallbackAdapter } = adapter.info ?? adapter;
  return isFallbackAdapter ? "WebGPU has no graphics card here, only software" : null;
}

async function loadRuntime(gpu, threads) {
  const kind = gpu ? ".jspi" : "";
  const name = `ort-wasm-simd-threaded${kind}`;
  const wasm = await fetched(new URL(`${name}.wasm`, RUNTIME), "the runtime");
  const script = new URL(gpu ? "ort.jspi.min.mjs" : "ort.wasm.min.mjs", RUNTIME);
  ort = await import(script);
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.wasmPaths = { mjs: new URL(`${name}.mjs`, RUNTIME).href };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
}

/** A session for tiles of one size, which the GPU needs to be told in advance. */
async function sessionFor({ bytes, backend, sessions }, height, width) {
  const key = backend === "webgpu" ? `${height}x${width}` : "any";
  sessions[key] ??= await ort.InferenceSession.create(bytes, {
    executionProviders: [backend],
    ...(backend === "webgpu" && {
      freeDimensionOverrides: { batch: 1, height, width },
    }),
  });
  return sessions[key];
}

async function run(network, tile, height, width) {
  const session = await sessionFor(network, height, width);
  const image = new ort.Tensor("float32", tile, [1, 3, height, width]);
  const { restored } = await session.run({ image });
  const values = await restored.getData();
  restored.dispose();
  return values;
}

/** Run the golden tile: largest difference from PyTorch, and seconds a pixel. */
async function check(network, golden) {
  tell("news", { backend: network.backend });
  const { height, width } = network.model.golden;
  const pixels = 3 * height * width;
  const input = golden.slice(0, pixels);
  const expected = golden.subarray(pixels);
  await run(network, input, height, width); // the first one also makes the session
  const begin = performance.now();
  const values = await run(network, input, height, width);
  const seconds = (performance.now() - begin) / 1000;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    const found = Math.abs(values[i] - expected[i]);
    if (!(found <= difference)) difference = found; // NaN is a difference too
  }
  return { difference, secondsPerPixel: seconds / (height * width) };
}

/** Load with the first backend that computes the golden tile as PyTorch does. */
async function load({ model, threads }) {
  for (const session of Object.values(loaded?.sessions ?? {})) await session.release();
  loaded = null;
  let why = await whyNoGpu();
  const bytes = await fetched(new URL(model.file, import.meta.url), "the network");
  const golden = new Float32Array(
    (await fetched(new URL(model.golden.file, import.meta.url), "the golden tile"))
      .buffer,
  );
  if (!why) {
    try {
      if (!ort) await loadRuntime(true, 1);
      const network = { model, bytes, backend: "webgpu", sessions: {} };
      const checked = await check(network, golden);
      if (checked.difference <= TOLERANCE) {
        loaded = network;
        return {
          backend: "webgpu",
          why: "it computed the golden tile right",
          ...checked,
        };
      }
      const wrong = checked.difference.toPrecision(2);
      why = `WebGPU was wrong by ${wrong} on the golden tile`;
    } catch (error) {
      why = `WebGPU failed: ${error.message.split("\n")[0]}`;
    }
  }
  if (!ort) await loadRuntime(false, threads);
  const network = { model, bytes, backend: "wasm", sessions: {} };
  const checked = await check(network, golden);
  if (!(checked.difference <= TOLERANCE)) {
    throw new Error(
      "The golden tile came out wrong by " +
        `${checked.difference.toPrecision(2)}: this browser cannot be trusted with it.`,
    );
  }
  loaded = network;
  return { backend: "wasm", why, threads: ort.env.wasm.numThreads, ...checked };
}

async function restore({ picture, tiles, scale }) {
  const width = picture.width * scale;
  const height = picture.height * scale;
  const sums = new Float32Array(3 * width * height);
  const shares = new Float32Array(width * height); // of the result that are summed
  const begin = performance.now();
  for (const [done, tile] of tiles.entries()) {
    await new Promise((next) => setTimeout(next)); // lets a message to stop come in
    if (stopped) return null;
    const [tall, wide] = [
      tile.row.stop - tile.row.start,
      tile.column.stop - tile.column.start,
    ];
    const restored = await run(loaded, readTile(picture, tile), tall, wide);
    addTile({ sums, shares, width }, restored, tile, scale);
    const seconds = (performance.now() - begin) / 1000;
    tell("news", { done: done + 1, seconds, ...soFar({ sums, shares, width }, tile) });
  }
  return { colours: sums, seconds: (performance.now() - begin) / 1000 };
}

/** What a tile covers as a picture: transparent where its neighbours are awaited. */
function soFar({ sums, shares, width }, { row, column }) {
  const piece = { width: column.high - column.low, height: row.high - row.low };
  const colours = new Float32Array(3 * piece.width * piece.height);
  const alpha = new Float32Array(piece.width * piece.height);
  for (let i = 0; i < alpha.length; i++) {
    const down = row.low + Math.floor(i / piece.width);
    const from = down * width + column.low + (i % piece.width);
    alpha[i] = Math.min(1, shares[from]);
    for (let c = 0; c < 3; c++) colours[3 * i + c] = sums[3 * from + c] / shares[from];
  }
  return { left: column.low, top: row.low, piece: { ...piece, colours, alpha } };
}

async function answer(data) {
  [asked, stopped] = [data.id, false];
  try {
    tell("done", await (data.do === "load" ? load(data) : restore(data)));
  } catch (error) {
    tell("failed", { message: error.message });
  }
}

let queue = Promise.resolve(); // one question after the other, but for a stop

addEventListener("message", ({ data }) => {
  if (data.do === "stop") stopped = true;
  else queue = queue.then(() => answer(data));
});
