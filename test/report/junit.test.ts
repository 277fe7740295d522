import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { validateXML } from 'xmllint-wasm';
import { renderJunit } from '../../src/report/junit.js';
import { element } from '../../src/report/xml.js';
import { contract, crashed, known, runOf, stale, variant } from './fixtures.js';

/** Just enough of an XML reader to be independent of the writer: it knows tags, quoted attributes and text, and is strict. */
function check(xml: string): { name: string; attributes: Record<string, string> }[] {
  const open: string[] = [];
  const seen: { name: string; attributes: Record<string, string> }[] = [];
  const token = /<(\/?)([a-z-]+)((?:\s[a-z-]+="[^"<]*")*)(\/?)>|([^<]+)/gy;
  const body = xml.replace(/^<\?xml version="1.0" encoding="UTF-8"\?>\n/, '');
  while (token.lastIndex < body.length) {
    const at = token.lastIndex;
    const match = token.exec(body);
    if (!match) throw new Error(`not well-formed at: ${body.slice(at, at + 60)}`);
    const [, closing, name = '', attributes = '', empty, text] = match;
    for (const part of [attributes, text ?? ''])
      if (/&(?!amp;|lt;|gt;|quot;|#\d+;)/.test(part)) throw new Error(`bare ampersand in ${part}`);
    if (text !== undefined) continue;
    if (closing && open.pop() !== name) throw new Error(`</${name}> closes nothing`);
    if (closing) continue;
    const pairs = [...attributes.matchAll(/([a-z-]+)="([^"]*)"/g)].map(([, key, value]) => [key, value]);
    seen.push({ name, attributes: Object.fromEntries(pairs) });
    if (!empty) open.push(name);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join()}`);
  return seen;
}

describe('renderJunit', () => {
  const xml = renderJunit(
    runOf([
      crashed,
      variant(),
      variant(),
      variant({ variant: 'quit.away', verdict: 'inconclusive', reason: 'EMFILE <"&\n' }),
      variant({ variant: 'client.x', verdict: 'skip', reason: 'no machine pc', durationMs: 0 }),
    ]),
    contract,
  );
  const elements = check(xml);
  const all = (name: string) => elements.filter((one) => one.name === name).map(({ attributes }) => attributes);

  it('has a suite per theme with totals', () => {
    expect(all('testsuites')).toEqual([
      { name: 'vhost-reconnect', tests: '5', failures: '1', errors: '1', time: '41.000' },
    ]);
    expect(
      all('testsuite').map(({ name, tests, failures, errors, skipped, timestamp }) => [
        name,
        tests,
        failures,
        errors,
        skipped,
        timestamp,
      ]),
    ).toEqual([
      ['server', '3', '1', '0', '0', '2026-01-02T03:04:05'],
      ['quit', '1', '0', '1', '0', '2026-01-02T03:04:05'],
      ['client', '1', '0', '0', '1', '2026-01-02T03:04:05'],
    ]);
  });

  it('has a test case per variant, named apart when repeated', () => {
    expect(all('testcase').map(({ classname, name, time }) => [classname, name, time])).toEqual([
      ['server.absence.beyond-timer', 'server.absence.beyond-timer[away=3.1s]', '1.234'],
      ['server.absence.short', 'server.absence.short[away=0ms]', '1.234'],
      ['server.absence.short', 'server.absence.short[away=0ms] (run 2)', '1.234'],
      ['quit.away', 'quit.away', '1.234'],
      ['client.x', 'client.x', '0.000'],
    ]);
  });

  it('types failures, and tells trouble of the tester from them', () => {
    expect(all('failure')).toEqual([{ type: 'crash', message: 'R1: QEMU was killed by SIGABRT (also R8)' }]);
    expect(all('error')).toEqual([{ type: 'inconclusive', message: 'EMFILE &lt;&quot;&amp;&#10;' }]);
    expect(all('skipped')).toEqual([{ message: 'no machine pc' }]);
    expect(xml).toContain('&gt;  +0.300 s  QEMU ends: killed by SIGABRT (unasked)');
    expect(xml).toContain("again: vhost-reconnect run 'server.absence.beyond-timer[away=3.1s]'");
  });
});

describe('expectations in JUnit', () => {
  const elements = check(renderJunit(runOf([known, stale], { expectations: { file: 'mine.yaml' } }), contract));
  const all = (name: string) => elements.filter((one) => one.name === name).map(({ attributes }) => attributes);

  it('skip a known failure, and fail what is stale', () => {
    expect(all('skipped')).toEqual([
      { message: 'expected failure: R1, R8 broke: It dials itself. (defect:x; mine.yaml:4)' },
    ]);
    expect(all('failure')).toEqual([
      {
        type: 'stale',
        message: 'it passes, but mine.yaml:4 expects R1 to break: mend or remove the entry',
      },
    ]);
    expect(all('testsuites')).toEqual([expect.objectContaining({ tests: '2', failures: '1' })]);
  });

  it('name their file', () => {
    expect(all('property')).toContainEqual({ name: 'expectations', value: 'mine.yaml' });
  });
});

describe('the strict schema', () => {
  const schema = readFileSync(new URL('./junit.xsd', import.meta.url), 'utf8');
  const validate = (contents: string) => validateXML({ xml: [{ fileName: 'junit.xml', contents }], schema: [schema] });

  it('allows what is written of results of every kind', async () => {
    const unsure = variant({ verdict: 'inconclusive', reason: '\x1b]]> <"&\n' });
    const all = [crashed, known, stale, unsure, variant(), variant({ verdict: 'skip', reason: 'no machine pc' })];
    for (const results of [all, []])
      expect(await validate(renderJunit(runOf(results), contract))).toMatchObject({ valid: true, errors: [] });
  });

  it('is strict', async () => {
    const xml = renderJunit(runOf([variant()]), contract);
    const wrong = xml.replace('<testsuites name', '<testsuites skipped="0" name');
    expect(await validate(wrong)).toMatchObject({ valid: false });
  });
});

describe('element', () => {
  it('shows what XML cannot hold', () => {
    expect(element('a', { b: '\x00\ud800\t\u{1f600}', c: undefined }, 'x\x1b]]>\uffff\r\n')).toBe(
      '<a b="\\x00\\ud800&#9;\u{1f600}">x\\x1b]]&gt;\\uffff&#13;\n</a>',
    );
  });
});
