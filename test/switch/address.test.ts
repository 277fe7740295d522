import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipv4Text, ipv6Text, macText, parseIpv4, parseIpv6, parseMac } from '../../src/switch/address.js';
import { bytes } from './lab.js';

const address = (size: number) =>
  fc
    .array(fc.oneof(fc.constant(0), fc.nat(255)), { minLength: size, maxLength: size })
    .map((list) => Buffer.from(list));

describe('addresses', () => {
  it('come back from their texts', () => {
    fc.assert(
      fc.property(address(6), address(4), address(16), (mac, ipv4, ipv6) => {
        mac[0]! &= 0xfe;
        expect(parseMac(macText(mac))).toEqual(mac);
        expect(parseIpv4(ipv4Text(ipv4))).toEqual(ipv4);
        expect(parseIpv6(ipv6Text(ipv6))).toEqual(ipv6);
      }),
    );
  });

  it.each([
    ['::', '0000 0000 0000 0000 0000 0000 0000 0000'],
    ['::1', '0000 0000 0000 0000 0000 0000 0000 0001'],
    ['fe80::', 'fe80 0000 0000 0000 0000 0000 0000 0000'],
    ['2001:db8::1:0:0:1', '2001 0db8 0000 0000 0001 0000 0000 0001'],
    ['1:2:3:4:5:6:7:8', '0001 0002 0003 0004 0005 0006 0007 0008'],
  ])('%s is written as RFC 5952 has it', (text, hex) => {
    expect(ipv6Text(bytes(hex))).toBe(text);
    expect(parseIpv6(text)).toEqual(bytes(hex));
  });
});
