import type { Requirement } from '../contract/index.js';

/** Where a requirement has its force from. */
export const origins: Readonly<Record<Requirement['label'], string>> = {
  spec: 'demanded by the vhost-user specification',
  contract: "QEMU's documented or tested behaviour",
  regression: 'a defect that was fixed',
};
