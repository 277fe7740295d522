import { expect, it } from 'vitest';
import { embeddedJson, escapeText, html } from '../../../src/report/html/markup.js';

it('escapes what a template is given, wherever it stands', () => {
  const text = `<script>"it's" & more</script>`;
  const escaped = '&lt;script&gt;&quot;it&#39;s&quot; &amp; more&lt;/script&gt;';
  expect(html`<p title="${text}">${text}</p>`.source).toBe(`<p title="${escaped}">${escaped}</p>`);
  expect(html`<ul>${[1, 'a<b', html`<li>${'<'}</li>`, undefined, false]}</ul>`.source).toBe(
    '<ul>1a&lt;b<li>&lt;</li></ul>',
  );
});

it('shows control characters, and those that turn the direction of writing', () => {
  expect(escapeText('a\x1b[31m\u202egnp\u2028')).toBe('a\\x1b[31m\\u202egnp\\u2028');
});

it('writes JSON that cannot end its script', () => {
  const value = ['</script><script>alert(1)</script>', '<!--', '\u2028\u2029', '&amp;'];
  const { source } = embeddedJson(value);
  expect(source).not.toMatch(/[<>&\u2028\u2029]/);
  expect(JSON.parse(source)).toEqual(value);
});
