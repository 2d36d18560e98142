#!/usr/bin/env node
/** The command line's entry: runs one command and ends with its exit code. */

import { FleetwireError } from '@fleetwire/kernel';
import { reportError } from './output.ts';
import { runProgram } from './program.ts';

let unwritten: NodeJS.ErrnoException | undefined;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has gone, like `head`, or a closed terminal, is no fault of a command.
  if (error.code !== 'EPIPE' && !process.stdout.isTTY) unwritten ??= error;
});
// There is nobody left to tell.
process.stderr.on('error', () => undefined);

const code = await runProgram(process.argv.slice(2));
await Promise.all(
  [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
  ),
);
// Whatever a part has left running must not keep a command that is done.
process.exit(code === 0 && unwritten !== undefined ? reportError(outputLost(unwritten), false) : code);

/** A script must not take half a result for all of it. */
function outputLost(cause: NodeJS.ErrnoException): FleetwireError {
  return new FleetwireError(
    'data_loss',
    'OUTPUT_UNWRITABLE',
    `the result could not be written: ${cause.code ?? cause.message}`,
    { help: 'What the command did is done; look at it again with room for its output.', cause },
  );
}
