/* The page "Try it": from a picture to the same picture restored. */

import { Choices } from "./choices.js";
import { Comparison } from "./compare.js";
import { croppedTo, psnr } from "./damage.js";
import { isolate, Network, threadsToGain } from "./network.js";
import {
  decode,
  fromPixels,
  isGray,
  pixelsOf,
  resized,
  toCanvas,
  toGray,
  toPixels,
} from "./picture.js";
import { encodePng } from "./png.js";
import { ask } from "./site.js";
import { cost, plan } from "./tiles.js";

const HERE = new URL("./", import.meta.url);
const PATIENCE = 30; // seconds after which a part or a smaller picture is offered
const MOST_PIXELS = 2 ** 24; // of a result, which every browser can show
const LARGEST_TILE = 2 ** 16; // pixels, for which half a gigabyte of memory suffices
const AT_ONCE = 2 ** 20; // pixels up to which damage is shown at once
const SIDES = [1600, 1280, 1024, 800, 640, 512, 384, 320, 256, 192, 128, 96, 64];

const element = (name) => document.getElementById(`try-${name}`);
const { models, examples, runtime } = await read("models.json")
  .then((answer) => answer.json())
  .catch((error) => {
    element("error").textContent = `${error.message} Loading the page anew may help.`;
    throw error;
  });
const comparison = new Comparison(element("canvas"), element("slider"));
const network = new Network(showLoading);
const choices = new Choices(element("options"), () => busy(show()));

let source = null; // {bitmap, name, damaged}: what was chosen, and a damaged copy
let part = null; // {left, top, width, height, wide}: what of it is restored
let opened = 0; // the latest picture; earlier ones that are under way do not count
let shown = 0; // the latest change, likewise
let result = null; // the URL of the result
let pending = 0; // how much is under way

/** What the site answers for a file that belongs to this page. */
function read(name) {
  return ask(new URL(name, HERE), name);
}

/* Words */

const sides = ({ width, height }) => `${width} × ${height}`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const whole = ({ width, height }) => ({ left: 0, top: 0, width, height });

function inWords(time) {
  if (time < 1.5) return "a second";
  return time < 100
    ? `${Math.round(time)} seconds`
    : `${Math.round(time / 60)} minutes`;
}

/** Wait for what is under way; the page says so, and what went wrong. */
async function busy(work) {
  const box = document.getElementById("try");
  pending++;
  box.ariaBusy = "true";
  try {
    await work;
  } catch (error) {
    element("error").textContent = error.message;
    finish("");
  }
  pending--;
  box.ariaBusy = String(pending > 0);
}

function describe(text) {
  element("caption").textContent = text;
  element("after").hidden = !comparison.after;
  element("canvas").ariaLabel = comparison.after
    ? `${text}. Before and after, divided by a line: arrow keys move it, + and - zoom.`
    : text;
}

function describeFrame({ x, y }) {
  const [across, down] = [x, y].map((part) => `${(100 * part).toFixed(1)}%`);
  element("canvas").ariaLabel =
    `${source.name}, with a frame that begins ${across} from ` +
    `the left and ${down} from the top. Arrow keys move it.`;
}

function modelChosen() {
  return models[choices.model];
}

function noteWhatIsLoaded() {
  const { bytes, golden } = modelChosen();
  const needed =
    (network.model?.name === choices.model ? 0 : bytes + golden.bytes) +
    (network.worker ? 0 : runtime);
  element("note").textContent = needed
    ? `Loads ${megabytes(needed)} at most, all of it from this site.`
    : "";
}

/* What is chosen */

function forget() {
  network.stop();
  for (const name of ["facts", "offer", "download", "threads"])
    element(name).hidden = true;
  element("error").textContent = "";
  comparison.frame = null;
  URL.revokeObjectURL(result);
  finish("");
  return ++shown;
}

/** Whether the book's own damaged copy is meant, which the chosen network repairs. */
function isDamagedCopy() {
  const { bitmap, damaged, task } = source;
  return (
    Boolean(damaged) &&
    !choices.apply &&
    choices.task === task &&
    bitmap.width === enlarged(damaged).width
  );
}

const chosenBitmap = () => (isDamagedCopy() ? source.damaged : source.bitmap);

/** The picture that the network sees, and what it was before it was damaged. */
async function prepare() {
  const { bitmap, name } = source;
  const { scale } = modelChosen();
  const picture = fromPixels(pixelsOf(chosenBitmap(), part, part.wide), name);
  if (isDamagedCopy() && !part.wide) {
    const clean = { left: part.left * scale, top: part.top * scale, ...enlarged(part) };
    return { picture, truth: fromPixels(pixelsOf(bitmap, clean), name) };
  }
  if (!choices.apply) return { picture, truth: null };
  const truth = croppedTo(picture, scale);
  return { picture: await choices.apply(truth, scale), truth };
}

/** Show what was chosen before it is restored. */
async function show() {
  const change = forget();
  const bitmap = chosenBitmap();
  part = whole(bitmap);
  const large = bitmap.width * bitmap.height > AT_ONCE;
  const { picture } = large ? { picture: bitmap } : await prepare();
  if (change !== shown) return;
  comparison.show(large ? bitmap : toCanvas(picture), null, enlarged(picture));
  describe(`${source.name}, ${sides(picture)} pixels`);
}

function enlarged({ width, height }) {
  const { scale } = modelChosen();
  return { width: width * scale, height: height * scale };
}

/** How much the network sees of so many pixels, which may be made small first. */
function seen({ width, height }) {
  const by = choices.shrinks ? modelChosen().scale : 1;
  return { width: Math.floor(width / by), height: Math.floor(height / by) };
}

/** Show a reader's picture; a file that is none leaves all as it is, and at work. */
async function open(file) {
  const turn = ++opened;
  let bitmap = null;
  try {
    bitmap = await decode(file);
  } catch (error) {
    element("error").textContent = error.message;
    return;
  }
  if (turn !== opened) return;
  source = { bitmap, name: file.name || "The picture" };
  for (const button of element("pictures").children) button.ariaPressed = "false";
  await show();
}

async function openExample(example) {
  const change = forget();
  opened++;
  const load = async (name) => decode(await (await read(name)).blob());
  const names = [example.before, example.after, example.clean];
  const [before, after, clean] = await Promise.all(names.map(load));
  if (change !== shown) return;
  choices.set(example.model);
  source = { bitmap: clean, damaged: before, task: choices.task, name: example.title };
  part = whole(before);
  comparison.show(before, after, after);
  comparison.complete = true;
  describe(
    `${example.title}: ${example.psnr_before.toFixed(1)} dB before, ` +
      `${example.psnr_after.toFixed(1)} dB after. PyTorch restored it in advance.`,
  );
  for (const button of element("pictures").children) {
    button.ariaPressed = String(button.textContent === example.title);
  }
  noteWhatIsLoaded();
}

/* Restoring */

const BACKENDS = { webgpu: "the graphics card", wasm: "the processor" };

function showLoading({ what, bytes, total, backend }) {
  if (element("stop").hidden) return; // nobody waits for it any more
  if (backend) {
    element("status").textContent = `Checking what ${BACKENDS[backend]} computes`;
    return;
  }
  const of = total ? ` of ${megabytes(total)}` : "";
  element("status").textContent = `Loading ${what}: ${megabytes(bytes)}${of}`;
  element("progress").value = total ? bytes / total : 0;
}

function begin(text) {
  // what was pressed disappears: whoever uses the keyboard goes on at the button to stop
  const pressed = ["restore", "offer"].some((name) =>
    element(name).contains(document.activeElement),
  );
  element("status").textContent = text;
  element("progress").value = 0;
  for (const name of ["stop", "progress"]) element(name).hidden = false;
  element("restore").hidden = true;
  element("note").textContent = "";
  if (pressed) element("stop").focus();
}

function finish(text) {
  const focused = document.activeElement === element("stop");
  element("status").textContent = text;
  for (const name of ["stop", "progress"]) element(name).hidden = true;
  element("restore").hidden = false;
  if (focused) element("restore").focus();
  noteWhatIsLoaded();
}

const tilesFor = (picture) => plan(picture, modelChosen(), LARGEST_TILE);
const timeFor = (picture) => cost(tilesFor(picture)) * network.facts.secondsPerPixel;
const timeForAll = (chosen) => timeFor(seen(chosen));

/** Whether the result of so much of a picture is one that browsers can show. */
function isShown(chosen) {
  const { width, height } = enlarged(seen(chosen));
  return width * height <= MOST_PIXELS;
}

const isTooMuch = (chosen) => !isShown(chosen) || timeForAll(chosen) > PATIENCE;

/** The largest size of a picture's shape that is not too much. */
function affordable({ width, height }) {
  const longest = Math.max(width, height);
  const smaller = SIDES.filter((side) => side < longest).map((side) => ({
    width: Math.max(1, Math.round((width * side) / longest)),
    height: Math.max(1, Math.round((height * side) / longest)),
  }));
  return (
    smaller.find((size) => !isTooMuch(size)) ?? smaller.at(-1) ?? { width, height }
  );
}

/** Threads are several times as quick, but cost a reload: readers decide. */
function offerThreads() {
  const { backend } = network.facts;
  element("threads").hidden = backend === "webgpu" || !threadsToGain();
  element("threads").textContent = `Use ${threadsToGain()} cores: loads this page anew`;
}

/** Offer a part of a large picture, a smaller one, or patience. */
function offer() {
  const bitmap = chosenBitmap();
  const size = affordable(bitmap);
  const [width, height] = [size.width / bitmap.width, size.height / bitmap.height];
  comparison.show(bitmap, null, enlarged(bitmap));
  comparison.frame = { x: (1 - width) / 2, y: (1 - height) / 2, width, height };
  element("after").hidden = true;
  describeFrame(comparison.frame);
  const about = `about ${inWords(timeForAll(size))}`;
  const ways = [
    [
      `The part in the frame, ${sides(size)}: ${about}`,
      () => ({
        ...size,
        left: Math.round(comparison.frame.x * bitmap.width),
        top: Math.round(comparison.frame.y * bitmap.height),
      }),
    ],
    [
      `All of it, made smaller to ${sides(size)}: ${about}`,
      () => ({
        ...whole(bitmap),
        wide: size.width,
      }),
    ],
  ];
  if (isShown(bitmap)) {
    ways.push([`All of it: about ${inWords(timeForAll(bitmap))}`, () => whole(bitmap)]);
  }
  const text = document.createElement("p");
  text.textContent =
    `${sides(bitmap)} pixels are much for this machine, which restores ` +
    `${sides(size)} in ${about}. Move the frame by touch, mouse or arrow keys.`;
  element("offer").replaceChildren(
    text,
    ...ways.map(([label, choose]) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: label });
      button.addEventListener("click", () => {
        part = choose();
        forget();
        busy(run());
      });
      return button;
    }),
  );
  element("offer").hidden = false;
  offerThreads();
  finish("");
  element("restore").hidden = true;
  element("offer").querySelector("button").focus();
}

async function restore() {
  const change = forget();
  begin("Loading the network");
  await network.load(modelChosen());
  if (change !== shown) return;
  if (isTooMuch(part.wide ? scaledPart() : part)) offer();
  else await run();
}

function scaledPart() {
  return {
    width: part.wide,
    height: Math.round((part.height * part.wide) / part.width),
  };
}

/** Restore what was chosen, tile by tile. */
async function run() {
  const change = shown;
  begin("Restoring");
  const { picture, truth } = await prepare();
  const { scale } = modelChosen();
  const tiles = tilesFor(picture);
  const after = { ...enlarged(picture), name: picture.name };
  after.alpha = picture.alpha && resized(picture, scale).alpha;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [after.width, after.height];
  if (change !== shown) return;
  comparison.show(toCanvas(picture), canvas, after);
  describe(`${source.name}, ${sides(picture)} to ${sides(after)} pixels`);
  const clock = watch(tiles, timeFor(picture));
  const context = canvas.getContext("2d");
  const answer = await network
    .restore(picture, tiles, scale, (tile) => {
      const { width, height } = tile.piece;
      const image = new ImageData(toPixels(tile.piece), width, height);
      context.putImageData(image, tile.left, tile.top);
      clock.done(tile);
      comparison.draw();
    })
    .finally(clock.stop);
  if (!answer) return;
  after.colours = isGray(picture) ? toGray(answer.colours) : answer.colours;
  context.putImageData(new ImageData(toPixels(after), after.width, after.height), 0, 0);
  comparison.complete = true;
  comparison.draw();
  network.facts.secondsPerPixel = answer.seconds / cost(tiles);
  const file = await encodePng({
    ...after,
    pixels: toPixels(after),
    hasAlpha: Boolean(after.alpha),
  });
  if (change !== shown) return; // another picture may stand there by now
  showResult({ picture, truth, after, tiles, file, seconds: answer.seconds });
}

/** Shows the time that is left: expected first, then by what was measured. */
function watch(tiles, expected) {
  const begun = performance.now();
  let [done, finished, rate] = [0, 0, expected / cost(tiles)];
  const show = () => {
    const passed = (performance.now() - begun) / 1000;
    const all = Math.max(rate * cost(tiles), passed);
    element("progress").value = Math.max(done / cost(tiles), passed / all) * 0.99;
    const count = tiles.length > 1 ? `Tile ${finished + 1} of ${tiles.length}, ` : "";
    const text = `${count}${inWords(all - passed)} left`;
    if (element("note").textContent !== text) element("note").textContent = text;
  };
  const timer = setInterval(show, 250);
  show();
  return {
    done: ({ done: count, seconds }) => {
      finished = Math.min(count, tiles.length - 1);
      done = cost(tiles.slice(0, count));
      rate = seconds / done;
      show();
    },
    stop: () => clearInterval(timer),
  };
}

function backendInWords({ backend, why, threads }) {
  if (backend === "webgpu") return `${BACKENDS[backend]}, by WebGPU: ${why}`;
  const many = threads > 1 ? `${threads} threads` : "1 thread";
  const alone = crossOriginIsolated
    ? ""
    : "; the page is not cross-origin isolated, so " + "there are no more threads";
  return `${BACKENDS[backend]}, by WebAssembly in ${many}: ${why}${alone}`;
}

function showResult({ picture, truth, after, tiles, file, seconds }) {
  const { scale } = modelChosen();
  result = URL.createObjectURL(file);
  const stem = source.name
    .replace(/\.[^.]*$/, "")
    .replace(/[^\p{L}\p{M}\p{N}_-]+/gu, "_");
  Object.assign(element("download"), {
    href: result,
    download: `${stem}_${choices.model}.png`,
  });
  element("download").hidden = false;
  const { difference } = network.facts;
  const facts = {
    "Ran on": backendInWords(network.facts),
    "Golden tile":
      `${difference.toExponential(1)} is the largest difference from ` +
      "PyTorch, where white is 1 and a level of 8 bits 0.0039",
    Time:
      `${seconds.toFixed(1)} seconds for ${tiles.length} ` +
      (tiles.length > 1 ? "tiles" : "tile"),
    Loaded: `${megabytes(network.bytes)}, all from this site`,
  };
  if (truth) {
    const plain = scale > 1 ? resized(picture, scale) : picture;
    facts.PSNR = `${psnr(plain, truth).toFixed(1)} dB ${
      scale > 1 ? "by bicubic " + "enlargement" : "before"
    }, ${psnr(after, truth).toFixed(1)} dB restored`;
  }
  element("facts").replaceChildren(
    ...Object.entries(facts).map(([name, text]) => {
      const row = document.createElement("div");
      row.append(document.createElement("dt"), document.createElement("dd"));
      [row.firstChild.textContent, row.lastChild.textContent] = [name, text];
      return row;
    }),
  );
  element("facts").hidden = false;
  offerThreads();
  finish(`Restored in ${seconds.toFixed(1)} seconds.`);
}

/* What readers do */

for (const example of examples) {
  const button = document.createElement("button");
  const image = new Image();
  Object.assign(image, { src: new URL(example.after, HERE).href, alt: "" });
  Object.assign(button, { type: "button", ariaPressed: "false" });
  button.append(image, example.title);
  button.addEventListener("click", () => busy(openExample(example)));
  element("pictures").append(button);
}

const openFile = (file) => file && busy(open(file));

element("restore").addEventListener("click", () => busy(restore()));
element("stop").addEventListener("click", () => {
  shown++;
  network.stop();
  const some = comparison.after && !comparison.complete;
  finish(`Stopped.${some ? " What was restored so far stays in the picture." : ""}`);
});
element("threads").addEventListener("click", () => busy(isolate()));
element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", ({ target }) => {
  openFile(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
addEventListener("paste", ({ clipboardData }) => openFile(clipboardData.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("stage").classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) element("stage").classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  element("stage").classList.remove("dropping");
  openFile(event.dataTransfer.files[0]);
});
element("in").addEventListener("click", () =>
  comparison.setZoom(comparison.zoom * 1.5),
);
element("out").addEventListener("click", () =>
  comparison.setZoom(comparison.zoom / 1.5),
);
element("fit").addEventListener("click", () => comparison.setZoom(1));

element("restore").disabled = false;
comparison.onframe = describeFrame;
await busy(openExample(examples[0]));
