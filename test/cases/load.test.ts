import { describe, expect, it } from 'vitest';
import { CaseError } from '../../src/cases/error.js';
import { loadCase } from '../../src/cases/load.js';
import type { Case } from '../../src/cases/types.js';
import { caseText, vocabulary } from './vocabulary.js';

/** Line of the first line after the shared head. */
const BODY = 7;

function load(text: string): Case {
  const loaded = loadCase('x.yaml', text, vocabulary);
  if (Array.isArray(loaded)) throw new Error(loaded.map(({ message }) => message).join('\n'));
  return loaded;
}

function mistakes(text: string): CaseError[] {
  const loaded = loadCase('x.yaml', text, vocabulary);
  if (!Array.isArray(loaded)) throw new Error('it loaded');
  return loaded;
}

describe('a valid case', () => {
  it('gets defaults, durations in milliseconds, and the sum of its waits', () => {
    const [point] = load(
      caseText(
        'driver: linux\nsteps:\n  - peer: connect\n  - restart: { away: 2.9s }\n  - restart: { away: 200ms, leave: abort }\n',
      ),
    ).points;
    expect(point).toEqual({
      params: {},
      driver: 'linux',
      queuePairs: 1,
      ring: 'split',
      reconnectMs: 1000,
      memory: 64 * 1024 * 1024,
      start: 'peer-first',
      minimumMs: 3100,
      steps: [
        { verb: 'peer', params: 'connect' },
        { verb: 'restart', params: { leave: 'close', away: 2900, back: 'same' } },
        { verb: 'restart', params: { leave: 'abort', away: 200, back: 'same' } },
      ],
    });
  });

  it('fills placeholders in fields and nested parameters, keeping the type of whole values', () => {
    const { points } = load(
      caseText(
        [
          'matrix: { pairs: [2, 4], message: [GET_FEATURES], version: ["3.1"] }',
          'profile: ovs-dpdk-$version',
          'qemu: { queues: $pairs, reconnect: 0, memory: 1G }',
          'driver: none',
          'steps:',
          '  - restart: { away: 0ms, back: { stall: $message } }',
          '  - traffic: $pairs',
          '',
        ].join('\n'),
      ),
    );
    expect(points.map(({ queuePairs }) => queuePairs)).toEqual([2, 4]);
    expect(points[1]).toMatchObject({ profile: 'ovs-dpdk-3.1', reconnectMs: 0, memory: 2 ** 30 });
    expect(points[1]!.steps).toEqual([
      { verb: 'restart', params: { leave: 'close', away: 0, back: { stall: 'GET_FEATURES' } } },
      { verb: 'traffic', params: 4 },
    ]);
  });

  it('has what the machine is to have besides, and options of the chardev by name', () => {
    const [point] = load(
      caseText(
        [
          'matrix: { option: [reconnect-ms], value: [1000] }',
          'qemu: { extras: [monitor, balloon], chardev: [{ option: $option, value: $value }, { option: wait, value: "off" }] }',
          'driver: none',
          'steps: [{ peer: connect }]',
          '',
        ].join('\n'),
      ),
    ).points;
    expect(point).toMatchObject({ extras: ['monitor', 'balloon'], chardev: { 'reconnect-ms': '1000', wait: 'off' } });
    const [plain] = load(caseText('driver: none\nsteps: [{ peer: connect }]\n')).points;
    expect(plain).not.toHaveProperty('extras');
    expect(plain).not.toHaveProperty('chardev');
  });

  it.each([
    ['an extra that there is not', 'extras: [floppy]', /expected memory, .* got "floppy"/],
    ['an extra twice', 'extras: [monitor, monitor]', /expected no item twice/],
    ['a name that is no option', 'chardev: [{ option: "a=b,c", value: 1 }]', /expected the name of an option/],
    ['an option without a value', 'chardev: [{ option: wait }]', /expected a value/],
    ['options that are no list', 'chardev: { wait: "off" }', /expected a list/],
  ])('in its machine refuses %s', (_, setting, where) => {
    const [mistake] = mistakes(caseText(`qemu: { ${setting} }\ndriver: none\nsteps: [{ peer: connect }]\n`));
    expect(mistake?.message).toMatch(where);
  });

  it('writes repeats out, nested ones too, and counts their waits as often', () => {
    const { points } = load(
      caseText(
        [
          'matrix: { leaves: [1, 3] }',
          'driver: none',
          'steps:',
          '  - repeat:',
          '      times: $leaves',
          '      steps:',
          '        - repeat: { times: 2, steps: [{ restart: { away: 1s } }] }',
          '        - await: ready',
          '',
        ].join('\n'),
      ),
    );
    expect(points.map(({ minimumMs }) => minimumMs)).toEqual([2000, 6000]);
    expect(points[1]!.steps.map(({ verb }) => verb)).toEqual(Array(3).fill(['restart', 'restart', 'await']).flat());
  });

  it('writes steps out for the combinations that they are for', () => {
    const { points } = load(
      caseText(
        [
          'matrix: { phase: [start, stop, quit], n: [1, 2] }',
          'driver: none',
          'steps:',
          '  - when: { phase: [start, "st*"], steps: [{ traffic: $n }] }',
          '  - when:',
          '      phase: quit',
          '      n: 2',
          '      steps: [{ peer: connect }, { when: { n: 1, steps: [{ await: ready }] } }]',
          '  - await: handshake',
          '',
        ].join('\n'),
      ),
    );
    const told = points.map(({ params, steps }) => [
      Object.values(params).join(),
      steps.map(({ verb }) => verb).join(),
    ]);
    expect(Object.fromEntries(told)).toEqual({
      'start,1': 'traffic,await',
      'start,2': 'traffic,await',
      'stop,1': 'traffic,await',
      'stop,2': 'traffic,await',
      'quit,1': 'await',
      'quit,2': 'peer,await',
    });
  });

  it('with a key that is discovered has a dry run for each of the other combinations, and makes the rest when asked', () => {
    const { points } = load(
      caseText(
        'matrix: { n: [1, 2], cut: discovered }\ndriver: none\nsteps: [{ phase: { cut: $cut } }, { traffic: $n }]\n',
      ),
    );
    expect(points.map(({ params }) => params)).toEqual([
      { n: 1, cut: 'none' },
      { n: 2, cut: 'none' },
    ]);
    const { key, with: make } = points[1]!.discovery!;
    expect(key).toBe('cut');
    expect(make('SET_OWNER')).toMatchObject({
      params: { n: 2, cut: 'SET_OWNER' },
      steps: [{ params: { cut: 'SET_OWNER' } }, { params: 2 }],
    });
    expect(() => make('nonsense')).toThrow();
  });

  it('leaves excluded combinations out', () => {
    const { points } = load(
      caseText(
        'matrix: { a: [1s, 2s], driver: [none, linux] }\nexclude: [{ a: 2s, driver: none }]\ndriver: $driver\nsteps: [{ restart: { away: $a } }]\n',
      ),
    );
    expect(points.map(({ params }) => Object.values(params).join())).toEqual(['1s,none', '1s,linux', '2s,linux']);
  });
});

describe('a mistake', () => {
  const steps = 'steps: [{ peer: connect }]';
  it.each([
    ['broken YAML', 'driver: [none\nsteps: 1\n', 'ERR_CASE_YAML', BODY + 1, 1, undefined],
    ['a field that is no field', `drivr: none\n${steps}`, 'ERR_CASE_SHAPE', BODY, 1, 'did you mean driver?'],
    ['a missing field', steps, 'ERR_CASE_SHAPE', 1, 1, undefined],
    [
      'a value that is none of the choices',
      `driver: linus\n${steps}`,
      'ERR_CASE_SHAPE',
      BODY,
      9,
      'did you mean linux?',
    ],
    ['no steps', 'driver: none', 'ERR_CASE_SHAPE', 1, 1, undefined],
    [
      'an unknown profile',
      `profile: ovs-dpdk-3.2\ndriver: none\n${steps}`,
      'ERR_CASE_SHAPE',
      BODY,
      10,
      'did you mean ovs-dpdk-3.1?',
    ],
    [
      'an unknown verb',
      'driver: none\nsteps:\n  - pear: connect\n',
      'ERR_CASE_VERB',
      BODY + 2,
      5,
      'did you mean peer?',
    ],
    [
      'two verbs in a step',
      'driver: none\nsteps:\n  - peer: connect\n    await: ready\n',
      'ERR_CASE_VERB',
      BODY + 2,
      5,
      undefined,
    ],
    ['a step that is a word', 'driver: none\nsteps:\n  - quit\n', 'ERR_CASE_VERB', BODY + 2, 5, undefined],
    [
      'an unknown parameter',
      'driver: none\nsteps:\n  - restart: { away: 1s, leaf: close }\n',
      'ERR_CASE_VERB',
      BODY + 2,
      26,
      'did you mean leave?',
    ],
    [
      'a bad value inside a union',
      'driver: none\nsteps:\n  - traffic: { packets: 0, in-flight: true }\n',
      'ERR_CASE_VERB',
      BODY + 2,
      25,
      undefined,
    ],
    [
      'a duration without a unit',
      'driver: none\nsteps:\n  - restart: { away: 3 }\n',
      'ERR_CASE_VERB',
      BODY + 2,
      22,
      'a unit is missing',
    ],
    [
      'an interval without a unit',
      `qemu: { reconnect: 1 }\ndriver: none\n${steps}`,
      'ERR_CASE_SHAPE',
      BODY,
      20,
      'a unit is missing',
    ],
    [
      'a bad repeat',
      'driver: none\nsteps:\n  - repeat: { times: 0, steps: [{ peer: connect }] }\n',
      'ERR_CASE_SHAPE',
      BODY + 2,
      22,
      undefined,
    ],
    [
      'a mistake inside a repeat',
      'driver: none\nsteps:\n  - repeat:\n      times: 2\n      steps:\n        - await: redy\n',
      'ERR_CASE_VERB',
      BODY + 5,
      18,
      'did you mean ready?',
    ],
    [
      'an unknown placeholder',
      'matrix: { away: [1s] }\ndriver: none\nsteps:\n  - restart: { away: $awy }\n  - restart: { away: $away }\n',
      'ERR_CASE_PLACEHOLDER',
      BODY + 3,
      22,
      'did you mean away?',
    ],
    [
      'a matrix key that nothing uses',
      `matrix:\n  away: [1s]\ndriver: none\n${steps}`,
      'ERR_CASE_MATRIX',
      BODY + 1,
      3,
      'remove the key',
    ],
    [
      'a bad value from the matrix',
      'matrix: { d: [none, bsd] }\ndriver: $d\nsteps: [{ peer: connect }]\n',
      'ERR_CASE_SHAPE',
      BODY + 1,
      9,
      undefined,
    ],
    [
      'an exclusion of an unknown key',
      `matrix: { d: [none, linux] }\nexclude: [{ e: 1 }]\ndriver: $d\n${steps}`,
      'ERR_CASE_MATRIX',
      BODY + 1,
      13,
      'did you mean d?',
    ],
    [
      'an exclusion of an unknown value',
      `matrix: { d: [none, linux] }\nexclude: [{ d: bsd }]\ndriver: $d\n${steps}`,
      'ERR_CASE_MATRIX',
      BODY + 1,
      16,
      undefined,
    ],
    [
      'a condition on an unknown key',
      `matrix: { d: [none, linux] }\ndriver: $d\nsteps:\n  - when: { e: none, steps: [{ peer: connect }] }\n`,
      'ERR_CASE_MATRIX',
      BODY + 3,
      13,
      'did you mean d?',
    ],
    [
      'a condition on an unknown value',
      `matrix: { d: [none, linux] }\ndriver: $d\nsteps:\n  - when: { d: [none, bsd], steps: [{ peer: connect }] }\n`,
      'ERR_CASE_MATRIX',
      BODY + 3,
      16,
      undefined,
    ],
    [
      'a condition without steps',
      `matrix: { d: [none, linux] }\ndriver: $d\nsteps:\n  - when: { d: none }\n`,
      'ERR_CASE_SHAPE',
      BODY + 3,
      11,
      undefined,
    ],
    [
      'a second discovered key',
      'matrix: { a: discovered, b: discovered }\ndriver: none\nsteps: [{ phase: { cut: $a } }, { phase: { cut: $b } }]\n',
      'ERR_CASE_MATRIX',
      BODY,
      29,
      undefined,
    ],
    [
      'a selection of an unknown value',
      `matrix: { d: [none, linux] }\nselections: { quick: [{ d: bsd }] }\ndriver: $d\n${steps}`,
      'ERR_CASE_MATRIX',
      BODY + 1,
      28,
      undefined,
    ],
    [
      'a selection of a machine that the case is not for',
      `machines: [q35]\nselections: { quick: [{ machine: pc }] }\ndriver: none\n${steps}`,
      'ERR_CASE_MATRIX',
      BODY + 1,
      34,
      undefined,
    ],
    [
      'nothing left',
      `matrix: { d: [none] }\nexclude: [{ d: none }]\ndriver: $d\n${steps}`,
      'ERR_CASE_MATRIX',
      BODY + 1,
      10,
      undefined,
    ],
  ])('%s is reported with its place', (_, lines, code, line, column, hint) => {
    const [error] = mistakes(caseText(lines));
    expect(error).toBeInstanceOf(CaseError);
    expect({ code: error!.code, line: error!.line, column: error!.column, hint: error!.hint }).toEqual({
      code,
      line,
      column,
      hint,
    });
  });

  it.each([
    ['an alias without an anchor', `driver: *none\n${steps}`],
    ['an alias inside of its own anchor', 'driver: none\nsteps: &s [{ repeat: { times: 2, steps: *s } }]'],
    [
      'aliases that multiply',
      `a: &a [x, x, x, x, x, x, x, x]\nb: &b [${'*a,'.repeat(8)}]\nc: &c [${'*b,'.repeat(8)}]\nd: [${'*c,'.repeat(8)}]`,
    ],
    ['a second document', `driver: none\n${steps}\n---\na: b`],
  ])('in the YAML is found: %s', (_, lines) => {
    expect(mistakes(caseText(lines))).toEqual([expect.objectContaining({ code: 'ERR_CASE_YAML' })]);
  });

  it.each([
    ['driver', steps, 'a value for driver (none, linux or guest)'],
    ['steps', 'driver: none', 'a value for steps (a list)'],
  ])('names what is missing: %s', (_, lines, expected) => {
    expect(mistakes(caseText(lines))).toEqual([expect.objectContaining({ expected, got: 'none' })]);
  });

  it('that would take for ever to write out is refused', () => {
    const nested = (times: number, inner: string) => `{ repeat: { times: ${times}, steps: [${inner}] } }`;
    const million = nested(1000, nested(1000, nested(1000, '{ peer: connect }')));
    expect(mistakes(caseText(`driver: none\nsteps: [${million}]`))[0]).toMatchObject({
      expected: 'at most 10000 steps',
    });
    const list = `[${Array.from({ length: 40 }, (_, i) => i + 1).join(', ')}]`;
    const many = `matrix: { a: ${list}, b: ${list} }\ndriver: none\nsteps: [{ traffic: $a }, { traffic: $b }]`;
    expect(mistakes(caseText(many))[0]).toMatchObject({ expected: 'at most 1000 combinations', got: '1600' });
  });

  it('reads as one line', () => {
    const [error] = mistakes(caseText('driver: none\nsteps:\n  - pear: connect\n'));
    expect(error!.message).toBe(
      'x.yaml:9:5: expected a verb: peer, phase, await, traffic, restart, repeat, when, got "pear" (did you mean peer?)',
    );
  });

  it('in the head is found with all its fellows', () => {
    const errors = mistakes(caseText(`driver: none\n${steps}`, { id: 'Server', level: 'high', references: '[R8]' }));
    expect(errors.map(({ line }) => line)).toEqual([1, 3, 5]);
  });

  it('of the whole file is reported at its start', () => {
    expect(mistakes('- a list\n')[0]).toMatchObject({ code: 'ERR_CASE_SHAPE', line: 1, column: 1 });
    expect(mistakes('')[0]).toMatchObject({ code: 'ERR_CASE_SHAPE', line: 1, column: 1 });
  });
});
