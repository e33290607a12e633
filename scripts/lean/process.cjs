// In the bundle, for node:process: the process without its standard streams. execa asks for all three as soon as it is loaded,
// and Node would make them: half of what execa's loading takes. upkeep writes to descriptors.
const nobody = { value: null };
module.exports = Object.create(process, { stdin: nobody, stdout: nobody, stderr: nobody });
