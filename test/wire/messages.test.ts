import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  type BackEndName,
  backEndRequests,
  type FrontEndName,
  frontEndRequests,
  nameOf,
  protocolFeatures,
  specById,
  specByName,
  vhostFeatures,
  virtioFeatures,
} from '../../src/wire/index.js';

describe('the message table', () => {
  it('has every number of the spec, once and in order', () => {
    expect(frontEndRequests.map(({ id }) => id)).toEqual(Array.from({ length: 44 }, (_, i) => i + 1));
    expect(backEndRequests.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, i) => i + 1));
  });

  it('has every name once', () => {
    const names = [...frontEndRequests, ...backEndRequests].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('is found by number and by name', () => {
    for (const spec of [...frontEndRequests, ...backEndRequests]) {
      expect(specById(spec.from, spec.id)).toBe(spec);
      expect(specByName(spec.name)).toBe(spec);
      expect(nameOf(spec.from, spec.id)).toBe(spec.name);
    }
  });

  it.each([
    [1, 'GET_FEATURES'],
    [11, 'GET_VRING_BASE'],
    [15, 'GET_PROTOCOL_FEATURES'],
    [21, 'SET_BACKEND_REQ_FD'],
    [31, 'GET_INFLIGHT_FD'],
    [40, 'GET_STATUS'],
    [43, 'CHECK_DEVICE_STATE'],
  ])('front-end request %i is %s', (id, name) => expect(nameOf('front-end', id)).toBe(name));

  it('tells the sides apart', () => {
    expect(nameOf('back-end', 1)).toBe('BACKEND_IOTLB_MSG');
    expect(nameOf('back-end', 22)).toBe('#22');
    expect(specById('back-end', 22)).toBeUndefined();
    expect(nameOf('front-end', 99)).toBe('#99');
  });

  it('names only features that exist', () => {
    const known = { ...protocolFeatures, ...virtioFeatures, ...vhostFeatures };
    for (const { needs } of [...frontEndRequests, ...backEndRequests]) if (needs) expect(known).toHaveProperty(needs);
  });

  it('has the replies that the spec lists under "Communication"', () => {
    const ruleOf = (name: FrontEndName) => specByName(name).reply;
    expect(ruleOf('GET_FEATURES')).toEqual({ rule: 'always', payload: 'u64', fds: 'none' });
    expect(ruleOf('GET_PROTOCOL_FEATURES')).toEqual({ rule: 'always', payload: 'u64', fds: 'none' });
    expect(ruleOf('GET_VRING_BASE')).toEqual({ rule: 'always', payload: 'vring-state', fds: 'none' });
    expect(ruleOf('SET_LOG_BASE')).toEqual({ rule: 'log-shmfd', payload: 'u64', fds: 'none' });
    expect(ruleOf('GET_INFLIGHT_FD')).toEqual({ rule: 'always', payload: 'inflight', fds: 'one' });
    expect(ruleOf('SET_MEM_TABLE')).toEqual({ rule: 'postcopy', payload: 'memory', or: 'u64', fds: 'none' });
    expect(ruleOf('SET_VRING_KICK')).toEqual({ rule: 'none', payload: 'u64', fds: 'none' });
  });

  it('has the fds that the spec lists under "Communication"', () => {
    const withFds = frontEndRequests.filter(({ request }) => request.fds !== 'none').map(({ name }) => name);
    expect(withFds).toEqual([
      'SET_MEM_TABLE',
      'SET_LOG_BASE',
      'SET_LOG_FD',
      'SET_VRING_KICK',
      'SET_VRING_CALL',
      'SET_VRING_ERR',
      'SET_BACKEND_REQ_FD',
      'SET_INFLIGHT_FD',
      'GPU_SET_SOCKET',
      'ADD_MEM_REG',
      'REM_MEM_REG',
      'SET_DEVICE_STATE_FD',
    ]);
  });

  it('gives types their names', () => {
    expectTypeOf<'SET_MEM_TABLE'>().toExtend<FrontEndName>();
    expectTypeOf<'BACKEND_VRING_CALL'>().toExtend<BackEndName>();
    expectTypeOf<string>().not.toExtend<FrontEndName>();
    expectTypeOf(specByName('GET_STATUS').name).toEqualTypeOf<'GET_STATUS'>();
  });
});
