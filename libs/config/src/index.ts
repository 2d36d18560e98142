/** The door to the environment: typed sections with defaults and docs, folders, and nothing else reads process.env. */

export { z } from 'zod';
export { type ConfigRow, describeConfig, shownConfig } from './describe.ts';
export {
  childEnvironment,
  type Folders,
  folders,
  keysFolder,
  type OtelSettings,
  otelSettings,
} from './environment.ts';
export {
  type ConfigOf,
  type Environment,
  type LoadOptions,
  loadConfig,
  type Overrides,
  type Sections,
} from './load.ts';
export { defineSection, envKey, type Section, type SectionValues, secretText, whole } from './section.ts';
export { sections } from './sections.ts';
