import { Alert } from '@mantine/core';
import { useEffect } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import { useSettingsSelector } from './hooks';
import { loadWarnings } from './settingsSlice';

/** What the admin should know of how the server is set up. */
export function Warnings() {
  const dispatch = useAppDispatch();
  const admin = useSettingsSelector((state) => state.auth.user?.role === 'admin');
  const warnings = useSettingsSelector((state) => state.settings.warnings);
  useEffect(() => {
    if (admin) dispatch(loadWarnings());
  }, [admin, dispatch]);
  return warnings.map(({ code, detail }) => (
    <Alert key={code} color="yellow" variant="outline" mb="md" style={{ overflowWrap: 'anywhere' }}>
      {detail}
    </Alert>
  ));
}
