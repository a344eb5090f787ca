// Takes the browser out of its npm package: node unpack.mjs <package's bin folder> <target folder>
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';

const [source, target] = process.argv.slice(2);
for (const name of ['chromium', 'al2023.tar', 'fonts.tar']) {
  await pipeline(createReadStream(join(source, `${name}.br`)), createBrotliDecompress(), createWriteStream(join(target, name)));
}
