// In the bundle, for figures, human-signals and yoctocolors: the words and colours of messages that execa would print or throw.
// upkeep asks it for neither, and they are a good part of what execa's loading takes.
const plain = (text) => text;

export { plain as bold, plain as gray, plain as redBright, plain as yellowBright };
export default {};
export const signalsByName = new Proxy({}, { get: (_, name) => ({ description: name }) });
