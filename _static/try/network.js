/* A network that computes in a worker: asked from the page, answered by promises. */

import { lost } from "./site.js";

/** More threads than this bring little for tiles of this size. */
const MOST_THREADS = 8;
const cores = Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS);

/** How many threads a reload can bring, or 0 if none. */
export function threadsToGain() {
  return !crossOriginIsolated && navigator.serviceWorker && cores > 1 ? cores : 0;
}

/** Have the page isolated from now on, which threads need, and load it anew. */
export async function isolate() {
  const worker = new URL("isolate.js", location.href);
  await navigator.serviceWorker.register(worker, { scope: "./" });
  await navigator.serviceWorker.ready;
  location.reload();
}

export class Network {
  /** `onloading` is called with {what, bytes, total} while files come in, then with
   * {backend} while what they compute is checked. */
  constructor(onloading) {
    Object.assign(this, { onloading, worker: null, bytes: 0, questions: new Map() });
    Object.assign(this, { model: null, loading: null, facts: null, restoring: null });
  }

  start() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.hear(data));
    this.worker.addEventListener("error", (event) => {
      const error = event.message ? new Error(event.message) : lost("the worker");
      this.worker.terminate();
      // the next question starts another one
      Object.assign(this, { worker: null, model: null });
      for (const { failed } of this.questions.values()) failed(error);
    });
  }

  hear({ id, told, ...data }) {
    const question = this.questions.get(id);
    this.bytes += data.more ?? 0;
    if (!question) return; // it was stopped
    if (told === "done") question.done(data);
    else if (told === "failed") question.failed(new Error(data.message));
    else question.heard(data);
  }

  /** Ask the worker something; `heard` gets what it tells before it is done. */
  ask(question, heard) {
    if (!this.worker) this.start();
    const id = crypto.getRandomValues(new Uint32Array(1))[0];
    const answer = new Promise((done, failed) => {
      this.questions.set(id, { done, failed, heard });
      this.worker.postMessage({ id, ...question });
    });
    return { id, answer: answer.finally(() => this.questions.delete(id)) };
  }

  /** Load a model of models.json and check it: facts say what ran and how well. */
  async load(model) {
    if (this.model !== model) {
      const threads = crossOriginIsolated ? cores : 1;
      this.model = model;
      this.loading = this.ask({ do: "load", model, threads }, this.onloading).answer;
    }
    try {
      this.facts = await this.loading;
    } catch (error) {
      this.model = null; // so that it can be tried again
      throw error;
    }
  }

  /** Restore a picture: {colours, seconds}, or null when it was stopped. */
  restore(picture, tiles, scale, ontile) {
    const { width, height, colours } = picture;
    const seen = { width, height, colours };
    const { id, answer } = this.ask(
      { do: "restore", picture: seen, tiles, scale },
      ontile,
    );
    this.restoring = id;
    return answer;
  }

  /** The tile that is being computed comes to its end, and is forgotten. */
  stop() {
    this.worker?.postMessage({ do: "stop" });
    this.questions.get(this.restoring)?.done(null);
  }
}
