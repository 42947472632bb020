import { useEffect, useState } from 'react';
import { useAppDispatch } from '../../../../shared/hooks';
import { loadFile } from './filesSlice';

export interface Loaded {
  blob: Blob | null;
  /** A blob: URL that lives as long as the caller shows it. */
  url: string;
  failed: boolean;
}

const nothing: Loaded = { blob: null, url: '', failed: false };

/** Fetches a file, once it is wanted. */
export function useFile(id: string | undefined, wanted = true): Loaded {
  const dispatch = useAppDispatch();
  const [file, setFile] = useState(nothing);
  useEffect(() => {
    if (!id || !wanted) return;
    let url = '';
    let gone = false;
    const request = dispatch(loadFile(id));
    request.unwrap().then(
      (blob) => {
        if (gone) return;
        url = URL.createObjectURL(blob);
        setFile({ blob, url, failed: false });
      },
      () => {
        if (!gone) setFile({ ...nothing, failed: true });
      },
    );
    return () => {
      gone = true;
      request.abort();
      if (url) URL.revokeObjectURL(url);
      setFile(nothing);
    };
  }, [dispatch, id, wanted]);
  return file;
}
