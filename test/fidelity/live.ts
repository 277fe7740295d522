import type { Workspace } from '../../src/qemu/index.js';
import type { Role } from '../../src/timeline/index.js';
import { judge } from './comparison.js';
import { type CourseOptions, type CourseResult, runCourse } from './course.js';
import { type Environment, findEnvironment, Lack, type OvsPrograms } from './live/environment.js';
import { Ovs } from './live/ovs.js';
import { Relay } from './live/relay.js';
import { biosOf, courseWorkspace, runWithMock } from './mock-course.js';
import { replay } from './replay.js';
import { sequences } from './sequence.js';
import type { Phase, PhaseName } from './transcript.js';

/** What both back-ends are put through. */
const PHASES: readonly PhaseName[] = ['boot', 'after-kill', 'after-exit', 'stop', 'cont', 'quit'];
const phases: Phase[] = PHASES.map((name) => ({ name, lines: [] }));

const EXIT_DIFFERENT = 1;
const EXIT_LACKING = 2;

const environment = await findEnvironment().catch((error: unknown) => {
  if (!(error instanceof AggregateError)) throw error;
  lacking(error.message, error.errors as Lack[]);
});
if (environment)
  await compareAll(environment).catch((error: unknown) => {
    if (!(error instanceof Lack)) throw error;
    lacking('a real OVS-DPDK does not run here', [error]);
  });

function lacking(what: string, lacks: readonly Lack[]): undefined {
  console.error(`fidelity-live: ${what}`);
  for (const { message, hint } of lacks) console.error(`  ${message}\n      ${hint}`);
  process.exitCode = EXIT_LACKING;
}

async function compareAll(where: Environment): Promise<void> {
  console.log(`${where.qemu.versionText}\n${where.ovsVersion}; mock peer as ${where.profile}`);
  const workspace = await courseWorkspace();
  try {
    for (const role of ['server', 'client'] as const)
      for (const pairs of [1, 2])
        if (!(await compare(where, workspace, role, pairs))) process.exitCode = EXIT_DIFFERENT;
  } finally {
    await workspace.close();
  }
}

/** @returns whether all was equal */
async function compare({ qemu, ovs, profile }: Environment, workspace: Workspace, role: Role, pairs: number) {
  const course = { facts: qemu, role, pairs, phases };
  const live = await runWithOvs(workspace, ovs, course);
  const mock = await runWithMock(workspace, profile, course);
  const { messages, equal, faults } = judge(sequences(live.phases, live.facts), sequences(mock.phases, mock.facts), []);
  const { path } = await workspace.makeDir();
  const transcript = { name: 'live', qemu: qemu.version, role, profile, pairs, phases: live.phases };
  const { answered, silent, sessions, deviation } = await replay(transcript, path);
  if (deviation !== undefined) faults.push(`replies: ${deviation}`);
  console.log(
    `QEMU as ${role}, queue pairs: ${pairs}; ${equal} of ${messages} messages of QEMU equal; ` +
      `${answered} replies equal, ${silent} times none from either; ${sessions} sessions`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
  return faults.length === 0;
}

/** Runs a course with a real OVS. @throws Lack when it does not get through: that is for the machine to answer */
async function runWithOvs(
  workspace: Workspace,
  programs: OvsPrograms,
  course: Pick<CourseOptions, 'facts' | 'role' | 'pairs' | 'phases'>,
): Promise<CourseResult> {
  const { path: dir } = await workspace.makeDir();
  const ovs = new Ovs(programs, course.role, dir);
  const relay = new Relay(course.role, ovs, dir);
  try {
    await ovs.prepare();
    return await runCourse({ ...course, backEnd: relay, dir, biosPath: biosOf(workspace) });
  } catch (error) {
    if (error instanceof Lack) throw error;
    throw new Lack(`as ${course.role}: ${(error as Error).message}`, await ovs.complaints());
  } finally {
    await relay.close();
    await ovs.close();
  }
}
