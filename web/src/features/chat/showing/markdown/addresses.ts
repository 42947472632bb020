/** What no address has, but what follows one in a text that puts no space between. */
const beyond =
  /[\u3000-\u3003\u3008-\u301f\u30fb\uff01\uff08\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff3b\uff3d\uff5b-\uff65\\\u2018-\u201f\u2014\u2026\u00ab\u00bb\u060c\u061b\u061f\u06d4\u0964\u0965]/;
const cjk = String.raw`[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]`;
/** Words behind a host's name; a Korean particle behind an address. */
const behindHost = new RegExp(`^((?:https?://|www\\.)[\\w.:@-]+)(?=${cjk})`, 'u');
const particle = /(?<=[\w/])(?:은|는|이|가|을|를|에|에서|의|로|으로|와|과|도|에는|입니다)$/;

/** Where a reader ends an address that stands in a text as it is. */
export function endOf(address: string): number {
  const host = behindHost.exec(address);
  if (host) return host[0].length;
  const at = address.search(beyond);
  const end = at < 0 ? address.length : at;
  return particle.exec(address.slice(0, end))?.index ?? end;
}
