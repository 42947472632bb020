const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const cents = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD' });

export const count = (n: number): string => whole.format(n);
export const compact = (n: number): string => short.format(n).toLowerCase();

/** Dollars, small amounts with as many digits as say something. */
export function money(dollars: number): string {
  if (dollars === 0 || dollars >= 1) return cents.format(dollars);
  if (dollars < 0.000001) return '<$0.000001';
  return `$${dollars.toFixed(dollars >= 0.01 ? 3 : 6).replace(/(\.\d\d\d*?)0+$/, '$1')}`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} bytes`;
  if (n < 1024 * 1024) return `${Math.round(n / 1024)} KiB`;
  const mib = n / 1024 / 1024;
  const [size, unit] = mib < 1024 ? [mib, 'MiB'] : [mib / 1024, 'GiB'];
  return `${size.toFixed(1).replace(/\.0$/, '')} ${unit}`;
}

/** A time that has passed or is to wait. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ''}`;
  const min = Math.round(s / 60);
  return `${Math.floor(min / 60)} h${min % 60 ? ` ${min % 60} min` : ''}`;
}
