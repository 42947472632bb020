import { expect, it } from 'vitest';
import { measure } from './imageHeader';
import { encoded, fits, fitted, named, sizes, ways } from './scaleImage';

const bytes = (...parts: (string | number[])[]) =>
  new Uint8Array(parts.flatMap((p) => (typeof p === 'string' ? [...p].map((c) => c.charCodeAt(0)) : p)));
const u32 = (n: number) => [n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];
const u16 = (n: number) => [n >> 8, n & 255];

const png = (width: number, height: number) =>
  bytes('\x89PNG\r\n\x1a\n', u32(13), 'IHDR', u32(width), u32(height), [8, 2, 0, 0, 0], u32(0), u32(0), 'IEND', u32(0));
const exif = (orientation: number) => [
  ...bytes([0xff, 0xe1], u16(34), 'Exif\0\0MM\0*', u32(8), u16(1), u16(0x0112), u16(3), u32(1), u16(orientation)),
  ...[0, 0, 0, 0, 0, 0],
];
const jpeg = (width: number, height: number, orientation = 1, end = [0xff, 0xd9]) =>
  bytes(
    [0xff, 0xd8],
    exif(orientation),
    [0xff, 0xc4, 0, 4, 9, 9],
    [0xff, 0xc2, 0, 8, 8],
    [...u16(height), ...u16(width), 3],
    [0xff, 0xda, 0, 3, 1, 7, 0xff, 0, 7, 0xff, 0xd0, 7], // a scan with a stuffed byte and a restart
    [0xff, 0xda, 0, 3, 1, 7],
    end,
  );
const webp = (kind: string, body: number[]) => bytes('RIFF', [22, 0, 0, 0], 'WEBP', kind, [10, 0, 0, 0], body);

it.each([
  ['PNG', png(6000, 4000), { type: 'image/png', width: 6000, height: 4000, turned: false }],
  ['JPEG', jpeg(640, 480), { type: 'image/jpeg', width: 640, height: 480, turned: false }],
  ['JPEG of a phone on its side', jpeg(640, 480, 6), { type: 'image/jpeg', width: 640, height: 480, turned: true }],
  [
    'JPEG with a video behind it',
    jpeg(640, 480, 1, [0xff, 0xd9, 0xff, 0xda, 7]),
    { type: 'image/jpeg', width: 640, height: 480, turned: false },
  ],
  ['WebP', webp('VP8 ', [0, 0, 0, 0, 0, 0, 0x80, 2, 0xe0, 1]), { type: 'image/webp', width: 640, height: 480 }],
  ['WebP without loss', webp('VP8L', [0x2f, 0x7f, 0xc2, 0x77, 0, 0, 0, 0, 0, 0]), { width: 640, height: 480 }],
  ['WebP with more', webp('VP8X', [0, 0, 0, 0, 0x7f, 2, 0, 0xdf, 1, 0]), { width: 640, height: 480 }],
])('measures a %s', (_, data, want) => {
  expect(measure(data)).toMatchObject(want);
});

it('leaves alone what is none of these', () => {
  expect(measure(bytes('GIF89a', u32(0)))).toBeNull();
  expect(measure(bytes(''))).toBeNull();
});

it.each([
  ['PNG', png(10, 10)],
  ['JPEG', jpeg(10, 10)],
  ['WebP', webp('VP8L', [0x2f, 9, 0x40, 2, 0, 0, 0, 0, 0, 0])],
])('refuses a %s that is cut off, wherever', (_, whole) => {
  for (let n = 12; n < whole.length - 4; n++)
    expect(() => measure(whole.subarray(0, n)), `of ${n} bytes`).toThrow('damaged or not whole');
});

it('scales down what is over what vendors take', () => {
  const image = { type: 'image/png', width: 2000, height: 100, turned: false } as const;
  expect(fits(image, 1000, 1000)).toBe(true);
  expect(fits(image, 1001, 1000)).toBe(false);
  expect(fits({ ...image, height: 2001 }, 1000, 1000)).toBe(false);
  expect(fits({ ...image, turned: true }, 1000, 1000)).toBe(false);

  expect(sizes(6000, 4000).slice(0, 2)).toEqual([
    [2000, 1333],
    [1500, 1000],
  ]);
  expect(sizes(60000, 1)[0]).toEqual([2000, 1]);
  expect(sizes(10, 5)).toEqual([[10, 5]]);
});

it('keeps transparency, and sharp text where it can', () => {
  const kinds = (...of: Parameters<typeof ways>) => ways(...of).map(([type]) => type.slice('image/'.length));
  expect(kinds('image/jpeg', true)).toEqual(['jpeg', 'jpeg', 'jpeg']);
  expect(kinds('image/png', true)).toEqual(['png', 'jpeg', 'jpeg', 'jpeg']);
  expect(kinds('image/png', false)).toEqual(['png', 'webp', 'webp']);
  expect(kinds('image/webp', true)).toEqual(['webp', 'webp', 'jpeg', 'jpeg', 'jpeg']);
  expect(kinds('image/webp', false)).toEqual(['webp', 'webp', 'png']);
});

it('lowers quality first and size then, until the image fits', async () => {
  const asked: string[] = [];
  const draw = (width: number, height: number) => ({
    async convertToBlob({ type, quality = 1 }: { type: string; quality?: number }) {
      asked.push(`${width} ${type.slice('image/'.length)} ${quality}`);
      return new Blob([new Uint8Array(width * height * quality)], { type: type === 'image/webp' ? 'image/png' : type });
    },
  });
  const got = await encoded(400, 100, ways('image/png', true), 24_000, draw);
  expect(got).toMatchObject({ width: 300, height: 75 });
  expect(asked).toEqual([...['400 png 1', '400 jpeg 0.9', '400 jpeg 0.8', '400 jpeg 0.65'], ...['300 png 1']]);

  // A browser that makes no WebP makes PNG in its place.
  expect((await encoded(10, 10, ways('image/webp', false), 24_000, draw)).blob.type).toBe('image/png');
  await expect(encoded(400, 100, ways('image/jpeg', true), 10, draw)).rejects.toThrow('10 bytes at most');
});

it('gives a name the ending of what the image has become', () => {
  expect(named('Photo.JPEG', 'image/jpeg')).toBe('Photo.JPEG');
  expect(named('my.scan.PNG', 'image/jpeg')).toBe('my.scan.jpg');
  expect(named('Screenshot 12.30', 'image/png')).toBe('Screenshot 12.30.png');
});

it('names what is wrong with an image, and goes on with the next', async () => {
  const file = (data: Uint8Array<ArrayBuffer>) => new File([data], 'a.png', { type: 'image/png' });
  const small = file(png(10, 10));
  const all = [file(png(20_000, 20_000)), file(png(10, 10).slice(0, 33)), small].map((f) => fitted(f, f.name));
  await expect(all[0]).rejects.toThrow('20,000 × 20,000 pixels are too many: 120 million at most.');
  await expect(all[1]).rejects.toThrow('damaged or not whole');
  expect(await all[2]).toEqual({ file: small, note: '' });
});
