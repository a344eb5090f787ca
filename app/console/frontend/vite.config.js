import { defineConfig } from 'vite';

// One entry per island. Pages look up the hashed names in the manifest (app/console/assets.py).
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    // The first versions with light-dark(); anything older would make the build rewrite it in a way that needs more CSS.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    outDir: '../static/dist',
    emptyOutDir: true,
    manifest: 'manifest.json',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { viewer: 'src/viewer.js', live: 'src/live.js' },
    },
  },
});
