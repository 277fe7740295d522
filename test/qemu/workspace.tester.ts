// A tester to be killed by workspace.test.ts: starts a QEMU ($1) in a workspace and says where, then waits.
import { join } from 'node:path';
import { launch, Workspace } from '../../src/qemu/index.js';
import { Recorder } from '../../src/timeline/index.js';

const workspace = await Workspace.create();
const { path: cwd } = await workspace.makeDir();
const qmpPath = join(cwd, 'qmp.sock');
const argv = ['-machine', 'none', '-nodefaults', '-display', 'none', '-S', '-qmp', `unix:${qmpPath},server=off`];
const qemu = await launch({ path: process.argv[2]!, argv, cwd, qmpPath, recorder: new Recorder() });
await qemu.qmp;
console.log(JSON.stringify({ pid: qemu.pid, dir: workspace.path }));
