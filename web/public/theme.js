// Before the first paint, so that a dark page never flashes light.
(() => {
  const wanted = localStorage.getItem('mantine-color-scheme-value') ?? 'auto';
  const dark = wanted === 'dark' || (wanted === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
