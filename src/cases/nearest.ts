/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/**
 * The names that a mistyped one may have meant, best first: those that contain it, or that differ in at most a third of
 * its letters.
 */
export function nearest(given: string, known: readonly string[], limit = 3): string[] {
  const bound = Math.ceil(given.length / 3);
  return known
    .map((name) => ({ name, far: given.length > 1 && name.includes(given) ? 0.5 : distance(given, name) }))
    .filter(({ far }) => far <= bound)
    .sort((a, b) => a.far - b.far)
    .slice(0, limit)
    .map(({ name }) => name);
}

/** `did you mean a or b?`, or undefined when nothing is near. */
export function didYouMean(given: string, known: readonly string[]): string | undefined {
  const names = nearest(given, known);
  return names.length > 0 ? `did you mean ${names.join(' or ')}?` : undefined;
}
