import { expect, it } from 'vitest';
import { prettyJSON } from './prettyJSON';

const value = { city: 'Oslo "{[,:', days: [1, -2.5, true, null, 'a\\'], none: {}, nothing: [], deep: [{ a: {} }] };

it('never takes back a line break while JSON is written', () => {
  const json = JSON.stringify(value);
  const whole = prettyJSON(json, true);
  expect(whole).toBe(JSON.stringify(value, null, 2));
  for (let i = 1; i <= json.length; i++) {
    const shown = prettyJSON(json.slice(0, i), false);
    const open = shown.replace(/[[{]$/, ''); // what follows may close it
    expect(whole.startsWith(open), `${i}: ${shown}`).toBe(true);
  }
  expect(prettyJSON(json, false)).toBe(whole);
});

it.each([
  ['{ "a" : [ 1 , { } ] }', false, '{\n  "a": [\n    1,\n    {}\n  ]\n}'],
  ['city = Oslo', false, 'city = Oslo'],
  ['city = Oslo', true, 'city = Oslo'],
  ['{"a": nonsense', true, '{"a": nonsense'],
  ['}]}', false, '}]}'],
  ['{]}}', false, '{]\n}\n}'],
  ['', true, ''],
])('shows %j as it is read', (text, written, shown) => {
  expect(prettyJSON(text, written)).toBe(shown);
});
