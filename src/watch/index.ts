export { ChardevWatch, type Qmp } from './chardev.js';
export { lagMeter } from './lag.js';
export { ProcessWatch } from './process.js';
export { SocketWatch } from './socket.js';
