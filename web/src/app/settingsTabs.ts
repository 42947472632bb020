/** The tabs of the settings by their name in the address. */
export const settingsTabs = { defaults: 'Defaults', providers: 'Providers', prices: 'Prices', usage: 'Usage' };

/** The tab that an address asks for, or the first. */
export function settingsTab(params: URLSearchParams): string {
  const asked = params.get('tab') ?? '';
  return asked in settingsTabs ? asked : 'defaults';
}
