/** The vhost-user protocol: its messages, their bytes, its feature bits, and a reader for its streams. */
export * from './bits/protocol.js';
export * from './bits/vhost.js';
export * from './bits/virtio.js';
export * from './bits/virtio-net.js';
export { hex, type JsonObject, type JsonValue } from './codec.js';
export { WireError, type WireErrorCode } from './error.js';
export {
  bit,
  type FeatureName,
  featureNames,
  type ProtocolFeatureName,
  protocolFeatureNames,
  protocolFeatures,
  vhostFeatures,
  virtioFeatures,
  virtioNetFeatures,
} from './features.js';
export {
  decodeHeader,
  encodeMessage,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  HEADER_SIZE,
  type Header,
  MAX_PAYLOAD,
  VERSION,
} from './header.js';
export { MAX_REGIONS, type Payload, type PayloadKind, type Region } from './layouts.js';
export {
  type BackEndName,
  backEndRequests,
  type Content,
  type FdRule,
  type FrontEndName,
  frontEndRequests,
  type MessageSpec,
  nameOf,
  type ReplyRule,
  type Side,
  specById,
  specByName,
} from './messages.js';
export { decodePayload, encodePayload, fdRange, toJson } from './payload.js';
export { type RawMessage, StreamReader } from './reader.js';
