module.exports = {
  transform: { '^.+\\.ts$': '@swc/jest' },
  setupFilesAfterEnv: ['<rootDir>/tests/pgwatch/jest.setup.ts'],
  testMatch: ['**/tests/**/*.test.ts'],
}
