import { parentPort, workerData } from 'node:worker_threads';
import { judgeFile } from './drill.js';

/** A thread of its own: a long timeline takes seconds, in which the peer has to answer. */
parentPort!.postMessage(await judgeFile(...(workerData as [file: string, bytes: number])));
