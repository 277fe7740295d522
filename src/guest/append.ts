/** How the guest sets up its network, and how it pings. What is left out is as in init.sh. */
export interface GuestNetwork {
  /** Address and prefix length of the first NIC, the next ones count up, e.g. `10.73.0.10/24`; or `dhcp`. */
  address?: string;
  /** A /64 for static addresses of IPv6, e.g. `fd73::`. */
  prefix6?: string;
  /** What is pinged; a lease names its own. */
  gateway?: string;
  /** Between two pings. */
  intervalMs?: number;
}

/** What the kernel is told: its console and what it says there, no reboot of its own, no waiting for what a VM has not. */
const KERNEL = [
  'console=ttyS0',
  // Warnings and worse, each with its time, and all of our own lines.
  'loglevel=5',
  'printk.time=1',
  'printk.devkmsg=on',
  // It stays where it is, to be looked at.
  'panic=0',
  'random.trust_cpu=on',
  'mitigations=off',
  'no_timer_check',
];

/** The kernel command line of a guest. */
export function guestAppend({ address, prefix6, gateway, intervalMs }: GuestNetwork = {}): string {
  const own = {
    ip: address,
    ip6: prefix6,
    gw: gateway,
    interval: intervalMs === undefined ? undefined : intervalMs / 1000,
  };
  const words = Object.entries(own).flatMap(([name, value]) => (value === undefined ? [] : [`vr.${name}=${value}`]));
  return [...KERNEL, ...words].join(' ');
}
