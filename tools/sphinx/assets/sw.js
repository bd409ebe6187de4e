// Offline reading over http: keep the text, ask the network first. The build puts
// FILES (what makes the book, without its pictures) and NAME (their digest) above.
// Pictures are kept once a page that shows them has been read.

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(FILES)));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  const old = (names) => names.filter((name) => name !== NAME);
  event.waitUntil(
    caches.keys().then((names) => Promise.all(old(names).map((n) => caches.delete(n)))),
  );
  event.waitUntil(self.clients.claim());
});

async function answer(request) {
  const cache = await caches.open(NAME);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) cache.put(request, fresh.clone());
    return fresh;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("fetch", (event) => {
  const own = new URL(event.request.url).origin === self.location.origin;
  if (own && event.request.method === "GET") event.respondWith(answer(event.request));
});
