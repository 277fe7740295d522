/** The live mode: an operator's virtual machine, the mock OVS-DPDK as its switch, restart faults on command. */
export { CONTROL, ControlClient, type ControlFile, findControl, readControl, type ServerMessage } from './client.js';
export { Drill, type DrillOptions, judgeFile, type Spawn } from './drill.js';
export { DrillError, type DrillErrorCode } from './error.js';
export { judgeInThread } from './judge-thread.js';
export { commandOf, parametersOf } from './parameters.js';
export { isQuiet } from './quiet.js';
export { storeRecord } from './record.js';
export { renderScreen, type ScreenView } from './screen.js';
export { type ControlOptions, ControlServer, type Listen, PROTOCOL } from './server.js';
export { libvirtXml, qemuArguments } from './setup-text.js';
export { Terminal, type Tty } from './terminal.js';
export { type ControlVerb, checked, controlVerbs } from './verbs.js';
export type { DrillState, LiveVerdict, PortState, PortView, Restart } from './view.js';
