// A server of the other kind, as init scripts start them: it puts itself in the background, in a session of its own, and
// what was started exits 0 at once. A supervisor that only watches its child would take that for the end.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { answer } from './answer.mjs';

if (process.argv[2] === 'background') {
  answer('daemon', Number(process.env.PORT ?? 8080) + 100);
} else {
  const self = fileURLToPath(import.meta.url);
  spawn(process.execPath, [self, 'background'], { detached: true, stdio: 'inherit' }).unref();
}
