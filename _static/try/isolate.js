/* A service worker that isolates the page "Try it" from other origins, as browsers want
it before a page may use threads, where the server sends no headers for that. It stands
at the site's root, keeps nothing, and leaves all other pages alone. */

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (!pathname.endsWith("/try.html") && !pathname.includes("/_static/try/")) return;
  event.respondWith(
    fetch(event.request).then((answer) => {
      if (!answer.body) return answer; // such as "not modified"
      const headers = new Headers(answer.headers);
      headers.set("Cross-Origin-Opener-Policy", "same-origin");
      headers.set("Cross-Origin-Embedder-Policy", "require-corp");
      const { status, statusText } = answer;
      return new Response(answer.body, { status, statusText, headers });
    }),
  );
});
