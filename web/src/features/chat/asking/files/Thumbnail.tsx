import { useIntersection } from '@mantine/hooks';
import { IconPhoto, IconPhotoOff } from '@tabler/icons-react';
import { useState } from 'react';
import styles from './Files.module.css';
import { useFile } from './useFile';

/** A small picture of a fixed size, fetched when it comes near the view. */
export function Thumbnail({ id }: { id: string }) {
  const { ref, entry } = useIntersection({ rootMargin: '400px' });
  const [seen, setSeen] = useState(false);
  if (entry?.isIntersecting && !seen) setSeen(true);
  const { url, failed } = useFile(id, seen);
  return (
    <span className={styles.thumbnail} ref={ref}>
      {url ? <img src={url} alt="" /> : failed ? <IconPhotoOff size={22} /> : <IconPhoto size={22} />}
    </span>
  );
}
