import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { profiles } from '../../src/peer/index.js';
import { haltBios, type QemuFacts, Workspace } from '../../src/qemu/index.js';
import { MockBackEnd } from './back-end.js';
import { type Comparison, judge } from './comparison.js';
import { type CourseOptions, type CourseResult, runCourse } from './course.js';
import { differencesOf } from './differences.js';
import { sequences } from './sequence.js';
import { recordedTranscripts, type Transcript } from './transcript.js';

/** A directory for courses, with the BIOS that they run. The caller closes it. */
export async function courseWorkspace(): Promise<Workspace> {
  const workspace = await Workspace.create();
  writeFileSync(biosOf(workspace), haltBios());
  return workspace;
}

/** The BIOS in such a directory. */
export const biosOf = (workspace: Workspace): string => workspace.file('bios');

/** Runs a course with the mock peer. @param profile the name of what it stands for */
export async function runWithMock(
  workspace: Workspace,
  profile: string,
  options: Pick<CourseOptions, 'facts' | 'role' | 'pairs' | 'phases'>,
): Promise<CourseResult> {
  const { path: dir } = await workspace.makeDir();
  const backEnd = new MockBackEnd({ role: options.role, path: join(dir, 's'), profile: profiles[profile]! });
  try {
    return await runCourse({ ...options, backEnd, dir, biosPath: biosOf(workspace) });
  } finally {
    await backEnd.close();
  }
}

/** Puts a QEMU with the mock peer through the phases of a transcript, and compares what it sends. */
export async function compareWithMock(
  workspace: Workspace,
  transcript: Transcript,
  facts: QemuFacts,
  profile = transcript.profile,
): Promise<Comparison> {
  const { role, pairs, phases } = transcript;
  const run = await runWithMock(workspace, profile, { facts, role, pairs, phases });
  return judge(sequences(phases), sequences(run.phases, run.facts), differencesOf(transcript));
}

/** The transcripts of this QEMU's release series: 7.2 for 7.2.22. */
export function transcriptsOf({ version }: QemuFacts): Transcript[] {
  const series = (of: string) => of.replace(/\.\d+$/, '');
  return recordedTranscripts().filter(({ qemu }) => series(qemu) === series(version));
}
