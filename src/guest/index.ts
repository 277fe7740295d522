/** A real guest: Debian's kernel and a tiny file system of ours, which pings its gateway for ever and says how it fares. */
export { type GuestNetwork, guestAppend } from './append.js';
export { GuestConsole, type GuestFact, type TroubleKind, troubles } from './console.js';
export { type GuestFiles, guestFiles, guestInitramfs } from './files.js';
export { GuestError, type GuestErrorCode } from './guest-error.js';
export { initramfs, type Module } from './initramfs.js';
export { recordGuest } from './record.js';
