#!/usr/bin/env node
/** The command line: `fleetwire`. */
console.log(process.version);
