import { bytes } from '../../../../shared/format';
import type { Attachment, Limits } from '../../../../shared/protocol';

const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

/** What can be attached, in the words that are shown before. */
export function limitsText(limits: Limits | null): string {
  const kinds = 'PNG, JPEG, GIF or WebP images, and text files';
  if (!limits) return kinds;
  return `${kinds}. Up to ${limits.files_per_prompt} with a message, ${bytes(limits.file_bytes)} each; large images are scaled down`;
}

export const isImage = (file: Pick<Attachment, 'media_type'>): boolean => file.media_type.startsWith('image/');

/** Whether a file may be scaled down. A GIF may move, and stays as it is. */
export const isScalable = (file: File): boolean => IMAGES.includes(file.type) && file.type !== 'image/gif';

/** Why a file cannot be attached, as far as the page can tell; the server looks closer. */
export async function refusalOf(file: File, limits: Limits | null): Promise<string> {
  if (file.size === 0) return 'The file is empty.';
  if (limits && file.size > limits.file_bytes)
    return `${bytes(file.size)} is too large: ${bytes(limits.file_bytes)} at most.`;
  if (IMAGES.includes(file.type)) return '';
  const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
  const zeros = [0, 1].map((parity) => head.some((byte, i) => byte === 0 && i % 2 === parity));
  const utf16 = file.size % 2 === 0 && (head[0] + head[1] === 0x1fd || !(zeros[0] && zeros[1]));
  return head.includes(0) && !utf16 ? 'Neither a PNG, JPEG, GIF or WebP image nor text.' : '';
}

/** A name for what was pasted without one. */
export function nameOf(file: File): string {
  return file.name || `pasted.${file.type.split('/')[1]?.split('+')[0] || 'txt'}`;
}
