import { Alert } from '@mantine/core';
import { useSettingsSelector } from './hooks';

/** What the admin should know of how the server is set up. */
export function Warnings() {
  const warnings = useSettingsSelector((state) => state.settings.warnings);
  return warnings.map(({ code, detail }) => (
    <Alert key={code} color="yellow" variant="outline" mb="md" style={{ overflowWrap: 'anywhere' }}>
      {detail}
    </Alert>
  ));
}
