/** A release of Debian whose QEMU is tested. */
export interface Release {
  /** Its name in the archive. */
  suite: string;
  /** As people say it. */
  name: string;
}

/** Oldest first. `sid` moves: what it has is the newest QEMU that Debian packages. */
export const releases: readonly Release[] = [
  { suite: 'bullseye', name: 'Debian 11' },
  { suite: 'bookworm', name: 'Debian 12' },
  { suite: 'trixie', name: 'Debian 13' },
  { suite: 'sid', name: 'Debian sid' },
];

/** A release's QEMU, unpacked in the cache. */
export interface Unpacked extends Release {
  /** Version of the package, such as `1:7.2+dfsg-7+deb12u18`. */
  version: string;
  /** Absolute path of a script that runs it with its own loader and libraries. */
  qemu: string;
}
