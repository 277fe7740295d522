/** Codes of what a peer refuses. */
export type PeerErrorCode =
  | 'ERR_UNMAPPED'
  | 'ERR_FDS'
  | 'ERR_RING'
  | 'ERR_NOT_OFFERED'
  | 'ERR_PROTOCOL'
  | 'ERR_NO_SESSION'
  | 'ERR_NO_LISTENER'
  | 'ERR_BACKLOG'
  | 'ERR_NO_CHANNEL'
  | 'ERR_FROZEN'
  | 'ERR_NOTHING_HELD'
  | 'ERR_CUT';

/** The front-end broke the protocol, or the peer was asked for what its state does not allow. */
export class PeerError extends Error {
  constructor(
    readonly code: PeerErrorCode,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
    this.name = 'PeerError';
  }
}
