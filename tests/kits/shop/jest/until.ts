/** Waits until it is so. */
export async function until(isSo: () => Promise<unknown>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}
