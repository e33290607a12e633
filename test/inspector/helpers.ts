/** A world whose machines are recorded. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createRecorder, type Recorder, type RecorderOptions } from '../../src/inspector/record.ts';
import { parseRecording, type Recording } from '../../src/inspector/recording.ts';
import type { Root } from '../../src/inspector/root.ts';
import { redactTexts } from '../../src/process/environment.ts';
import { startWorld, type World, type WorldOptions } from '../machines/supervisor-world.ts';

export interface Recorded {
  readonly world: World;
  readonly recorder: Recorder;
  readonly path: string;
  readonly notices: string[];
  /** Everything that waits has been written. */
  readonly end: () => Promise<Recording>;
}

export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'upkeep-record-'));
  onTestFinished(async () => {
    const { rm } = await import('node:fs/promises');
    await rm(path, { recursive: true, force: true });
  });
  return path;
}

export function record(
  options: WorldOptions,
  found: readonly string[] = [],
  more: Partial<RecorderOptions> = {},
): Recorded {
  const path = more.path ?? join(folder(), 'record');
  const notices: string[] = [];
  let recorder: Recorder | null = null;
  const world = startWorld(options, found, (root, input, now) => {
    recorder = createRecorder({
      path,
      size: Number.POSITIVE_INFINITY,
      version: '0.0.0',
      redact: (text) => text,
      redactValue: (value) => redactTexts(value, more.redact ?? ((text) => text), () => false),
      now,
      wallClock: now,
      notice: (message) => notices.push(message),
      ...more,
    });
    recorder.attach(root as unknown as Root, input);
  });
  return {
    world,
    recorder: recorder!,
    path,
    notices,
    async end() {
      await recorder!.close(60_000);
      return parseRecording(readFileSync(path, 'utf8'), path);
    },
  };
}

/** What there is has been written, or cannot be. */
export async function written({ recorder }: Recorded): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (recorder.waiting() > 0);
}
