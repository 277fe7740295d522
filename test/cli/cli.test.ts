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
    ['an unknown command', ['rum'], 'Unknown argument: rum'],
    ['an unknown option', ['list', '--rolle', 'server'], 'rolle'],
    ['a bad choice', ['list', '--role', 'both'], 'Invalid values'],
    ['a bad number', ['run', '--jobs', 'many'], '--jobs takes a whole number from 1 up'],
    ['zero repeats', ['run', '--repeat', '0'], '--repeat takes a whole number from 1 up'],
    ['an unknown selector', ['run', 'server.absense'], 'did you mean server.absence?'],
    ['a selector outside of the scope', ['list', 'server', '--role', 'client'], 'nothing selected has role client'],
    ['an unknown name', ['explain', 'R88'], 'there is no case, variant or requirement R88'],
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
    ['an unknown key', 'qemuu: x', 'unknown setting qemuu (did you mean qemu?)'],
    ['a bad value', 'jobs: 0', 'jobs: '],
    ['broken YAML', 'role: [', 'JSON or YAML is expected'],
  ])('in a file with %s are refused', async (_, text, message) => {
    const w = world();
    writeFileSync(join(w.cwd, 'vhost-reconnect.config.yaml'), text);
    expect(await list(w)).toContain(message);
  });

  it.each([
    [{ VHOST_RECONNECT_QEMUU: 'x' }, 'unknown setting VHOST_RECONNECT_QEMUU (did you mean VHOST_RECONNECT_QEMU?)'],
    [{ VHOST_RECONNECT_JOBS: 'x' }, 'VHOST_RECONNECT_JOBS: '],
    [{ VHOST_RECONNECT_ROLE: 'peer' }, 'VHOST_RECONNECT_ROLE: '],
  ])('in the environment that are wrong are refused: %j', async (env, message) => {
    const w = world();
    w.env = env;
    expect(await list(w)).toContain(message);
  });

  it('that are empty in the environment are not there', async () => {
    const w = world();
    w.env = { VHOST_RECONNECT_ROLE: '' };
    expect(await list(w)).toHaveLength(4);
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
      ['quit.mid-handshake', '4'],
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
    expect(w.out).toContain('restart: {"leave":"close","away":3100');
    expect(w.out).toContain('  server.absence.beyond-timer[absence=6s,driver=linux,leave=abort]');
  });

  it('tells the steps of one variant', async () => {
    const w = world();
    expect(await w.run('explain', 'server.absence.beyond-timer[absence=6s,driver=linux,leave=abort]')).toBe(0);
    expect(w.out).toContain('"leave":"abort","away":6000');
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
