import type { EventType, Recorder } from '../../src/timeline/index.js';

/** Resolves when an event of the type is recorded: at once where one was. */
export const recorded = (recorder: Recorder, type: EventType): Promise<void> =>
  recorder.latest(type)
    ? Promise.resolve()
    : new Promise((resolve) => {
        const stop = recorder.listen((event) => {
          if (event.type !== type) return;
          stop();
          resolve();
        });
      });
