// Writes the schemas of the server's OpenAPI and AsyncAPI documents as TypeScript, and the events of the server's tests
// as values of these types. It knows what those documents use of JSON Schema, and stops at anything else. The libraries
// that do this need TypeScript's compiler as a module, which TypeScript 7 does not have.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';

const read = (name) => parse(readFileSync(new URL(`../../transport/spec/${name}`, import.meta.url), 'utf8'));
const openapi = read('openapi.yaml');
const asyncapi = read('asyncapi.yaml');

const scalars = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean' };
const known = ['type', 'nullable', 'enum', 'required', 'properties', 'additionalProperties', 'items', 'allOf', 'oneOf'];
/** What a value is like beyond its type. */
const ignored = ['description', 'format', 'minimum', 'maximum', 'minLength', 'maxLength', 'pattern', 'default'];

function refOf(ref, home) {
  const found = /^(openapi\.yaml)?#\/components\/schemas\/(\w+)(?:\/properties\/(\w+))?$/.exec(ref);
  if (!found) throw new Error(`${ref}: no schema`);
  const [, elsewhere, name, property] = found;
  const from = elsewhere ? openapi : home;
  if (!from.components.schemas[name]) throw new Error(`${ref} is not there`);
  return `${from === openapi ? 'OpenAPI' : 'AsyncAPI'}['${name}']${property ? `['${property}']` : ''}`;
}

function objectOf(s, home) {
  const { properties, required = [], additionalProperties: more } = s;
  if (!properties) return `Record<string, ${typeof more === 'object' ? typeOf(more, home) : 'unknown'}>`;
  for (const name of required) if (!properties[name]) throw new Error(`${name} is required, and not there`);
  const fields = Object.entries(properties).map(
    ([name, p]) => `${name}${required.includes(name) ? '' : '?'}: ${typeOf(p, home)}`,
  );
  return `{ ${fields.join('; ')} }`;
}

function plainOf(s, home) {
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(' | ');
  if (s.allOf?.length === 1) return typeOf(s.allOf[0], home);
  if (s.oneOf) return s.oneOf.map((one) => typeOf(one, home)).join(' | ');
  if (s.type === 'array') return `Array<${typeOf(s.items, home)}>`;
  if (s.type === 'object') return objectOf(s, home);
  if (scalars[s.type]) return scalars[s.type];
  throw new Error(`a schema of no known kind: ${JSON.stringify(s)}`);
}

function typeOf(s, home) {
  if (s.$ref) return refOf(s.$ref, home);
  for (const key of Object.keys(s))
    if (!known.includes(key) && !ignored.includes(key)) throw new Error(`${key} is not known`);
  return plainOf(s, home) + (s.nullable ? ' | null' : '');
}

const interfaceOf = (name, entries) =>
  `export interface ${name} {\n${entries.map(([key, type]) => `  ${key}: ${type};\n`).join('')}}\n`;
const schemasOf = (doc) => Object.entries(doc.components.schemas).map(([name, s]) => [name, typeOf(s, doc)]);
const events = asyncapi.operations.event.messages.map(({ $ref }) => {
  const name = $ref.split('/').at(-1);
  return [name, typeOf(asyncapi.channels.ws.messages[name].payload, asyncapi)];
});

const fixtures = new URL('../../hub/testdata/events/', import.meta.url);
const sent = readdirSync(fixtures).flatMap((name) => JSON.parse(readFileSync(new URL(name, fixtures), 'utf8')).events);

const out = new URL('generated/', import.meta.url);
mkdirSync(out, { recursive: true });
writeFileSync(
  new URL('schemas.d.ts', out),
  [
    interfaceOf('OpenAPI', schemasOf(openapi)),
    interfaceOf('AsyncAPI', schemasOf(asyncapi)),
    '/** What the server sends over the WebSocket. */',
    interfaceOf('Events', events),
  ].join('\n'),
);
writeFileSync(
  new URL('events.ts', out),
  [
    "import type { Events } from './schemas';\n",
    'export const sent: Events[keyof Events][] = [',
    ...sent.map((e) => `  ${JSON.stringify(e)},`),
    '];\n',
  ].join('\n'),
);
