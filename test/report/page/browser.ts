import { execFileSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

/** A headless Chromium: the one of VHOST_RECONNECT_CHROMIUM, else the distribution's (scripts/install-chromium.sh). */
export function launch(): Promise<Browser> {
  const executablePath =
    process.env.VHOST_RECONNECT_CHROMIUM ??
    execFileSync(
      'sh',
      ['-c', 'command -v chromium || { echo "no chromium: sh scripts/install-chromium.sh" >&2; exit 2; }'],
      {
        encoding: 'utf8',
      },
    ).trim();
  return chromium.launch({ executablePath });
}
