import type { DropReason, HostNotice } from './notice.js';

/** What the host answers: the payload of a frame of the asking one's EtherType and tags. `to` is the asking MAC by default. */
export interface Answer {
  payload: Buffer;
  to?: Buffer;
  notice?: HostNotice;
}

/** An answer; why the packet is dropped; `done`, when it wants none; or undefined for what the host has nothing to say to. */
export type Outcome = Answer | DropReason | 'done' | undefined;
