const inner = (depth: number) => `\n${'  '.repeat(depth)}`;

/** The beginning of a JSON value with the line breaks that the whole will have. */
function prettyBeginning(json: string): string {
  let out = '';
  let depth = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*(?:"|\\?$)|[[{](?:\s*[\]}])?|[\]},:]|[^\s"[\]{},:]+/gs)) {
    switch (token[0]) {
      case '{':
      case '[':
        out += /[\]}]$/.test(token) ? token.replace(/\s/g, '') : token[0] + inner(++depth);
        break;
      case '}':
      case ']':
        depth = Math.max(0, depth - 1);
        out += inner(depth) + token;
        break;
      case ',':
        out += `,${inner(depth)}`;
        break;
      case ':':
        out += ': ';
        break;
      default:
        out += token;
    }
  }
  return out.trimEnd();
}

/** JSON with line breaks, also while it is being written; what is no JSON stays as it is. */
export function prettyJSON(text: string, written: boolean): string {
  if (!written) return /^\s*[[{]/.test(text) ? prettyBeginning(text) : text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
