const KEY = 'omnichat-reloaded';

/**
 * Loads the page again when a part of it is missing, as after an upgrade of the server. A build does so once, lest it
 * go on for ever, and only while the server answers: better a page with a hole than the browser's offline page.
 */
export function reloadWhenStale(build: string): () => void {
  const onMissing = async () => {
    if (sessionStorage.getItem(KEY) === build) return;
    const server = await fetch('/', { cache: 'no-store' }).catch(() => null);
    if (!server?.ok) return;
    sessionStorage.setItem(KEY, build);
    location.reload();
  };
  addEventListener('vite:preloadError', onMissing);
  return () => removeEventListener('vite:preloadError', onMissing);
}
