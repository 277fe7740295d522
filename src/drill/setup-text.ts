import { resolve } from 'node:path';
import type { Role } from '../timeline/index.js';

/** The arguments of a QEMU that fits a port, one a line: a chardev with its role, memory that can be shared, a netdev, a device. */
export function qemuArguments(role: Role, socket: string, index = 0): string[] {
  const path = resolve(socket).replaceAll(',', ',,');
  const chardev = role === 'server' ? `path=${path},server=on,wait=off` : `path=${path},reconnect=1`;
  return [
    ...(index === 0
      ? ['-object memory-backend-memfd,id=mem,size=1G,share=on', '-machine q35,memory-backend=mem -m 1G']
      : []),
    `-chardev socket,id=char${index},${chardev}`,
    `-netdev vhost-user,id=net${index},chardev=char${index}`,
    `-device virtio-net-pci,netdev=net${index}`,
  ];
}

/** The same for libvirt: the interface of a domain, and what the domain needs once. */
export function libvirtXml(role: Role, socket: string, index = 0): string[] {
  const path = resolve(socket).replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const mode = role === 'server' ? 'server' : 'client';
  return [
    ...(index === 0 ? ['<memoryBacking><source type="memfd"/><access mode="shared"/></memoryBacking>'] : []),
    '<interface type="vhostuser">',
    ...(role === 'client'
      ? [
          `  <source type="unix" path="${path}" mode="${mode}">`,
          '    <reconnect enabled="yes" timeout="1"/>',
          '  </source>',
        ]
      : [`  <source type="unix" path="${path}" mode="${mode}"/>`]),
    '  <model type="virtio"/>',
    '</interface>',
  ];
}
