import { Worker } from 'node:worker_threads';
import type { judgeFile } from './drill.js';
import type { LiveVerdict } from './view.js';

/** Judges so many bytes of a stored timeline in a thread that ends with it. Needs the compiled program. @throws what judgeFile() throws */
export function judgeInThread(...workerData: Parameters<typeof judgeFile>): Promise<LiveVerdict[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./judge-worker.js', import.meta.url), { workerData });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread that judges ended without a word')));
  });
}
