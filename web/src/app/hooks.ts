import { useSelector } from 'react-redux';
import type { RootState } from './store';

/** Reads any part of the store, as only app/ may. */
export const useAppSelector = useSelector.withTypes<RootState>();
