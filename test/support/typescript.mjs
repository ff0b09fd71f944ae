// Lets Node run TypeScript: every test process loads this file with --import (see .taprc). Versions of Node that strip types
// themselves need nothing.
import { register } from 'node:module'

if (!process.features.typescript) register('./typescript-loader.mjs', import.meta.url)
