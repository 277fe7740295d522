import { describe, expect, it } from 'vitest';
import { bytes, type Guest, Lab, wrongWith } from './lab.js';
import { GUEST, HOST, dhcp as message } from './questions.js';

const SERVER = '0a49 0001';
const zeros = (count: number) => '00'.repeat(count);

const DISCOVER = '350101';
const REQUEST = '350103';
/** Options: the address that is asked for, and the server that has offered it. */
const wants = (last: string) => `32 04 0a4900${last}`;
const FROM_SERVER = `36 04 ${SERVER}`;

/** What a test looks at in an answer. */
function read(frame: Buffer) {
  const options: Record<number, string> = {};
  for (let at = 42 + 240; frame[at] !== 255; at += 2 + frame[at + 1]!)
    options[frame[at]!] = frame.subarray(at + 2, at + 2 + frame[at + 1]!).toString('hex');
  const { 53: type, ...others } = options;
  return {
    type: { '02': 'offer', '05': 'ack', '06': 'nak' }[type!],
    to: frame.subarray(0, 6).toString('hex'),
    ip: frame.subarray(30, 34).join('.'),
    yiaddr: frame.subarray(58, 62).join('.'),
    others,
  };
}

/** Sends one message and reads the answer to it, if there is one. */
function ask(guest: Guest, frame: Buffer) {
  const before = guest.inbox.length;
  guest.port.receive(frame);
  const [answer, ...more] = guest.inbox.slice(before);
  expect(more).toEqual([]);
  if (!answer) return undefined;
  expect(wrongWith(answer)).toEqual([]);
  expect(answer.subarray(46, 50)).toEqual(bytes('3903f326'));
  return read(answer);
}

const start = () => {
  const lab = new Lab({ dhcp: true });
  return { lab, guest: lab.guest('a') };
};
const ACK = { 1: 'ffffff00', 3: '0a490001', 51: '00000e10', 54: '0a490001' };

describe('DHCP', () => {
  it('offers as it looks on the wire', () => {
    const { guest } = start();
    guest.port.receive(message(`${DISCOVER} 3d 07 01 ${GUEST} 37 07 01 03 06 0c 0f 1c 2a`));
    const answer = bytes(
      GUEST,
      HOST,
      '0800',
      '45 00 0148 0000 4000 40 11 24af', // UDP, checksum
      `${SERVER} 0a49 0064`,
      '0043 0044 0134 5abf', // ports, length, checksum
      '02 01 06 00 3903f326 0000 0000', // reply
      `0000 0000 0a49 0064 0000 0000 0000 0000`, // your address is the second
      GUEST + zeros(10),
      zeros(64 + 128),
      '63825363',
      '35 01 02', // offer
      `36 04 ${SERVER}`,
      '33 04 00000e10', // lease time
      '01 04 ffffff00', // subnet mask
      `03 04 ${SERVER}`, // router
      `3d 07 01 ${GUEST}`, // client identifier
      'ff',
      zeros(300 - 240 - 37),
    );
    expect(guest.inbox.map((frame) => frame.toString('hex'))).toEqual([answer.toString('hex')]);
  });

  it('with busybox udhcpc: gets, renews and gives back', () => {
    const { lab, guest } = start();
    const id = `3d 07 01 ${GUEST}`;
    const offer = ask(guest, message(`${DISCOVER} ${id} 39 02 0240`));
    expect(offer).toMatchObject({ type: 'offer', yiaddr: '10.73.0.100' });
    const ack = ask(guest, message(`${REQUEST} ${id} ${wants('64')} ${FROM_SERVER}`));
    expect(ack).toEqual({
      type: 'ack',
      to: '52540000000a',
      ip: '10.73.0.100',
      yiaddr: '10.73.0.100',
      others: { ...ACK, 61: '0152540000000a' },
    });
    expect(lab.news).toEqual([{ kind: 'lease', port: 'a', mac: '52:54:00:00:00:0a', address: '10.73.0.100' }]);
    const own = { ciaddr: '0a49 0064', to: HOST, ip: SERVER };
    lab.clock += 1_800_000;
    expect(ask(guest, message(`${REQUEST} ${id}`, own))).toMatchObject({ type: 'ack', yiaddr: '10.73.0.100' });
    expect(lab.news).toHaveLength(2);
    expect(ask(guest, message(`350107 ${id} ${wants('64')} ${FROM_SERVER}`, own))).toBeUndefined();
    expect(guest.port.counters.dropped).toEqual({});
    expect(ask(guest, message(`${DISCOVER} ${id}`))).toMatchObject({ yiaddr: '10.73.0.100' });
  });

  it('with dhclient: asks again for what it had, and is refused what it cannot have', () => {
    const { lab, guest } = start();
    const again = ask(guest, message(`${REQUEST} ${wants('96')}`));
    expect(again).toMatchObject({ type: 'ack', yiaddr: '10.73.0.150', others: ACK });
    const other = { mac: '52 54 00 00 00 0b' };
    for (const bad of ['32 04 c0a80105', wants('96'), wants('c8'), wants('01'), ''])
      expect(ask(guest, message(`${REQUEST} ${bad}`, other))).toEqual({
        type: 'nak',
        to: 'ffffffffffff',
        ip: '255.255.255.255',
        yiaddr: '0.0.0.0',
        others: { 54: '0a490001' },
      });
    expect(lab.news).toHaveLength(1);
  });

  it('with systemd-networkd: knows it by its MAC, whatever its identifier, and gives that back', () => {
    const { guest } = start();
    const duid = '3d 13 ff b64d8a3e 0002 0000ab11 0123456789abcdef';
    const options = 'ffb64d8a3e00020000ab110123456789abcdef';
    ask(guest, message(`${REQUEST} 3d 07 01 ${GUEST} ${wants('70')}`));
    expect(ask(guest, message(`${DISCOVER} ${duid} 39 02 05dc 50 00`))).toMatchObject({
      type: 'offer',
      yiaddr: '10.73.0.112',
      others: { ...ACK, 61: options },
    });
    expect(ask(guest, message(`${REQUEST} ${duid} ${FROM_SERVER} ${wants('70')}`))).toMatchObject({ type: 'ack' });
  });

  it('sends to all what a client cannot receive at its address yet', () => {
    const { lab, guest } = start();
    const other = lab.guest('b');
    expect(ask(guest, message(DISCOVER, { flags: '8000' }))).toMatchObject({
      to: 'ffffffffffff',
      ip: '255.255.255.255',
      yiaddr: '10.73.0.100',
    });
    expect(other.inbox).toHaveLength(2);
  });

  it('tells a client with an address of its own the rest, and lends it nothing', () => {
    const { lab, guest } = start();
    const own = { ciaddr: '0a49 0032', to: HOST, ip: SERVER };
    const { 51: _, ...others } = ACK;
    expect(ask(guest, message('350108', own))).toEqual({
      type: 'ack',
      to: '52540000000a',
      ip: '10.73.0.50',
      yiaddr: '0.0.0.0',
      others,
    });
    expect(lab.news).toEqual([]);
  });

  it('gives each MAC an address of its own until none is left, and then says nothing', () => {
    const { lab, guest } = start();
    const client = (n: number) => ({ mac: `52 54 00 00 01 ${n.toString(16).padStart(2, '0')}` });
    const lent = new Set<string>();
    for (let n = 0; n < 100; n++) {
      const yiaddr = ask(guest, message(DISCOVER, client(n)))!.yiaddr;
      ask(guest, message(`${REQUEST} ${FROM_SERVER} ${wants((100 + n).toString(16))}`, client(n)));
      lent.add(yiaddr);
    }
    expect([...lent]).toEqual(Array.from({ length: 100 }, (_, n) => `10.73.0.${100 + n}`));
    expect(ask(guest, message(DISCOVER, client(100)))).toBeUndefined();
    expect(guest.port.counters.dropped).toEqual({ 'pool-exhausted': 1 });
    // One that is given back is free, and so are all after an hour; the one that is free for longest goes first.
    ask(guest, message(`350107 ${FROM_SERVER}`, { ...client(7), ciaddr: '0a49 006b', to: HOST, ip: SERVER }));
    expect(ask(guest, message(DISCOVER, client(100)))).toMatchObject({ yiaddr: '10.73.0.107' });
    lab.clock += 3_600_000;
    expect(ask(guest, message(DISCOVER, client(101)))).toMatchObject({ yiaddr: '10.73.0.107' });
    expect(ask(guest, message(DISCOVER, client(9)))).toMatchObject({ yiaddr: '10.73.0.109' });
  });

  it('keeps an offer for a minute, save for who takes another server', () => {
    const { lab, guest } = start();
    const b = { mac: '52 54 00 00 00 0b' };
    ask(guest, message(DISCOVER));
    expect(ask(guest, message(`${REQUEST} ${wants('64')}`, b))).toMatchObject({ type: 'nak' });
    lab.clock += 60_000;
    expect(ask(guest, message(`${REQUEST} ${wants('64')}`, b))).toMatchObject({ type: 'ack' });
    expect(ask(guest, message(DISCOVER))).toMatchObject({ yiaddr: '10.73.0.101' });
    expect(ask(guest, message(`${REQUEST} ${wants('64')} 36 04 0a490002`))).toBeUndefined();
    expect(ask(guest, message(`${REQUEST} ${wants('65')}`, b))).toMatchObject({ type: 'ack' });
  });

  it('does not lend again what a client has found in use', () => {
    const { guest } = start();
    ask(guest, message(DISCOVER));
    ask(guest, message(`${REQUEST} ${FROM_SERVER} ${wants('64')}`));
    expect(ask(guest, message(`350104 ${FROM_SERVER} ${wants('64')}`))).toBeUndefined();
    expect(ask(guest, message(`${DISCOVER} ${wants('64')}`))).toMatchObject({ yiaddr: '10.73.0.101' });
  });

  it('offers the address that is wished for, if it is free', () => {
    const { guest } = start();
    expect(ask(guest, message(`${DISCOVER} ${wants('c7')}`))).toMatchObject({ yiaddr: '10.73.0.199' });
    expect(ask(guest, message(`${DISCOVER} ${wants('c7')}`, { mac: '52 54 00 00 00 0b' }))).toMatchObject({
      yiaddr: '10.73.0.100',
    });
  });

  it('lends addresses of the network that the host is in, but not its own', () => {
    const lab = new Lab({ dhcp: true, host: { ipv4: '172.16.0.100/16' } });
    expect(ask(lab.guest('a'), message(DISCOVER))).toMatchObject({
      yiaddr: '172.16.0.101',
      others: { 1: 'ffff0000', 3: 'ac100064', 54: 'ac100064' },
    });
    expect(() => new Lab({ dhcp: true, host: { ipv4: '172.16.0.100/25' } })).toThrow(/\/24 or shorter/);
  });

  it('says nothing unless it is told to', () => {
    const guest = new Lab().guest('a');
    expect(ask(guest, message(DISCOVER))).toBeUndefined();
    expect(guest.port.counters.dropped).toEqual({});
  });

  it.each<[string, Buffer]>([
    ['malformed', message('')],
    ['malformed', message('35 02')],
    ['malformed', message('3501 01 3d ff')],
    ['malformed', changed(message(DISCOVER), 42, '02')],
    ['malformed', changed(message(DISCOVER), 44, '08')],
    ['malformed', changed(message(DISCOVER), 42 + 236, '00')],
    ['malformed', changed(message(DISCOVER), 38, 'ffff')],
    ['malformed', changed(message(DISCOVER), 38, '0007')],
    ['checksum', changed(message(DISCOVER), 40, '1234')],
    ['unserved', message(DISCOVER, { to: HOST, giaddr: '0a49 0005' })],
    ['unserved', message('350105', { to: HOST })],
    ['unserved', changed(message(DISCOVER, { to: HOST }), 37, '44')],
  ])('drops: %s', (reason, frame) => {
    const { guest } = start();
    expect(ask(guest, frame)).toBeUndefined();
    expect(guest.port.counters.dropped).toEqual({ [reason]: 1 });
  });
});

function changed(frame: Buffer, at: number, hex: string): Buffer {
  const copy = Buffer.from(frame);
  copy.set(bytes(hex), at);
  return copy;
}
