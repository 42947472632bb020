import { createRoot } from 'react-dom/client';
import { makeApp } from './app/App';
import { Api, ApiError } from './shared/api';
import { patiently } from './shared/patiently';
import './styles.css';

/** Where the server is, is said when the page is served: the same build works beside it and elsewhere. */
async function start(): Promise<void> {
  const config = await patiently(async () => {
    const res = await fetch('/config.json');
    if (res.status >= 500) throw new ApiError(res.status, 'unavailable', 'The server is away.');
    return res.ok ? ((await res.json()) as { api?: string }) : undefined;
  });
  const root = document.getElementById('root');
  if (root) createRoot(root).render(makeApp(new Api(config?.api ?? '')));
}

start();
