import type { QemuPostMortem } from '../timeline/index.js';

/** A failed assertion: file as in QEMU's source tree, function, expression. */
export type Assertion = NonNullable<QemuPostMortem['assertion']>;

/** glibc's assert(): `program: file:line: function: Assertion `expression' failed.` */
const GLIBC = /(?:^|: )(?<file>[^\s:]+):(?<line>\d+): (?<fn>.+?): Assertion [`'](?<expr>.*)' failed\.?$/;
/** musl's assert(): `Assertion failed: expression (file: function: line)` */
const MUSL = /^Assertion failed: (?<expr>.*) \((?<file>[^\s:]+): (?<fn>[^:]+): (?<line>\d+)\)$/;
/** GLib's g_assert() family: `ERROR:file:line:function: assertion failed: (expression)`, or another message */
const GLIB = /^(?:Bail out! )?ERROR:(?<file>[^\s:]+):(?<line>\d+):(?<fn>[^:]+): (?:assertion failed:? )?(?<expr>.*)$/;

/** The failed assertion that a line of stderr tells of, if it does. */
export function parseAssertion(line: string): Assertion | undefined {
  const found = (GLIBC.exec(line) ?? MUSL.exec(line) ?? GLIB.exec(line))?.groups;
  return (
    found && {
      // A build outside the tree names its files relative to the build folder.
      file: found.file!.replace(/^(?:\.\.?\/)+/, ''),
      line: Number(found.line),
      function: found.fn!,
      expression: found.expr!,
    }
  );
}
