export { type Cut, type CutPlace, cutPattern, cutPlaces, cutText, parseCut } from './cut.js';
export { type FaultKind, faultKinds, type SessionFault } from './faults/index.js';
export { FrameTraffic, type GuestFrame } from './frames.js';
export { type Back, type PathFate, Peer, type PeerOptions } from './peer.js';
export { PeerError, type PeerErrorCode } from './peer-error.js';
export { DEFAULT_PROFILE, type Deviation, type Offer, type Profile, profiles } from './profiles.js';
export { type Leave, Session } from './session.js';
export { PeerTraffic, type Traffic } from './traffic.js';
export { type WrittenPage, WrittenPages } from './written-pages.js';
