/** Feature bits that vhost and vhost-user place among virtio's, as bit numbers. */

/** Log what is written to guest memory, for live migration (spec section "Migration"). */
export const VHOST_F_LOG_ALL = 26;
/** vhost-net of the kernel only. The same bit as VIRTIO_F_ANY_LAYOUT, which is what vhost-user back-ends mean by it. */
export const VHOST_NET_F_VIRTIO_NET_HDR = 27;
/** The back-end has protocol features to negotiate (spec section "Communication"). */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;
