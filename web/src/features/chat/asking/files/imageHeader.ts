export interface Measured {
  type: 'image/png' | 'image/jpeg' | 'image/webp';
  width: number;
  height: number;
  /** The file says that its pixels are to be turned or mirrored (EXIF). */
  turned: boolean;
}

const DAMAGED = 'The image is damaged or not whole.';

/**
 * What a PNG, JPEG or WebP file says of its pixels, without decoding them. It is null for any other
 * file, and throws if the file ends too early: browsers show such a part as if it were the whole.
 */
export function measure(data: Uint8Array): Measured | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const text = (at: number, n: number) => String.fromCharCode(...data.subarray(at, at + n));
  try {
    if (text(0, 4) === '\x89PNG') return { type: 'image/png', turned: false, ...png(view, text) };
    if (text(0, 3) === '\xff\xd8\xff') return { type: 'image/jpeg', ...jpeg(data, view, text) };
    if (text(0, 4) === 'RIFF' && text(8, 4) === 'WEBP')
      return { type: 'image/webp', turned: false, ...webp(view, text) };
  } catch {
    throw new Error(DAMAGED);
  }
  return null;
}

type Text = (at: number, n: number) => string;

function png(view: DataView, text: Text) {
  let at = 8;
  while (text(at + 4, 4) !== 'IEND') at += 12 + view.getUint32(at);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** Goes from marker to marker up to the end of the image; phones put videos behind it. */
function jpeg(data: Uint8Array, view: DataView, text: Text) {
  const found = { width: 0, height: 0, turned: false };
  for (let at = 2; ; ) {
    at = data.indexOf(0xff, at);
    if (at < 0) throw new Error(DAMAGED);
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) at += 1;
    else if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd7)) at += 2;
    else if (marker === 0xd9) break;
    else {
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
        found.height = view.getUint16(at + 5);
        found.width = view.getUint16(at + 7);
      }
      if (marker === 0xe1 && text(at + 4, 6) === 'Exif\0\0') found.turned = orientation(view, at + 10) > 1;
      at += 2 + view.getUint16(at + 2);
    }
  }
  if (!found.width) throw new Error(DAMAGED);
  return found;
}

/** The orientation in EXIF data: 1 is upright. Damage there is no harm to the image. */
function orientation(view: DataView, start: number): number {
  try {
    const little = view.getUint16(start) === 0x4949;
    const directory = start + view.getUint32(start + 4, little);
    for (let i = 0; i < view.getUint16(directory, little); i++) {
      const entry = directory + 2 + 12 * i;
      if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
    }
  } catch {
    // as below
  }
  return 1;
}

function webp(view: DataView, text: Text) {
  if (view.getUint32(4, true) + 8 > view.byteLength) throw new Error(DAMAGED);
  const uint24 = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 65536;
  switch (text(12, 4)) {
    case 'VP8 ':
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    case 'VP8L': {
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
    }
    case 'VP8X':
      return { width: uint24(24) + 1, height: uint24(27) + 1 };
  }
  throw new Error(DAMAGED);
}
