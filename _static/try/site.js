/* Files of this site, or in a line why they could not be had. */

/** What to say of a file that did not come. */
export const lost = (what) =>
  new Error(`${what} could not be loaded: the connection seems to be lost.`);

/** The answer for a file that the page needs; `what` names it in words. */
export async function ask(url, what) {
  const answer = await fetch(url).catch(() => null);
  if (!answer) throw lost(what);
  if (!answer.ok) throw new Error(`${what} could not be loaded (${answer.status}).`);
  return answer;
}

/** The bytes of an answer; `heard` gets each part as it comes in. */
export async function read(answer, what, heard) {
  const parts = [];
  const reader = answer.body.getReader();
  const next = () =>
    reader.read().catch(() => {
      throw lost(what);
    });
  for (let part = await next(); !part.done; part = await next()) {
    parts.push(part.value);
    heard(part.value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
