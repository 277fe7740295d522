import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { html, Markup } from './markup.js';

const read = (name: string) => readFileSync(new URL(`../page/${name}`, import.meta.url), 'utf8');
const hashOf = (source: string) => `'sha256-${createHash('sha256').update(source).digest('base64')}'`;

/** The page's own style and script, and the policy under which a browser runs these and nothing else. */
export function readAssets(): { policy: string; style: Markup; scripts: Markup } {
  const style = ['theme.css', 'report.css', 'timeline-picture.css'].map(read).join('\n');
  const scripts = ['timeline-picture.js', 'report.js'].map(read);
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    `script-src ${scripts.map(hashOf).join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  // Inline modules run in order, after the page was read.
  return {
    policy,
    style: html`<style>${new Markup(style)}</style>`,
    scripts: html`${scripts.map((script) => html`<script type="module">${new Markup(script)}</script>\n`)}`,
  };
}
