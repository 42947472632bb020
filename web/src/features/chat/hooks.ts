import { useSelector } from 'react-redux';
import type { SharedState } from '../../shared/state';
import type { FilesState } from './asking/files/filesSlice';
import type { ChatState } from './streaming/chatState';

export const useChatSelector = useSelector.withTypes<SharedState & { chat: ChatState; files: FilesState }>();
