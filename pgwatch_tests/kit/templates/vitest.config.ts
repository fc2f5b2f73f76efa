// The suite's configuration, and what pgwatch-tests adds: `@@RUN@@ --config @@CONFIG@@`
@@ALIAS_IMPORT@@
import { @@DEFAULTS@@defineConfig, mergeConfig, type ViteUserConfig } from 'vitest/config'
@@OWN@@

const inCi = Boolean(process.env.CI)
const results = process.env.PGWATCH_RESULTS ?? 'test-results'

@@BEGIN@@
@@EXISTING@@
  const config: ViteUserConfig = mergeConfig(existing, {
@@ALIAS@@
    test: {
      setupFiles: ['./@@HELPERS@@/vitest.setup.ts'],
      // Statements wait for locks of other tests: 5 s would call that a failure.
      testTimeout: existing.test?.testTimeout ?? 30_000,
      hookTimeout: existing.test?.hookTimeout ?? 30_000,
@@EXCLUDE@@
      outputFile: { junit: `${results}/junit.xml` },
    },
  } satisfies ViteUserConfig)
  // Merged, those of the suite would be there twice.
  config.test = {
    ...config.test,
    reporters: [
      'default',
      ...(process.env.GITHUB_ACTIONS ? [@@GITHUB_REPORTER@@] : []),
      ...(inCi ? [['junit', { addFileAttribute: true }] as ['junit', { addFileAttribute: boolean }]] : []),
      './@@HELPERS@@/reporter.ts',
    ],
  }
  return config
})
