import { stripVTControlCharacters } from 'node:util';
import { expect, it } from 'vitest';
import { Terminal } from '../../src/drill/index.js';
import { paint } from '../../src/report/index.js';
import { DEADLINE_MS, drill, happened, served, spawned } from './scene.js';

it(
  'is steered by keys: asks before it disturbs, takes a typed verb, and tells what was refused',
  async () => {
    const live = await drill({ spawn: await spawned() });
    await live.perform('await', 'ready');
    const server = await served(live);
    let screen = '';
    const waiting = new Set<() => void>();
    let key: (key: string) => void = () => {};
    let restored = false;
    const tty = {
      columns: 120,
      rows: 30,
      write(text: string) {
        screen = stripVTControlCharacters(text);
        for (const look of waiting) look();
      },
      onKey(listener: (key: string) => void) {
        key = listener;
        return () => {
          restored = true;
        };
      },
    };
    const shows = (text: string | RegExp) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (typeof text === 'string' ? !screen.includes(text) : !text.test(screen)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
    const type = (text: string) => {
      for (const one of text) key(one);
    };
    const running = new Terminal(tty, paint(false)).run(server);
    await shows('CONNECTED');
    type('r');
    await shows('restart away=2s? y = yes');
    type('x');
    await shows('restart away=2s: not sent');
    expect(live.ports[0]!.recorder.latest('session.close')).toBeUndefined();
    type('dy');
    await shows('DISCONNECTED');
    await shows('down: done');
    type('u');
    await shows(/ CONNECTED/);
    type('nthe link of rack 7\r');
    expect(await happened(live, 'drill.note')).toMatchObject({ text: 'the link of rack 7' });
    type(':restart awy\u007fay=soon\r');
    await shows(/restart: away: /);
    type(':\u001b');
    await server.close();
    await running;
    expect(restored).toBe(true);
  },
  DEADLINE_MS,
);
