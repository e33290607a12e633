import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The two files that take minutes are begun first: begun last, they would leave the other cores idle. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => /command-.*paths\.test\.ts$/.test(moduleId);
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

// unit: pure code, in parallel. process: real processes and PID namespaces, one file at a time.
// browser: the inspector's page, in Chromium. container: needs a Docker engine. These two are no part of `npm test`. The limits
// are for machines that others load as well.
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/container/**', 'test/browser/**'],
          setupFiles: ['test/seeded.ts'],
          testTimeout: 120_000,
          // Vitest would leave one core to itself, which is half of the two that CI has.
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'process',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/build-first.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          expect: { poll: { timeout: 60_000 } },
          globalSetup: ['test/build-first.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'container',
          include: ['test/container/**/*.test.ts'],
          globalSetup: ['test/container/images.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 1_800_000,
        },
      },
    ],
  },
});
