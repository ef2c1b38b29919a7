// SPDX-License-Identifier: Apache-2.0
// The Khronos validator's reports on the GLB files named as arguments, as one JSON array.

import { readFile } from "node:fs/promises";
import { validateBytes } from "gltf-validator";

const reports = [];
for (const path of process.argv.slice(2)) {
  const options = { uri: path, format: "glb", maxIssues: 100, writeTimestamp: false };
  reports.push(await validateBytes(new Uint8Array(await readFile(path)), options));
}
process.stdout.write(JSON.stringify(reports));
