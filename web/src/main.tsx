import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { Api } from './shared/api';
import './styles.css';

/** Where the server is, is said when the page is served: the same build works beside it and elsewhere. */
async function start(): Promise<void> {
  const config = await fetch('/config.json').then((r) => (r.ok ? (r.json() as Promise<{ api?: string }>) : undefined));
  const root = document.getElementById('root');
  if (root) createRoot(root).render(<App api={new Api(config?.api ?? '')} />);
}

start();
