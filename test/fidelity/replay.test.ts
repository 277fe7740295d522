import { describe, expect, test } from 'vitest';
import { directory, nextBatch, ownFds } from '../os/helpers.js';
import { replay } from './replay.js';
import { isMessage, type MessageLine, recordedTranscripts, type Transcript } from './transcript.js';

const transcripts = recordedTranscripts();

const messages = ({ phases }: Transcript): MessageLine[] => phases.flatMap(({ lines }) => lines.filter(isMessage));

test.each(transcripts.map((transcript) => ({ name: transcript.name, transcript })))(
  '$name: the mock peer answers every message as the real back-end did',
  async ({ transcript }) => {
    // The poller opens its descriptors at its first use.
    await nextBatch();
    const fds = await ownFds();
    const { deviation, ...result } = await replay(transcript, directory());
    expect(deviation).toBeUndefined();
    const recorded = messages(transcript);
    expect(result.sent).toBe(recorded.filter(({ from }) => from === 'front-end').length);
    expect(result.answered).toBe(recorded.filter(({ from }) => from === 'back-end').length);
    expect(result.silent).toBe(result.sent - result.answered - result.unread);
    expect(await ownFds()).toBe(fds);
  },
);

test('there are transcripts of both roles, of one and two pairs, of each profile', () => {
  expect(new Set(transcripts.map(({ role, pairs }) => `${role} ${pairs}`)).size).toBe(4);
  expect(new Set(transcripts.map(({ profile }) => profile)).size).toBe(5);
  const recorded = transcripts.flatMap(messages);
  expect(recorded.filter(({ from }) => from === 'front-end')).toHaveLength(1884);
  expect(recorded.filter(({ from }) => from === 'back-end')).toHaveLength(724);
});

describe('a deviation is told', () => {
  /** Replays a transcript that says something else in one place than what was recorded. */
  async function changed(change: (all: MessageLine[], transcript: Transcript) => void) {
    const name = 'qemu-7.2-client--ovs-dpdk-3.1';
    const transcript = structuredClone(transcripts.find((one) => one.name === name)!);
    change(messages(transcript), transcript);
    return (await replay(transcript, directory())).deviation;
  }
  const reply = (all: MessageLine[], name: string) => all.find((one) => one.name === name && one.from === 'back-end')!;
  const drop = (transcript: Transcript, line: MessageLine) => {
    for (const phase of transcript.phases) phase.lines = phase.lines.filter((one) => one !== line);
  };

  test('another payload', async () => {
    const deviation = await changed((all) => {
      reply(all, 'GET_QUEUE_NUM').body.value = '0x7f';
    });
    expect(deviation).toMatch(/GET_QUEUE_NUM: replied 17, flags 5, 0 fds, payload 8000000000000000; recorded .*0x7f/);
  });

  test('other flags', async () => {
    const deviation = await changed((all) => {
      reply(all, 'SET_MEM_TABLE').flags = 1;
    });
    expect(deviation).toMatch(/SET_MEM_TABLE: replied 5, flags 5.*recorded 5, flags 1/);
  });

  test('descriptors with a reply', async () => {
    const deviation = await changed((all) => {
      reply(all, 'GET_STATUS').fds = 1;
    });
    expect(deviation).toMatch(/GET_STATUS: .* 0 fds.*recorded .* 1 fds/);
  });

  test('a reply where there was none', async () => {
    const deviation = await changed((all, transcript) => drop(transcript, reply(all, 'GET_PROTOCOL_FEATURES')));
    expect(deviation).toMatch(/GET_PROTOCOL_FEATURES: 1 replies, but 0 recorded/);
  });

  test('none where there was one', async () => {
    const deviation = await changed((all, transcript) => {
      const { lines } = transcript.phases[0]!;
      const owner = all.find(({ name }) => name === 'SET_OWNER')!;
      lines.splice(lines.indexOf(owner) + 1, 0, {
        ...owner,
        from: 'back-end',
        flags: 5,
        size: 8,
        body: { value: '0x0' },
      });
    });
    expect(deviation).toMatch(/SET_OWNER: 0 replies, but 1 recorded/);
  });

  test('a peer that hangs up', async () => {
    const deviation = await changed((all) => {
      all.find(({ name }) => name === 'SET_FEATURES')!.body.value = '0xffffffffffffffff';
    });
    expect(deviation).toMatch(/hung up/);
  });

  test('a ring that goes on elsewhere', async () => {
    const deviation = await changed((all) => {
      const later = all.filter(({ name, body }) => name === 'GET_VRING_BASE' && body.index === 1);
      later.find(({ from }) => from === 'back-end')!.body.num = 600;
    });
    expect(deviation).toMatch(/ring 1 has used index 600, but base 666/);
  });

  test('another end of the connection', async () => {
    const deviation = await changed((_, { phases }) => {
      const loss = phases[0]!.lines.at(-1)!;
      if (!isMessage(loss)) loss.what = 'reset';
    });
    expect(deviation).toBe('the connection ended by eof, after 0 bytes of a message, not by ECONNRESET');
  });
});
