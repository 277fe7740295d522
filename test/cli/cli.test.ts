import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { worlds } from './world.js';

const world = worlds();

describe('the command line', () => {
  it('prints help and version to stdout', async () => {
    const help = world();
    expect(await help.run('--help')).toBe(0);
    for (const command of ['run', 'list', 'explain', 'doctor'])
      expect(help.out).toContain(`vhost-reconnect ${command}`);
    const version = world();
    expect(await version.run('--version')).toBe(0);
    expect(version.out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(help.err + version.err).toBe('');
  });

  it.each([
    ['no command', [], 'a command is missing'],
    ['an unknown command', ['rum'], 'there is no command rum (did you mean run?)'],
    ['an unknown option', ['list', '--rolle', 'server'], 'there is no option --rolle (did you mean --role?)'],
    ['an unknown short option', ['list', '-x'], 'there is no option -x'],
    ['a bad choice', ['list', '--role', 'both'], '--role takes one of server, client, not "both"'],
    ['an option without its value', ['run', '--jobs'], '--jobs needs a value'],
    ['a list without a value', ['run', '--machine', '--quiet'], '--machine needs a value'],
    ['an empty value', ['run', '--out', ''], '--out needs a value, not an empty one'],
    ['an option given twice', ['run', '--qemu', 'a', '--qemu', 'b'], '--qemu may be given once only'],
    ['a number given twice', ['run', '--jobs', '1', '--jobs', '2'], '--jobs may be given once only'],
    ['an argument too many', ['doctor', 'R1'], 'R1 is one argument too many'],
    ['selectors after --', ['run', '--', 'quit'], 'quit is one argument too many'],
    ['a missing argument', ['explain'], 'an argument is missing'],
    ['a bad number', ['run', '--jobs', 'many'], '--jobs takes a whole number from 1 up, not many'],
    ['zero repeats', ['run', '--repeat', '0'], '--repeat takes a whole number from 1 up'],
    ['an unknown selector', ['run', 'server.absense'], 'did you mean server.absence?'],
    ['a selector outside of the scope', ['list', 'server', '--role', 'client'], 'nothing selected has role client'],
    ['an empty selector', ['list', ''], 'nothing in the catalogue is called ""'],
    ['an unknown variant', ['run', 'quit.connected[role=peer]'], 'did you mean quit.connected[role=server'],
    ['an unknown name', ['explain', 'R88'], 'there is no case, variant or requirement "R88"'],
    ['an unknown variant to explain', ['explain', 'quit.connected[role=peer]'], 'did you mean quit.connected['],
    ['an unknown profile', ['run', '--profile', 'snabb'], 'profile'],
    ['a missing QEMU', ['run', 'quit', '--qemu', '/nowhere/qemu'], '/nowhere/qemu'],
    ['a program that is no QEMU', ['run', 'quit', '--qemu', '/bin/true'], '/bin/true'],
    ['a missing folder of cases', ['list', '--cases', 'nowhere'], 'expected a folder with case files, got ENOENT'],
    ['a missing configuration file', ['list', '--config', 'nowhere.yaml'], 'cannot read the configuration file'],
  ])('answers %s in one line on stderr, with exit code 2', async (_, args, text) => {
    const w = world();
    expect(await w.run(...args)).toBe(2);
    expect(w.out).toBe('');
    expect(w.err).toContain(text);
    expect(w.err.trimEnd().split('\n')).toHaveLength(1);
  });

  it('takes a bug of its own for no verdict on QEMU', async () => {
    const w = world();
    w.stdout.write = () => {
      throw new Error('boom');
    };
    expect(await w.run('list')).toBe(4);
    expect(w.err).toBe(
      'vhost-reconnect: a bug of the tester: boom (please report it; --log-level debug shows where)\n',
    );
  });

  it('shows a stack only at log level debug', async () => {
    const w = world();
    expect(await w.run('explain', 'R88', '--log-level', 'debug')).toBe(2);
    expect(w.err).toContain('\n    at ');
  });
});

describe('settings', () => {
  const list = async (w: ReturnType<typeof world>, ...args: string[]) => {
    const code = await w.run('list', '--variants', 'quit.connected', ...args);
    return code === 0 ? w.out.trim().split('\n') : w.err;
  };

  it('come from the configuration file, the environment over it, options over both', async () => {
    const w = world();
    writeFileSync(join(w.cwd, 'vhost-reconnect.config.yaml'), 'role: server\nmachine: [pc]\nqemu: /opt/qemu\n');
    expect(await list(w)).toEqual([
      'quit.connected[role=server,driver=none,machine=pc]',
      'quit.connected[role=server,driver=linux,machine=pc]',
    ]);
    w.out = '';
    w.env = { VHOST_RECONNECT_MACHINE: 'q35,microvm', VHOST_RECONNECT_JOBS: '3' };
    expect(await list(w)).toHaveLength(4);
    w.out = '';
    expect(await list(w, '--machine', 'q35', '--role', 'client')).toEqual([
      'quit.connected[role=client,driver=none]',
      'quit.connected[role=client,driver=linux]',
    ]);
  });

  it('name folders relative to the configuration file', async () => {
    const w = world();
    mkdirSync(join(w.cwd, 'sub/mine/theme'), { recursive: true });
    writeFileSync(join(w.cwd, 'sub/conf.json'), JSON.stringify({ cases: ['mine'] }));
    writeFileSync(
      join(w.cwd, 'sub/mine/theme/own.yaml'),
      'id: theme.own\ntitle: T\nlevel: info\nwhy: W\nreferences: [contract:R1]\nroles: [server]\ndriver: none\nsteps: [{ peer: connect }]\n',
    );
    expect(await w.run('list', 'theme', '--config', 'sub/conf.json')).toBe(0);
    expect(w.out).toBe('theme.own    1  T\n');
  });

  it.each([
    ['an unknown key', 'out: x\nqemuu: x', ':2:1: expected one of the keys qemu, role'],
    ['a bad value', 'jobs: 0', ':1:7: expected at least 1, got 0'],
    ['a bad value in a list', 'role: [server, peer]', ':1:16: expected server or client, got "peer"'],
    ['no mapping', '- qemu', ':1:1: expected a mapping, got ["qemu"]'],
    ['broken YAML', 'role: [', ':1:8: expected YAML 1.2, got'],
  ])('in a file with %s are refused', async (_, text, message) => {
    const w = world();
    writeFileSync(join(w.cwd, 'vhost-reconnect.config.yaml'), text);
    expect(await list(w)).toContain(message);
  });

  it.each([
    [{ VHOST_RECONNECT_QEMUU: 'x' }, 'there is no VHOST_RECONNECT_QEMUU (did you mean VHOST_RECONNECT_QEMU?)'],
    [{ VHOST_RECONNECT_JOBS: 'x' }, 'VHOST_RECONNECT_JOBS: expected a number, got "x"'],
    [{ VHOST_RECONNECT_ROLE: 'peer' }, 'VHOST_RECONNECT_ROLE: expected server or client, got "peer"'],
  ])('in the environment that are wrong are refused: %j', async (env, message) => {
    const w = world();
    w.env = env;
    expect(await list(w)).toContain(message);
  });

  it('that are broken do not keep help and version away', async () => {
    const w = world();
    w.env = { VHOST_RECONNECT_JOBS: 'x' };
    expect(await w.run('--version')).toBe(0);
    expect(await w.run('run', '--help')).toBe(0);
  });

  it('of the tools around the tester are none of its own', async () => {
    const w = world();
    w.env = { VHOST_RECONNECT_CACHE: 'x', VHOST_RECONNECT_DEFECT: 'y', VHOST_RECONNECT_FIDELITY_QEMUS: 'z' };
    expect(await w.run('list')).toBe(0);
  });

  it('that are empty in the environment are not there', async () => {
    const w = world();
    w.env = { VHOST_RECONNECT_ROLE: '' };
    expect(await list(w)).toHaveLength(4);
  });
});

describe('selection', () => {
  it.each([
    [['--role', 'server', 'quit.connected']],
    [['--role=server', 'quit.connected']],
    [['quit.connected', '--role', 'server']],
  ])('tells selectors from values: %j', async (args) => {
    const w = world();
    expect(await w.run('list', ...args)).toBe(0);
    expect(w.out).toMatch(/^quit\.connected +2 {2}/);
  });

  it.each([[['--machine', 'pc,q35']], [['--machine', 'pc', '--machine', 'q35']]])('takes several: %j', async (args) => {
    const w = world();
    expect(await w.run('list', 'quit.connected', ...args)).toBe(0);
    expect(w.out).toMatch(/^quit\.connected +8 {2}/);
  });
});

describe('list', () => {
  it('tells cases with their number of variants, one a line', async () => {
    const w = world();
    expect(await w.run('list', 'quit')).toBe(0);
    expect(
      w.out
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/ {2,}/).slice(0, 2)),
    ).toEqual([
      ['quit.away', '4'],
      ['quit.connected', '4'],
      ['quit.just-returned', '2'],
      ['quit.meanwhile', '81'],
      ['quit.mid-handshake', '4'],
      ['quit.silent-stop', '2'],
    ]);
  });

  it('tells the contract', async () => {
    const w = world();
    expect(await w.run('list', '--requirements')).toBe(0);
    expect(w.out).toMatch(/^R1 +must/m);
  });
});

describe('explain', () => {
  it('tells why a case exists, its steps and its variants', async () => {
    const w = world();
    expect(await w.run('explain', 'server.absence.beyond-timer')).toBe(0);
    expect(w.out).toContain('openEuler');
    expect(w.out).toContain('contract:R8 ');
    expect(w.out).toContain('restart: { leave: close, away: 3.1s');
    expect(w.out).toContain('  server.absence.beyond-timer[absence=6s,driver=linux,leave=abort]');
  });

  it('tells the steps of one variant', async () => {
    const w = world();
    expect(await w.run('explain', 'server.absence.beyond-timer[absence=6s,driver=linux,leave=abort]')).toBe(0);
    expect(w.out).toContain('leave: abort, away: 6s');
  });

  it('tells what steps and their parameters mean, and how to run the case', async () => {
    const w = world();
    expect(await w.run('explain', 'server.absence.beyond-timer')).toBe(0);
    expect(w.out).toMatch(/^ {2}restart {6}The peer leaves/m);
    expect(w.out).toMatch(/^ {4}leave {6}How it leaves/m);
    expect(w.out).toMatch(/\nrun it with: vhost-reconnect run server\.absence\.beyond-timer\n$/);
  });

  it('tells what a requirement demands and which cases are about it', async () => {
    const w = world();
    expect(await w.run('explain', 'r8')).toBe(0);
    expect(w.out).toMatch(/^R8: /);
    expect(w.out).toContain('  server.absence.decoy\n');
  });
});

describe('doctor', () => {
  it('looks at machine and QEMU', async () => {
    const w = world();
    expect(await w.run('doctor')).toBe(0);
    expect(w.out).toMatch(/^ok {4}shared memory/m);
    expect(w.out).toMatch(/This machine is usable\n$/);
  });

  it('says what makes the machine unusable', async () => {
    const w = world();
    expect(await w.run('doctor', '--qemu', '/nowhere/qemu')).toBe(2);
    expect(w.out).toMatch(/^FAIL {2}QEMU .*\/nowhere\/qemu/m);
    expect(w.out).toMatch(/This machine is not usable: QEMU\n$/);
  });
});
