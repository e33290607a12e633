import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The unit tests of what decides, the quick ones first: most mutants are dead before the slow ones begin. */
const TESTS = [
  'test/process/matching.test.ts',
  'test/policy/values.test.ts',
  'test/policy/plan.test.ts',
  'test/policy/convert.test.ts',
  'test/machines/restart-policy.test.ts',
  'test/machines/command-books.test.ts',
  'test/machines/ports.test.ts',
  'test/machines/command-matrix.test.ts',
  'test/machines/command-scenarios.test.ts',
  'test/machines/command-rules.test.ts',
  'test/machines/command-stops.test.ts',
  'test/machines/command-orders.test.ts',
  'test/machines/order.test.ts',
  'test/machines/tree.test.ts',
  'test/machines/dependencies.test.ts',
  'test/machines/group.test.ts',
  'test/machines/reload.test.ts',
  'test/machines/supervisor-paths.test.ts',
  'test/machines/supervisor.test.ts',
  'test/machines/supervisor-books.test.ts',
  'test/machines/supervisor-matrix.test.ts',
  'test/machines/supervisor-order.test.ts',
  'test/machines/group-matrix.test.ts',
  'test/machines/command-anew.test.ts',
  'test/process/lineage.test.ts',
  'test/process/lineage-kin.test.ts',
  'test/process/lineage-ends.test.ts',
  'test/process/lineage-evidence.test.ts',
  'test/process/lineage-model.test.ts',
  'test/policy/command.test.ts',
  'test/policy/options.test.ts',
  'test/policy/words.test.ts',
  'test/policy/interpolate.test.ts',
  'test/policy/merge.test.ts',
  'test/policy/procfile.test.ts',
  'test/policy/relations.test.ts',
  'test/policy/diff.test.ts',
  'test/policy/schema.test.ts',
  'test/policy/file.test.ts',
  'test/policy/check.test.ts',
  'test/policy/print.test.ts',
  'test/machines/command-model.test.ts',
  'test/machines/command-paths.test.ts',
  'test/machines/supervisor-properties.test.ts',
];

class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number =>
      TESTS.findIndex((path) => moduleId.endsWith(path));
    return files.sort((a, b) => rank(a) - rank(b));
  }
}

// What mutation testing runs: see docs/explanation/mutation.md.
export default defineConfig({
  test: {
    include: TESTS,
    // A score may not depend on chance.
    setupFiles: ['test/seeded.ts'],
    isolate: false,
    testTimeout: 120_000,
    sequence: { sequencer: QuickFirst },
  },
});
