import { openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { complain } from '../stderr.js';
import type { Fault } from './fault.js';

/** openEuler's reconnect timer on listening sockets. */
const SELF_DIAL_MS = 3000;

/** How much leaks with each loss. */
/** What a loss leaks of memory: far more than the heap of a program in JavaScript grows by itself. */
const LEAKED_BYTES = 256 << 10;
const leaked: Buffer[] = [];

const LEAKED_FDS = 4;

const FLOOD = 500;

/** R1 to R5, R29, R36, R37, R42, R44, R50 and R51: the process, its monitors and a good connection live on, and a bad one does not. */
export const survivalFaults: readonly Fault[] = [
  {
    name: 'self-dial-abort',
    breaks: 'R1',
    alsoBreaks: ['R8'],
    role: 'server',
    needsDriver: false,
    description: 'Dials its own socket 3 s after a loss, unless a peer is back, and fails an assertion on the answer.',
    behaviour: {
      afterLoss: (twin) => {
        setTimeout(async () => {
          if (twin.connected) return;
          await twin.dialSelf();
          twin.abort(
            "../chardev/char-socket.c:109: tcp_chr_change_state: Assertion `s->state == TCP_CHARDEV_STATE_DISCONNECTED' failed.",
          );
        }, SELF_DIAL_MS);
      },
    },
  },
  {
    name: 'abort-on-loss',
    breaks: 'R1',
    role: 'both',
    needsDriver: false,
    description: 'Aborts as soon as the peer is gone.',
    behaviour: {
      afterLoss: (twin) => twin.abort("../hw/virtio/vhost.c:1900: vhost_dev_stop: Assertion `hdev->vhost_ops' failed."),
    },
  },
  {
    name: 'crash-on-second-loss',
    breaks: 'R1',
    role: 'both',
    needsDriver: false,
    description: 'Survives the first loss and dies of SIGSEGV on the second.',
    behaviour: {
      afterLoss: (_twin, losses) => {
        if (losses === 2) process.kill(process.pid, 'SIGSEGV');
      },
    },
  },
  {
    name: 'drops-healthy-peer',
    breaks: 'R29',
    role: 'both',
    needsDriver: false,
    description: 'Drops the first peer that returns once its handshake is over.',
    behaviour: { dropsPeer: (connection) => connection === 2 },
  },
  {
    name: 'keeps-insufficient-peer',
    breaks: 'R29',
    alsoBreaks: ['R22', 'R36'],
    role: 'both',
    needsDriver: false,
    description: 'Complains about a back-end that lacks queue pairs or features, and goes on with it.',
    behaviour: { refusesInsufficient: false },
  },
  {
    name: 'takes-any-answer',
    breaks: 'R36',
    role: 'both',
    needsDriver: false,
    description: 'Takes whatever comes for the answer that it waits for.',
    behaviour: { checksAnswers: false },
  },
  {
    name: 'requests-unanswered',
    breaks: 'R37',
    role: 'both',
    needsDriver: false,
    description: 'Reads the requests of the back-end and answers none.',
    behaviour: { answersRequest: () => undefined },
  },
  {
    name: 'requests-granted',
    breaks: 'R37',
    role: 'both',
    needsDriver: false,
    description: 'Says of each request of the back-end that it was done.',
    behaviour: { answersRequest: () => 0n },
  },
  {
    name: 'qmp-dead-while-away',
    breaks: 'R2',
    alsoBreaks: ['R4'],
    role: 'both',
    needsDriver: false,
    description: 'The monitor answers nothing until a peer is back.',
    behaviour: { answersMonitor: (twin) => twin.connected || twin.losses === 0 },
  },
  {
    name: 'second-monitor-silent',
    breaks: 'R42',
    role: 'both',
    needsDriver: false,
    description: 'Greets who comes to the second monitor, and answers nothing there.',
    behaviour: { answersSecondMonitor: false },
  },
  {
    name: 'second-monitor-not-told',
    breaks: 'R42',
    role: 'both',
    needsDriver: false,
    description: 'Answers at the second monitor, and tells events to the first one only.',
    behaviour: { tellsSecondMonitor: false },
  },
  {
    name: 'pause-on-loss',
    breaks: 'R3',
    alsoBreaks: ['R20'],
    role: 'both',
    needsDriver: false,
    description: 'Pauses the virtual machine on a loss.',
    behaviour: { afterLoss: (twin) => twin.soon(() => twin.setRunning(false)) },
  },
  {
    name: 'yank-ignored',
    breaks: 'R50',
    role: 'both',
    needsDriver: false,
    description: 'Says that it yanked a connection, and keeps it.',
    behaviour: { heedsYank: false },
  },
  {
    name: 'log-flooded',
    breaks: 'R51',
    role: 'both',
    needsDriver: false,
    description: `Writes ${FLOOD} lines on its error stream at each loss.`,
    behaviour: {
      // In one write: so many small ones would fill the reader's socket.
      afterLoss: () => complain(Array(FLOOD).fill('Failed to read msg header.').join('\n')),
    },
  },
  {
    name: 'spins-while-away',
    breaks: 'R44',
    role: 'both',
    needsDriver: false,
    description: 'Its main thread never sleeps while nobody is there.',
    behaviour: {
      afterLoss: (twin) => {
        const turn = () => void (twin.connected || setImmediate(turn));
        turn();
      },
    },
  },
  {
    name: 'quit-exit-1',
    breaks: 'R4',
    role: 'both',
    needsDriver: false,
    description: 'Exits with 1 on quit.',
    behaviour: { exitCode: 1 },
  },
  {
    name: 'quit-hangs',
    breaks: 'R4',
    role: 'both',
    needsDriver: false,
    description: 'Answers quit and never exits.',
    behaviour: { exitCode: undefined },
  },
  {
    name: 'fd-leak',
    breaks: 'R5',
    role: 'both',
    needsDriver: false,
    description: `Leaks ${LEAKED_FDS} file descriptors with each loss.`,
    behaviour: {
      afterLoss: () => {
        for (let i = 0; i < LEAKED_FDS; i++) openSync('/dev/null', 'r');
      },
    },
  },
  {
    name: 'memory-leak',
    breaks: 'R40',
    role: 'both',
    needsDriver: false,
    description: `Keeps ${LEAKED_BYTES} bytes of each loss.`,
    behaviour: { afterLoss: () => void leaked.push(Buffer.alloc(LEAKED_BYTES, 1)) },
  },
  {
    name: 'thread-leak',
    breaks: 'R5',
    role: 'both',
    needsDriver: false,
    description: 'Leaks a thread, and the descriptors of its event loop, with each loss.',
    behaviour: {
      afterLoss: () => {
        new Worker('setInterval(() => {}, 2 ** 30)', { eval: true });
      },
    },
  },
];
