import { useSelector } from 'react-redux';
import type { SharedState } from '../../shared/state';
import type { SessionsState } from './sessionsSlice';

export const useSessionsSelector = useSelector.withTypes<SharedState & { sessions: SessionsState }>();
