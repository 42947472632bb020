import base from './playwright.config';

/** Three replicas behind the proxy of compose.yaml, which a Go test starts and replaces one after another. */
export default { ...base, testDir: 'e2e-replicas' };
