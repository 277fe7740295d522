import { describe, expect, it } from 'vitest';
import { bytes, Lab, padded, wrongWith } from './lab.js';
import { arp, duplicate, echo4, echo4Options, echo6, GUEST, HOST, solicitation } from './questions.js';

const questions = { arp, echo4, echo4Options, echo6, solicitation, duplicate };

/** A frame with some of its bytes replaced. */
const changed = (frame: Buffer, at: number, hex: string): Buffer => {
  const copy = Buffer.from(frame);
  copy.set(bytes(hex), at);
  return copy;
};
/** With the IPv4 header's checksum made right again. */
const changedHeader = (frame: Buffer, at: number, hex: string): Buffer => {
  const copy = changed(frame, at, hex);
  copy.writeUInt16BE(0, 24);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += copy.readUInt16BE(i);
  copy.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 24);
  return copy;
};

function ask(frame: Buffer, lab = new Lab()) {
  const { port, inbox } = lab.guest('a');
  port.receive(frame);
  return { inbox, dropped: port.counters.dropped, news: lab.news };
}

describe('the host answers', () => {
  it.each(Object.entries(questions))('%s, byte for byte', (_, { ask: question, answer }) => {
    const { inbox, dropped } = ask(question);
    expect(inbox.map((frame) => frame.toString('hex'))).toEqual([padded(answer).toString('hex')]);
    expect(wrongWith(inbox[0]!)).toEqual([]);
    expect(dropped).toEqual({});
  });

  it.each(Object.entries(questions))('%s with VLAN tags, with the same ones', (_, { ask: question, answer }) => {
    const tags = bytes('88a8 0064', '8100 600a');
    const tag = (frame: Buffer) => Buffer.concat([frame.subarray(0, 12), tags, frame.subarray(12)]);
    expect(ask(tag(question)).inbox).toEqual([padded(tag(answer))]);
  });

  it.each(Object.entries(questions))('%s padded by Ethernet', (_, { ask: question, answer }) => {
    const junk = Buffer.concat([question, Buffer.alloc(20, 0xee)]);
    expect(ask(junk).inbox).toEqual([padded(answer)]);
  });

  it('a probe of its address, whose sender has none', () => {
    const [answer] = ask(changed(arp.ask, 28, '00000000')).inbox;
    expect(answer?.subarray(38, 42)).toEqual(bytes('00000000'));
  });

  it('an echo to all nodes of the link, from its link-local address', () => {
    const toGroup = changed(changed(echo6.ask, 38, 'ff02 0000 0000 0000 0000 0000 0000 0001'), 0, '33 33 00 00 00 01');
    // The sum of the destination's words changes from fe80 + 0056 + 52ff + fe73 + 1 to ff02 + 1.
    let sum = (~echo6.ask.readUInt16BE(56) & 0xffff) + 0xff02 - (0xfe80 + 0x56 + 0x52ff + 0xfe73);
    while (sum < 0) sum += 0xffff;
    toGroup.writeUInt16BE(~sum & 0xffff, 56);
    expect(ask(toGroup).inbox).toEqual([padded(echo6.answer)]);
  });

  it('an echo behind extension headers that carry options', () => {
    const options = bytes('3a 00 01 04 00000000'); // ICMPv6 is next, 8 bytes, 4 of padding
    const frame = Buffer.concat([echo6.ask.subarray(0, 54), options, echo6.ask.subarray(54)]);
    expect(ask(changed(frame, 18, '0019 3c')).inbox).toEqual([padded(echo6.answer)]);
  });

  it('at the addresses that it was given', () => {
    const lab = new Lab({ host: { mac: '52:54:00:aa:bb:cc', ipv4: '192.168.7.9/24', ipv6: '2001:db8::73/64' } });
    expect(lab.switch.host).toEqual({
      mac: '52:54:00:aa:bb:cc',
      ipv4: '192.168.7.9',
      ipv6: ['fe80::5054:ff:feaa:bbcc', '2001:db8::73'],
    });
    const { inbox } = ask(changed(arp.ask, 38, 'c0a80709'), lab);
    expect(inbox[0]?.subarray(22, 32)).toEqual(bytes('525400aabbcc c0a80709'));
    expect(ask(arp.ask, new Lab({ host: { ipv4: '192.168.7.9/24' } })).inbox).toEqual([]);
  });

  it.each([
    [{ mac: '01:00:5e:00:00:01' }, /station's MAC/],
    [{ mac: '52:54:00' }, /station's MAC/],
    [{ ipv4: '10.73.0.1' }, /with its prefix/],
    [{ ipv4: '10.73.0.256/24' }, /an IPv4 address/],
    [{ ipv4: '10.73.0.1/33' }, /prefix/],
    [{ ipv6: 'fd73::g/64' }, /an IPv6 address/],
    [{ ipv6: 'fe80::1%eth0/64' }, /an IPv6 address/],
  ])('but none that is no address: %j', (host, message) => {
    expect(() => new Lab({ host })).toThrow(message);
  });
});

describe('the host notes', () => {
  it('each echo request that it answers', () => {
    expect(ask(echo4.ask).news).toEqual([
      { kind: 'echo', port: 'a', family: 'ipv4', from: '10.73.0.100', id: 0xbeef, seq: 7 },
    ]);
    expect(ask(echo6.ask).news).toEqual([
      { kind: 'echo', port: 'a', family: 'ipv6', from: 'fe80::5054:ff:fe00:a', id: 0xbeef, seq: 7 },
    ]);
  });
});

describe('the host drops, and says why', () => {
  const corrupt = (frame: Buffer) => changed(frame, frame.length - 1, 'ff');
  it.each<[string, string, Buffer]>([
    ['checksum', 'a wrong checksum of an echo', corrupt(echo4.ask)],
    ['checksum', 'a wrong checksum of an IPv4 header', changed(echo4.ask, 22, '3f')],
    ['checksum', 'a wrong checksum of an IPv6 echo', corrupt(echo6.ask)],
    ['checksum', 'a wrong checksum of a solicitation', corrupt(solicitation.ask)],
    ['fragment', 'the first fragment', changedHeader(echo4.ask, 20, '2000')],
    ['fragment', 'the last fragment', changedHeader(echo4.ask, 20, '0001')],
    ['fragment', 'an IPv6 fragment', changed(echo6.ask, 20, '2c')],
    ['malformed', 'half an ARP packet', arp.ask.subarray(0, 30)],
    ['malformed', 'half an IPv4 packet', echo4.ask.subarray(0, 40)],
    ['malformed', 'IPv4 that is none', changed(echo4.ask, 14, '55')],
    ['malformed', 'an IPv4 header without end', changedHeader(echo4.ask, 14, '44')],
    ['malformed', 'half an IPv6 packet', echo6.ask.subarray(0, 60)],
    ['malformed', 'IPv6 that is none', changed(echo6.ask, 14, '40')],
    ['malformed', 'extension headers without end', changed(changed(echo6.ask, 20, '00'), 55, 'ff')],
    ['unserved', 'a protocol that it does not speak', changedHeader(echo4.ask, 23, '06')],
    ['unserved', 'an EtherType that it does not know', changed(echo4.ask, 12, '88b5')],
    ['unserved', 'what is for another address', changedHeader(echo4.ask, 30, '0a490002')],
    ['unserved', 'an echo from a group', changedHeader(echo4.ask, 26, 'e0000001')],
    ['unserved', 'an ARP reply', changed(changed(arp.ask, 0, HOST), 20, '0002')],
  ])('%s: %s', (reason, _, frame) => {
    const { inbox, dropped } = ask(frame);
    expect(inbox).toEqual([]);
    expect(dropped).toEqual({ [reason]: 1 });
  });

  it('solicitations that RFC 4861, 7.1.1 forbids', () => {
    /** With its checksum made right again after a change of the words there. */
    const mended = (frame: Buffer, at: number, hex: string) => {
      const copy = changed(frame, at, hex);
      const start = at & ~1;
      const end = (at + bytes(hex).length + 1) & ~1;
      let sum = ~frame.readUInt16BE(56) & 0xffff;
      for (let i = start; i < end; i += 2) sum += copy.readUInt16BE(i) + (~frame.readUInt16BE(i) & 0xffff);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
      copy.writeUInt16BE(~sum & 0xffff, 56);
      return copy;
    };
    const any = '0000 0000 0000 0000 0000 0000 0000 0000';
    for (const frame of [
      changed(solicitation.ask, 21, '40'), // it came over a router
      mended(solicitation.ask, 54, '8701'), // code 1
      mended(solicitation.ask, 62, 'ff02 0000 0000 0000 0000 0000 0000 0001'), // for a group
      mended(solicitation.ask, 22, any), // without a source, but with its MAC
      mended(solicitation.ask, 78, '0100'), // an option without a length
      mended(solicitation.ask, 78, '0102'), // an option longer than the packet
      mended(duplicate.ask, 38, 'fd73 0000 0000 0000 0000 0000 0000 0001'), // without a source, and to no group
    ])
      expect(ask(frame).dropped).toEqual({ malformed: 1 });
    // The same way of mending gives a good one where the change is harmless.
    const answers = ask(mended(solicitation.ask, 62, 'fe80 0000 0000 0000 0056 52ff fe73 0001')).inbox;
    expect(answers[0]?.subarray(0, 6)).toEqual(bytes(GUEST));
  });
});
