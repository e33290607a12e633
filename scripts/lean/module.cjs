// In the bundle, for node:module: what is CommonJS already has a `require`.
exports.createRequire = () => require;
