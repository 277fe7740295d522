import { Worker } from 'node:worker_threads';
import type { LiveVerdict } from './view.js';

/** Judges so many bytes of a stored timeline in a thread that ends with it. Needs the compiled program. @throws what judgeFile() throws */
export function judgeInThread(file: string, bytes: number): Promise<LiveVerdict[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./judge-worker.js', import.meta.url), { workerData: [file, bytes] });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread that judges ended without a word')));
  });
}
