import { bytes, count } from '../../../../shared/format';
import { type Measured, measure } from './imageHeader';

// Anthropic refuses more than 2,000 pixels a side once a prompt has over 20 images, and OpenAI and
// most other models scale an image down to about that or less before they look at it.
const SIDE = 2000;
const BYTES = 5 * 1024 * 1024 * 0.74; // Anthropic takes 5 MiB in base64
const PIXELS = 120_000_000; // decoded they take 480 MB of the browser's memory
const SMALLEST = 100; // pixels: less shows nothing any more

type Kind = Measured['type'];
type Try = readonly [type: Kind, quality?: number];
interface Canvas {
  convertToBlob(how: { type: string; quality?: number }): Promise<Blob>;
}

const endings: Record<Kind, RegExp> = {
  'image/png': /\.png$/i,
  'image/jpeg': /\.(jpe?g|jfif)$/i,
  'image/webp': /\.webp$/i,
};

let last: Promise<unknown> = Promise.resolve();

/**
 * Makes an image fit for upload: small enough for the vendors and for a server that takes `most`
 * bytes, and upright. Its note says what was done, and is empty for a file that stays as it is. It
 * throws what is wrong with the image. One image is decoded at a time, as each may take much memory.
 */
export function fitted(file: File, name: string, most = BYTES): Promise<{ file: File; note: string }> {
  const mine = last.then(() => remade(file, name, Math.min(most, BYTES)));
  last = mine.catch(() => {});
  return mine;
}

async function remade(file: File, name: string, most: number): Promise<{ file: File; note: string }> {
  const image = measure(new Uint8Array(await file.arrayBuffer()));
  if (!image || fits(image, file.size, most)) return { file, note: '' };
  if (image.width * image.height > PIXELS)
    throw new Error(
      `${count(image.width)} × ${count(image.height)} pixels are too many: ${PIXELS / 1_000_000} million at most.`,
    );
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' }).catch(() => {
    throw new Error('The image cannot be decoded: it is damaged, or too large for this browser.');
  });
  try {
    const { width, height } = bitmap;
    const draw = (w: number, h: number) => {
      const canvas = new OffscreenCanvas(w, h);
      const context = canvas.getContext('2d');
      if (!context) throw new Error('This browser has no memory left to scale the image down.');
      context.imageSmoothingQuality = 'high';
      context.drawImage(bitmap, 0, 0, w, h);
      return { canvas, context };
    };
    const [w, h] = sizes(width, height)[0];
    const opaque = image.type === 'image/jpeg' || isOpaque(draw(w, h).context.getImageData(0, 0, w, h).data);
    const got = await encoded(width, height, ways(image.type, opaque), most, (w, h) => draw(w, h).canvas);
    return {
      file: new File([got.blob], named(name, got.blob.type as Kind), { type: got.blob.type }),
      note:
        got.width < width
          ? `Scaled down to ${got.width} × ${got.height}`
          : file.size > most
            ? `Compressed to ${bytes(got.blob.size)}`
            : 'Turned upright',
    };
  } finally {
    bitmap.close();
  }
}

/** Whether an image goes out as it is. Models do not turn it as browsers do. */
export function fits(image: Measured, size: number, most: number): boolean {
  return size <= most && Math.max(image.width, image.height) <= SIDE && !image.turned;
}

/** The sizes to try, the largest first. */
export function sizes(width: number, height: number): [width: number, height: number][] {
  const longer = Math.max(width, height);
  const all: [number, number][] = [];
  for (let part = Math.min(1, SIDE / longer); all.length === 0 || longer * part >= SMALLEST; part *= 0.75)
    all.push([Math.max(1, Math.round(width * part)), Math.max(1, Math.round(height * part))]);
  return all;
}

/** The encodings to try, the best first. JPEG has no transparency, and keeps small text less sharp than PNG. */
export function ways(type: Kind, opaque: boolean): Try[] {
  const jpeg: Try[] = [0.9, 0.8, 0.65].map((quality) => ['image/jpeg', quality]);
  const webp: Try[] = [0.9, 0.75].map((quality) => ['image/webp', quality]);
  const png: Try[] = [['image/png']];
  if (type === 'image/jpeg') return jpeg;
  if (type === 'image/png') return [...png, ...(opaque ? jpeg : webp)];
  return [...webp, ...(opaque ? jpeg : png)];
}

/** The first of all sizes and encodings that takes at most `most` bytes. */
export async function encoded(
  width: number,
  height: number,
  tries: Try[],
  most: number,
  draw: (width: number, height: number) => Canvas,
): Promise<{ blob: Blob; width: number; height: number }> {
  for (const [w, h] of sizes(width, height)) {
    const canvas = draw(w, h);
    for (const [type, quality] of tries) {
      const blob = await canvas.convertToBlob({ type, quality });
      if (blob.type === type && blob.size <= most) return { blob, width: w, height: h }; // Safari makes no WebP
    }
  }
  throw new Error(`The image cannot be made small enough: ${bytes(most)} at most.`);
}

/** The name with the ending of what the image has become. */
export function named(name: string, type: Kind): string {
  if (endings[type].test(name)) return name;
  const old = Object.values(endings).find((e) => e.test(name));
  return `${old ? name.replace(old, '') : name}.${type === 'image/jpeg' ? 'jpg' : type.slice('image/'.length)}`;
}

function isOpaque(pixels: Uint8ClampedArray): boolean {
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] < 255) return false;
  return true;
}
