import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

const good = server();
const close = good.find('session.close');
const byQemu = (story: Story) =>
  story.with('session.close', ({ session }) => session === 1, { by: 'front-end', how: 'eof' });

describe('R29 QEMU keeps a back-end that suffices', () => {
  it('holds when the peer ends its connections, and the last ends by quit', () => {
    expectHold('R29', good, /kept 2 connections/);
    expectHold('R29', client(), /kept 2 connections/);
  });

  it('breaks when QEMU ends one after its handshake', () =>
    expectBreak('R29', byQemu(good), 'violation', /QEMU closed session 1 after its handshake/));

  it('leaves a connection that ends within the handshake to R18', () => {
    const owner = good.find('wire.recv', ({ name }) => name === 'SET_OWNER');
    const cut = byQemu(good).without('wire.recv', ({ session, t }) => session === 1 && t > owner.t);
    expectHold('R29', cut, /kept 1 connection /);
  });

  it('holds when the peer no longer offers what the guest accepted', () => {
    const less = (story: Story) =>
      story.with('wire.send', ({ session, name }) => session === 1 && name === 'GET_FEATURES', {
        body: { value: '0x40000000' },
      });
    expectHold('R29', less(byQemu(good)));
  });

  it('holds when QEMU was told to', () => {
    const told = byQemu(good).plus({ t: close.t - 1, type: 'qmp.command', id: 9, execute: 'netdev_del' });
    expectHold('R29', told);
  });

  it('says nothing without a handshake', () => {
    const none = good.without('wire.recv').without('wire.send');
    expectNotApplicable('R29', none);
  });
});
