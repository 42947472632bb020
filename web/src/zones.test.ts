import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const refused = {
  'shared/a.ts': '../app/store',
  'shared/ui/a.ts': '../../features/chat/hooks',
  'features/usage/a.ts': '../chat/hooks',
  'features/usage/b.ts': '../../app/store',
  'features/usage/a.test.ts': '../chat/hooks',
  'features/usage/b.test.ts': '../../app/ChatApp',
  'features/chat/a.ts': '../models/ModelPicker',
  'features/chat/asking/a.ts': '../showing/Answer',
  'features/chat/asking/files/a.ts': '../../showing/Answer',
  'features/chat/asking/files/b.ts': '../../../sessions/Sidebar',
  'features/chat/streaming/a.ts': '../asking/ask',
  'features/chat/streaming/b.ts': '../../../app/store',
};
const allowed = {
  'shared/ui/c.ts': '../protocol',
  'shared/c.test.ts': '../app/store',
  'features/usage/c.ts': '../../shared/format',
  'features/usage/c.test.ts': '../../app/store',
  'features/chat/c.ts': './showing/Answer',
  'features/chat/asking/files/c.ts': '../../streaming/chatSlice',
  'features/chat/showing/c.ts': '../asking/ask',
  'app/c.ts': '../features/chat/ChatArea',
};

it('lint refuses an import out of its zone, and no other', () => {
  const place = mkdtempSync(join(tmpdir(), 'zones-'));
  try {
    cpSync('biome.json', join(place, 'biome.json'));
    for (const [file, from] of Object.entries({ ...refused, ...allowed })) {
      const at = join(place, 'src', file);
      mkdirSync(dirname(at), { recursive: true });
      writeFileSync(at, `import '${from}';\n`);
    }
    const biome = resolve('node_modules/.bin/biome');
    const args = ['lint', '--only=style/noRestrictedImports', '--max-diagnostics=none'];
    const { stdout, stderr } = spawnSync(biome, args, { cwd: place, encoding: 'utf8' });
    const found = (stdout + stderr).matchAll(/src\/(\S+):\d+:\d+ lint\/style\/noRestrictedImports/g);
    expect([...found].map((m) => m[1]).sort()).toEqual(Object.keys(refused).sort());
  } finally {
    rmSync(place, { recursive: true });
  }
});
