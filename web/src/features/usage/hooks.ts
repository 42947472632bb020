import { useSelector } from 'react-redux';
import type { SharedState } from '../../shared/state';
import type { UsageState } from './usageSlice';

export const useUsageSelector = useSelector.withTypes<SharedState & { usage: UsageState }>();
