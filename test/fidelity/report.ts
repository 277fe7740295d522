import { findQemu, probe } from '../../src/qemu/index.js';
import { compareWithMock, courseWorkspace, transcriptsOf } from './mock-course.js';
import { replay } from './replay.js';
import { recordedTranscripts } from './transcript.js';

/** Prints what `make test` holds, in figures: every replay, then QEMU by QEMU. @param paths QEMUs; none: the installed one */
async function report(paths: readonly string[]): Promise<void> {
  const workspace = await courseWorkspace();
  try {
    console.log('transcript                                sessions  sent  replied  silent  unread  packets');
    const sum = { sessions: 0, sent: 0, answered: 0, silent: 0, unread: 0, packets: 0 };
    const row = (name: string, { sessions, sent, answered, silent, unread, packets }: typeof sum) =>
      console.log(
        name.padEnd(42) +
          [sessions, sent, answered, silent, unread, packets]
            .map((n, i) => String(n).padStart([8, 6, 9, 8, 8, 9][i]!))
            .join(''),
      );
    for (const transcript of recordedTranscripts()) {
      const dir = await workspace.makeDir();
      const { deviation, ...result } = await replay(transcript, dir.path);
      row(transcript.name, result);
      fail(deviation);
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result[key];
    }
    row('all', sum);
    for (const path of paths.length > 0 ? paths : [await findQemu()]) {
      const facts = await probe(path);
      console.log(`\n${`QEMU ${facts.version}`.padEnd(42)}messages  equal  listed`);
      for (const transcript of transcriptsOf(facts)) {
        const { messages, equal, listed, faults } = await compareWithMock(workspace, transcript, facts);
        console.log(
          transcript.name.padEnd(42) +
            String(messages).padStart(8) +
            String(equal).padStart(7) +
            String(listed).padStart(8),
        );
        faults.forEach(fail);
      }
    }
  } finally {
    await workspace.close();
  }
}

function fail(fault: string | undefined): void {
  if (fault === undefined) return;
  console.log(`  ${fault}`);
  process.exitCode = 1;
}

await report(process.argv.slice(2));
