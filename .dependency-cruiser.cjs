// The import rule of docs/architecture.md: layers import downwards only, and a folder is entered through its index.ts.
const layers = [
  ['wire', 'virtio', 'switch', 'os'],
  ['timeline'],
  ['peer', 'qemu', 'driver', 'guest', 'migration'],
  ['watch', 'contract'],
  ['cases'],
  ['runner'],
  ['report'],
  ['drill'],
  ['cli'],
];
const upward = layers.slice(0, -1).map((layer, i) => ({
  name: `${layer.join('-')}-imports-down-only`,
  severity: 'error',
  from: { path: `^src/(${layer.join('|')})/` },
  to: {
    path: `^src/(${layers
      .slice(i + 1)
      .flat()
      .join('|')})/`,
  },
}));

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'bottom-folders-stand-alone',
      comment: 'wire, virtio, switch and os know nothing of each other',
      severity: 'error',
      from: { path: '^src/(wire|virtio|switch|os)/' },
      to: { path: '^src/(wire|virtio|switch|os)/', pathNot: '^src/$1/' },
    },
    {
      name: 'one-face-per-folder',
      comment: 'another folder is imported through its index.ts only',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'ffi-stays-in-os',
      severity: 'error',
      from: { pathNot: '^src/os/' },
      to: { path: 'koffi' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
