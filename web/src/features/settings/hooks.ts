import { useSelector } from 'react-redux';
import type { SharedState } from '../../shared/state';
import type { SettingsState } from './settingsSlice';

export const useSettingsSelector = useSelector.withTypes<SharedState & { settings: SettingsState }>();
